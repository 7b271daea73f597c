"""Routes about the server itself: health, readiness, nodes, presets."""

from __future__ import annotations

from fastapi import APIRouter, Response

from darkstream.control import nodes, readiness, wishes
from darkstream.model.wire import Health, Node, PresetInfo, Readiness
from darkstream.server.requests import InWing

router = APIRouter(tags=["server"])

_NOT_READY = 503


@router.get("/health", response_model=Health)
def health(wing: InWing) -> Health:
    """Say that the server is alive, and its version."""
    return readiness.check_health(wing)


@router.get("/ready", responses={_NOT_READY: {"model": Readiness}})
def ready(wing: InWing, response: Response) -> Readiness:
    """Say whether jobs would be worked on now; 503 with the reasons when not."""
    state = readiness.check_readiness(wing)
    if not state.ready:
        response.status_code = _NOT_READY
    return state


@router.get("/nodes")
def list_nodes(wing: InWing) -> list[Node]:
    """List the machines that ever worked, and which are alive."""
    return nodes.list_nodes(wing)


@router.get("/presets")
def list_presets(wing: InWing) -> list[PresetInfo]:
    """List the presets the server knows."""
    return wishes.list_presets(wing)

"""Routes about the server itself: health, readiness, nodes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from darkstream.control import nodes, readiness
from darkstream.model.node import PauseNode
from darkstream.model.wire import Health, Node, Readiness
from darkstream.server.requests import InWing, json_body, takes

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


@router.get("/nodes/{name}")
def get_node(wing: InWing, name: str) -> Node:
    """Show one machine, and whether it rests."""
    return nodes.get_node(wing, name)


@router.post("/nodes/{name}/pause", openapi_extra=takes(PauseNode))
def pause_node(
    wing: InWing, name: str, body: Annotated[PauseNode, Depends(json_body(PauseNode))]
) -> Node:
    """Let a machine rest: it takes no more work until it is resumed."""
    return nodes.pause_node(wing, name, body.kind)


@router.post("/nodes/{name}/resume")
def resume_node(wing: InWing, name: str) -> Node:
    """Let a machine work again; its hours hold as before."""
    return nodes.pause_node(wing, name, None)

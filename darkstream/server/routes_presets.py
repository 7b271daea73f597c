"""Routes for presets: those that are known, and templates of one's own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from darkstream.control import wishes
from darkstream.model.preset import Preset
from darkstream.model.wire import PresetAnswer, PresetInfo, SavePreset
from darkstream.server.requests import InWing, json_body, takes

router = APIRouter(prefix="/presets", tags=["presets"])

Saved = Annotated[SavePreset, Depends(json_body(SavePreset))]


@router.get("")
def list_presets(wing: InWing) -> list[PresetInfo]:
    """List the presets the server knows."""
    return wishes.find_presets(wing)


@router.post("/check", openapi_extra=takes(SavePreset))
def check_preset(wing: InWing, body: Saved) -> PresetAnswer:
    """Say whether a text would do as a preset; nothing is saved."""
    return wishes.check_text(wing, body)


@router.get("/{name}")
def get_preset(wing: InWing, name: str) -> Preset:
    """Give a preset with all it inherits."""
    return wishes.resolve_preset(wing, name)


@router.put("/{name}", openapi_extra=takes(SavePreset))
def save_preset(wing: InWing, name: str, body: Saved) -> Preset:
    """Save a template; jobs that are queued keep the preset they were made with."""
    return wishes.save_preset(wing, name, body)


@router.delete("/{name}", status_code=204)
def remove_preset(wing: InWing, name: str) -> None:
    """Forget a template; the shipped presets stay."""
    wishes.remove_preset(wing, name)

"""Presets: which the server knows, and which one a request means."""

from __future__ import annotations

from darkstream.control.wing import Wing
from darkstream.model.preset import Preset
from darkstream.model.wire import PresetInfo
from darkstream.planning.presets import check_preset, load_preset, preset_names


def resolve_preset(wing: Wing, wish: str | Preset) -> Preset:
    """The whole preset of a request; raises UnknownPreset with the nearest names, InvalidPreset."""
    if isinstance(wish, Preset):
        check_preset(wish, f"preset {wish.name}")
        return wish
    return load_preset(wish, wing.settings.presets)


def list_presets(wing: Wing) -> list[PresetInfo]:
    """All presets the server knows, by name."""
    names = preset_names(wing.settings.presets)
    return [PresetInfo(name=name, description=names[name]) for name in sorted(names)]

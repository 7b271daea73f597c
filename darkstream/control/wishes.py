"""Presets: which the server knows, which one a request means, and those saved as templates."""

from __future__ import annotations

from darkstream.control.wing import Wing
from darkstream.errors import Conflict, DarkstreamError, InvalidPreset
from darkstream.model.preset import Preset
from darkstream.model.wire import PresetAnswer, PresetInfo, SavePreset
from darkstream.planning.documents import Text, read_document
from darkstream.planning.presets import (
    Shelf,
    check_preset,
    list_presets,
    load_preset,
    parse_preset,
)


def resolve_preset(wing: Wing, wish: str | Preset) -> Preset:
    """The whole preset of a request; raises UnknownPreset with the nearest names, InvalidPreset."""
    if isinstance(wish, Preset):
        check_preset(wish, f"preset {wish.name}")
        return wish
    return load_preset(wish, _shelf(wing))


def find_presets(wing: Wing) -> list[PresetInfo]:
    """All presets the server knows, by name, those that cannot be used too."""
    shelf = _shelf(wing)
    texts = shelf.texts()
    return [
        PresetInfo(
            name=one.name,
            description=one.description,
            place=one.place,
            problem=one.problem,
            text=texts[one.name][0].text,
        )
        for one in list_presets(shelf)
    ]


def save_preset(wing: Wing, name: str, request: SavePreset) -> Preset:
    """Keep a preset in the catalog; raises InvalidPreset, and Conflict where the name is taken."""
    shelf = _shelf(wing)
    preset = parse_preset(request.text, f"preset {name}", _without(shelf, name))
    if preset.name != name:
        raise InvalidPreset(f"preset {name}: name: is {preset.name!r}, not {name!r}")
    if name in shelf.saved and not request.replace:
        raise Conflict(f"a preset named {name!r} is saved already: remove it, or replace it")
    wing.catalog.presets.save(name, request.text)
    return preset


def remove_preset(wing: Wing, name: str) -> None:
    """Forget a saved preset; raises NotFound, and Conflict while another one extends it."""
    children = _children(wing, name)
    if children:
        raise Conflict(f"the preset {name!r} is extended by {', '.join(children)}")
    wing.catalog.presets.remove(name)


def check_text(wing: Wing, request: SavePreset) -> PresetAnswer:
    """Whether a text would do as a preset, and what it would be."""
    try:
        return PresetAnswer(preset=parse_preset(request.text, "preset", _shelf(wing)))
    except DarkstreamError as error:
        return PresetAnswer(problem=str(error))


def _children(wing: Wing, name: str) -> list[str]:
    shelf = _shelf(wing)
    if len(shelf.texts().get(name, ())) > 1:
        return []  # another one of that name takes its place
    return sorted(
        other
        for other, text in shelf.saved.items()
        if other != name and read_document(Text(text, other, "saved")).get("extends") == name
    )


def _shelf(wing: Wing) -> Shelf:
    return Shelf(wing.settings.presets, wing.catalog.presets.all())


def _without(shelf: Shelf, name: str) -> Shelf:
    """A preset that is replaced is no parent of itself."""
    saved = {other: text for other, text in shelf.saved.items() if other != name}
    return Shelf(shelf.directory, saved)

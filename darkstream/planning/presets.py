"""Presets as YAML: found by name, read, checked; every mistake names the file and the field."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from darkstream.errors import InvalidPreset, UnknownPreset
from darkstream.model.preset import Preset
from darkstream.planning.naming import check_template

_SHIPPED = resources.files("darkstream.planning") / "presets"
_MAX_BYTES = 1 << 18

_Schema = dict[str, Any]


def load_preset(name: str, directory: Path | None = None) -> Preset:
    """The preset of that name; yours (in `directory`) before the shipped ones.

    Raises UnknownPreset, naming the nearest, and InvalidPreset.
    """
    files = _files(directory)
    if name not in files:
        raise UnknownPreset(_unknown(name, sorted(files)))
    text, origin = files[name]
    preset = parse_preset(text, origin)
    if preset.name != name:
        raise InvalidPreset(f"{origin}: name: is {preset.name!r}, but the file is called {name!r}")
    return preset


def preset_names(directory: Path | None = None) -> dict[str, str]:
    """Every preset that can be read, with its description, by name."""
    return {name: _describe(*file) for name, file in sorted(_files(directory).items())}


def parse_preset(text: str, origin: str) -> Preset:
    """Read one preset; `origin` names it in the errors. Raises InvalidPreset."""
    document = _read_yaml(text, origin)
    if not isinstance(document, dict):
        raise InvalidPreset(f"{origin}: a preset is a mapping of fields, such as 'name: web'")
    try:
        preset = Preset.model_validate(document)
    except ValidationError as error:
        raise InvalidPreset(f"{origin}: {_explain(error)}") from error
    check_preset(preset, origin)
    return preset


def check_preset(preset: Preset, origin: str) -> None:
    """Raise InvalidPreset where the fields of a preset do not go together."""
    check_template(preset.output, origin)
    _check_sense(preset, origin)


def preset_schema() -> _Schema:
    """JSON schema of a preset file, for editors and forms."""
    schema = TypeAdapter(Preset).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _files(directory: Path | None) -> dict[str, tuple[str, str]]:
    found = {
        entry.name.removesuffix(".yaml"): (entry.read_text("utf-8"), f"preset {entry.name}")
        for entry in _SHIPPED.iterdir()
        if entry.name.endswith(".yaml")
    }
    if directory is not None:
        found |= {path.stem: (_read(path), str(path)) for path in sorted(directory.glob("*.yaml"))}
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPreset(f"{path}: cannot be read: {error}") from error


def _read_yaml(text: str, origin: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise InvalidPreset(f"{origin}:{where} is not YAML: {problem}") from error


def _describe(text: str, origin: str) -> str:
    try:
        return parse_preset(text, origin).description
    except InvalidPreset as error:
        return f"cannot be used: {error}"


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
    return f"no preset is called {name!r}; {hint}"


def _explain(error: ValidationError) -> str:
    return "; ".join(_explain_one(item) for item in error.errors()[:3])


def _explain_one(item: ErrorDetails) -> str:
    place = item["loc"]
    field = ".".join(str(part) for part in place) or "preset"
    if item["type"] == "extra_forbidden":
        return f"{field}: no such field; allowed: {', '.join(_allowed(place))}"
    if item["type"] == "missing":
        return f"{field}: is missing"
    return f"{field}: {item['msg']}, not {item['input']!r}"


def _allowed(place: tuple[int | str, ...]) -> list[str]:
    schema = TypeAdapter(Preset).json_schema()
    node = schema
    for part in place[:-1]:
        node = _resolve(
            node["items"] if isinstance(part, int) else node["properties"][part], schema
        )
    return sorted(node["properties"])


def _resolve(node: _Schema, schema: _Schema) -> _Schema:
    for option in node.get("anyOf", [node]):
        if "$ref" in option:
            target: _Schema = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
            return target
    return node


_VIDEO_IN = {
    "mp4": {"h264", "hevc", "av1", "vp9"},
    "mkv": {"h264", "hevc", "av1", "vp9"},
    "webm": {"vp9", "av1"},
    "m4a": set[str](),
}
_AUDIO_IN = {
    "mp4": {"aac", "opus", "mp3", "flac"},
    "mkv": {"aac", "opus", "mp3", "flac"},
    "webm": {"opus"},
    "m4a": {"aac"},
}


def _check_sense(preset: Preset, origin: str) -> None:
    if preset.video is None:
        containers = {preset.audio_only_container}
    else:
        containers = {preset.container, preset.audio_only_container}
        _require(preset.video.codec, _VIDEO_IN, preset.container, f"{origin}: video.codec")
        _check_depth(preset, origin)
    for container in sorted(containers):
        _require(preset.audio.codec, _AUDIO_IN, container, f"{origin}: audio.codec")
    if preset.package.kind == "abr" and (preset.video is None or not preset.package.ladder):
        raise InvalidPreset(f"{origin}: package.ladder: adaptive streaming needs video and rungs")
    _check_numbers(preset, origin)
    if preset.package.kind == "abr" and not (preset.package.hls or preset.package.dash):
        raise InvalidPreset(f"{origin}: package: choose hls, dash or both")


_SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")
_NAMED_SPEEDS = (*_SPEEDS, "veryslow", "placebo")
_LAST_QUALITY = {"h264": 51, "hevc": 51}


def _check_numbers(preset: Preset, origin: str) -> None:
    video = preset.video
    if preset.package.segment_seconds <= 0:
        raise InvalidPreset(f"{origin}: package.segment_seconds: must be more than 0")
    if video is None:
        return
    for field in ("max_rate", "keyframe_seconds"):
        if (value := getattr(video, field)) is not None and value <= 0:
            raise InvalidPreset(f"{origin}: video.{field}: must be more than 0")
    last = _LAST_QUALITY.get(video.codec, 63)
    if video.quality > last:
        raise InvalidPreset(f"{origin}: video.quality: {video.codec} goes from 0 to {last}")
    named = video.codec in _LAST_QUALITY
    if video.speed not in _NAMED_SPEEDS if named else not video.speed.isdecimal():
        allowed = ", ".join(_NAMED_SPEEDS) if named else "a number, such as '6'"
        raise InvalidPreset(f"{origin}: video.speed: is {allowed}, not {video.speed!r}")


def _check_depth(preset: Preset, origin: str) -> None:
    video = preset.video
    if video and video.codec == "h264" and (video.bit_depth != 8 or video.hdr == "keep"):
        raise InvalidPreset(
            f"{origin}: video.bit_depth: H.264 here is 8 bit and without HDR, so that it plays"
            " everywhere; use 'bit_depth: 8' and 'hdr: tonemap', or the codec hevc or av1"
        )
    if video and video.hdr == "keep" and video.bit_depth == 8:
        raise InvalidPreset(f"{origin}: video.hdr: 'keep' needs 10 bit: bit_depth 10 or null")


def _require(codec: str, table: dict[str, set[str]], container: str, field: str) -> None:
    if codec not in table[container]:
        allowed = ", ".join(sorted(table[container])) or "none"
        raise InvalidPreset(f"{field}: {codec} does not go into {container}; allowed: {allowed}")

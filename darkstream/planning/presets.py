"""Presets as YAML: found by name, read, checked; every mistake names the file and the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from darkstream.errors import InvalidPreset, UnknownPreset
from darkstream.model.preset import AudioRule, Container, Preset, QualityTarget, VideoRule
from darkstream.planning.documents import (
    Document,
    Place,
    Text,
    explain_unknown,
    inherit,
    read_document,
    set_fields,
    substitute,
)
from darkstream.planning.encryption import bad_encryption
from darkstream.planning.formats import FORMATS, container_for_sound, misfit
from darkstream.planning.naming import check_template

_SHIPPED = resources.files("darkstream.planning") / "presets"
_MAX_BYTES = 1 << 18

_Schema = dict[str, Any]


@dataclass(frozen=True)
class Shelf:
    """Where presets are looked for: those saved in the catalog, a directory, the shipped ones.

    The first of a name wins; it may extend the next one.
    """

    directory: Path | None = None
    saved: Mapping[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, tuple[Text, ...]]:
        """All presets by name, the one that wins first."""
        found: dict[str, tuple[Text, ...]] = {}
        for name, text in (*self._saved(), *self._yours(), *_shipped()):
            found[name] = (*found.get(name, ()), text)
        return dict(sorted(found.items()))

    def _saved(self) -> list[tuple[str, Text]]:
        return [
            (name, Text(text, f"saved preset {name}", "saved")) for name, text in self.saved.items()
        ]

    def _yours(self) -> list[tuple[str, Text]]:
        paths = [] if self.directory is None else sorted(self.directory.glob("*.yaml"))
        return [(path.stem, read_text(path)) for path in paths]


@dataclass(frozen=True)
class Listed:
    """A preset by name; `problem` where it cannot be used."""

    name: str
    description: str
    place: Place
    problem: str | None = None


_NOTHING_OF_YOURS = Shelf()


def load_preset(name: str, shelf: Shelf = _NOTHING_OF_YOURS, changes: Sequence[str] = ()) -> Preset:
    """The preset of that name, with `field=value` changes.

    Raises UnknownPreset, naming the nearest, InvalidPreset, and UsageError for a change.
    """
    texts = shelf.texts()
    if name not in texts:
        raise UnknownPreset(explain_unknown(name, sorted(texts)))
    return _load(name, texts, changes)


def list_presets(shelf: Shelf = _NOTHING_OF_YOURS) -> list[Listed]:
    """Every preset by name, those that cannot be used too."""
    texts = shelf.texts()
    return [_list(name, found[0], texts) for name, found in texts.items()]


def read_text(path: Path) -> Text:
    """The file of a preset, if only to say why it cannot be read."""
    try:
        with path.open("rb") as file:
            return Text(file.read(_MAX_BYTES).decode("utf-8"), str(path), "yours")
    except OSError as error:
        return Text("", str(path), "yours", error.strerror or str(error))
    except UnicodeDecodeError as error:
        return Text("", str(path), "yours", str(error))


def parse_preset(
    text: str, origin: str, shelf: Shelf = _NOTHING_OF_YOURS, changes: Sequence[str] = ()
) -> Preset:
    """Read one preset; `origin` names it in the errors. Raises InvalidPreset, UsageError."""
    return _build(Text(text, origin, "yours"), shelf.texts(), changes)


def _load(name: str, texts: Mapping[str, Sequence[Text]], changes: Sequence[str]) -> Preset:
    found = texts[name][0]
    preset = _build(found, texts, changes)
    if preset.name != name:
        told = f"is {preset.name!r}, but the file is called {name!r}"
        raise InvalidPreset(f"{found.origin}: name: {told}")
    return preset


def _build(found: Text, texts: Mapping[str, Sequence[Text]], changes: Sequence[str]) -> Preset:
    origin = found.origin
    own = read_document(found)
    whole = set_fields(inherit(own, origin, texts, (found,)), changes)
    return _validate(substitute(whole, origin), origin)


def _validate(document: Document, origin: str) -> Preset:
    try:
        preset = Preset.model_validate(document)
    except ValidationError as error:
        raise InvalidPreset(f"{origin}: {_explain(error)}") from error
    check_preset(preset, origin)
    return preset


def _list(name: str, found: Text, texts: Mapping[str, Sequence[Text]]) -> Listed:
    try:
        return Listed(name, _load(name, texts, ()).description, found.place)
    except InvalidPreset as error:
        return Listed(name, "", found.place, str(error))


def _shipped() -> list[tuple[str, Text]]:
    entries = [entry for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml")]
    return [
        (
            entry.name.removesuffix(".yaml"),
            Text(entry.read_text("utf-8"), f"preset {entry.name}", "shipped"),
        )
        for entry in entries
    ]


def check_preset(preset: Preset, origin: str) -> None:
    """Raise InvalidPreset where the fields of a preset do not go together."""
    check_template(preset.output, origin)
    _check_sense(preset, origin)


def preset_schema() -> _Schema:
    """JSON schema of a preset file, for editors and forms."""
    schema = TypeAdapter(Preset).json_schema()
    for described in (schema, *schema["$defs"].values()):
        described["properties"] = {
            name: _or_variable(one) for name, one in described["properties"].items()
        }
    schema["properties"] |= _OF_FILES
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


_OF_FILES: _Schema = {
    "extends": {
        "type": "string",
        "description": "The preset this one is like, but for the fields it names itself.",
    },
    "vars": {
        "type": "object",
        "description": "Values by name, for ${name} anywhere here and in what extends it.",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
}
_VARIABLE: _Schema = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"}


def _or_variable(one: _Schema) -> _Schema:
    """The schema of a single value, or of a variable in its place."""
    if one.get("type") in {"string", "array"} or not _is_single(one):
        return one
    told: _Schema = {key: one[key] for key in ("description", "default", "title") if key in one}
    rest = {key: value for key, value in one.items() if key not in told}
    return {**told, "anyOf": [*rest.get("anyOf", [rest]), _VARIABLE]}


def _is_single(one: _Schema) -> bool:
    """Whether a single value can stand there, not only fields."""
    options = one.get("anyOf") or one.get("oneOf")
    if options is None:
        return "$ref" not in str(one)
    return any(_is_single(option) and option.get("type") != "null" for option in options)


def _explain(error: ValidationError) -> str:
    return "; ".join(_explain_one(item) for item in error.errors()[:3])


def _explain_one(item: ErrorDetails) -> str:
    place = tuple(part for part in item["loc"] if not str(part).startswith("("))
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
    for option in node.get("anyOf") or node.get("oneOf") or [node]:
        if "oneOf" in option:
            return _resolve(option, schema)
        if "$ref" in option:
            target: _Schema = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
            return target
    return node


def _check_sense(preset: Preset, origin: str) -> None:
    if preset.video is not None:
        abr = preset.package.kind == "abr"
        _check_container(preset, "mp4" if abr else preset.container, origin)
        _check_video(preset.video, origin)
    if (why := misfit(preset, container_for_sound(preset), video=False)) is not None:
        raise InvalidPreset(f"{origin}: {why}")
    if preset.audio.tracks == "languages" and not preset.audio.languages:
        raise InvalidPreset(f"{origin}: audio.languages: name those whose tracks are to be kept")
    if preset.audio.codec == "copy" and preset.audio.loudness is not None:
        raise InvalidPreset(f"{origin}: audio.loudness: what is copied stays as loud as it is")
    _check_package(preset, origin)
    _check_pictures(preset, origin)
    _check_overlay(preset, origin)


def _check_pictures(preset: Preset, origin: str) -> None:
    for name in ("sprites_seconds", "thumbnails_seconds"):
        if (value := getattr(preset.pictures, name)) is not None and value <= 0:
            raise InvalidPreset(f"{origin}: pictures.{name}: must be more than 0")
        if value is not None and value < _LEAST_STEP:
            raise InvalidPreset(f"{origin}: pictures.{name}: must be at least {float(_LEAST_STEP)}")


def _check_overlay(preset: Preset, origin: str) -> None:
    rule = preset.overlay
    if rule is None:
        return
    if (rule.image is None) is (rule.text is None):
        raise InvalidPreset(f"{origin}: overlay: give it an image or a text")
    if rule.image is not None and not rule.image.startswith("/"):
        raise InvalidPreset(
            f"{origin}: overlay.image: must be an absolute path, not {rule.image!r}"
        )
    if rule.end is not None and rule.end <= rule.start:
        raise InvalidPreset(f"{origin}: overlay.end: must be after overlay.start")


def _check_container(preset: Preset, container: Container, origin: str) -> None:
    if not FORMATS[container].video:
        holding = ", ".join(name for name, rules in FORMATS.items() if rules.video)
        raise InvalidPreset(
            f"{origin}: container: {container} holds no video: choose one of {holding}, or"
            " 'video: null'"
        )
    if (why := misfit(preset, container, video=True)) is not None:
        raise InvalidPreset(f"{origin}: {why}")


def _check_package(preset: Preset, origin: str) -> None:
    rule = preset.package
    if rule.segment_seconds <= 0:
        raise InvalidPreset(f"{origin}: package.segment_seconds: must be more than 0")
    if (why := bad_encryption(preset)) is not None:
        raise InvalidPreset(f"{origin}: {why}")
    if rule.kind != "abr":
        if preset.audio.beside_codec is not None:
            raise InvalidPreset(
                f"{origin}: audio.beside_codec: only presentations (package.kind: abr) have two"
            )
        return
    if preset.video is None or not rule.ladder:
        raise InvalidPreset(f"{origin}: package.ladder: adaptive streaming needs video and rungs")
    if not (rule.hls or rule.dash):
        raise InvalidPreset(f"{origin}: package: choose hls, dash or both")
    if preset.video.codec not in _STREAMED:
        allowed = ", ".join(_STREAMED)
        raise InvalidPreset(
            f"{origin}: video.codec: {preset.video.codec} is not streamed; allowed: {allowed}"
        )
    if preset.video.dynamic_hdr == "require":
        raise InvalidPreset(
            f"{origin}: video.dynamic_hdr: streams carry no data for single scenes: leave out"
            " 'require'"
        )
    if preset.audio.codec == "copy":
        raise InvalidPreset(f"{origin}: audio.codec: what is streamed is encoded: name a codec")
    _check_beside_codec(preset.audio, origin)


def _check_beside_codec(rule: AudioRule, origin: str) -> None:
    if rule.beside_codec is None:
        return
    where = f"{origin}: audio.beside_codec"
    if rule.beside_codec == rule.codec:
        raise InvalidPreset(f"{where}: {rule.codec} is audio.codec already")
    if rule.beside_codec not in (streamed := ("aac", "opus", "ac3", "eac3", "flac")):
        allowed = ", ".join(streamed)
        raise InvalidPreset(f"{where}: {rule.beside_codec} is not streamed; allowed: {allowed}")


_LEAST_STEP = Fraction(1, 2)
"""Seconds between small pictures: a film of two hours has fourteen thousand then."""
_LEAST_RATE, _LONGEST_GOP = 1, 600
_LAST_SPEED = {"av1": 13, "vp9": 8}
_STREAMED = ("h264", "hevc", "av1", "vp9")
_SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")
_X26X = (*_SPEEDS, "veryslow", "placebo")
_NAMED_SPEEDS = {
    "h264": _X26X,
    "hevc": _X26X,
    "vvc": ("faster", "fast", "medium", "slow", "slower"),
}
_LAST_QUALITY = {"h264": 51, "hevc": 51}
_MASTERS = ("prores", "ffv1")
"""Codecs without a scale of quality: for editing and for archives."""
_DEPTHS = {"h264": (8,), "vvc": (10,), "prores": (10,), "av1": (8, 10)}


def _check_video(video: VideoRule, origin: str) -> None:
    for name in ("max_rate", "keyframe_seconds"):
        if (value := getattr(video, name)) is not None and value <= 0:
            raise InvalidPreset(f"{origin}: video.{name}: must be more than 0")
    if video.max_rate is not None and video.max_rate < _LEAST_RATE:
        raise InvalidPreset(f"{origin}: video.max_rate: must be at least {_LEAST_RATE}")
    if video.keyframe_seconds > _LONGEST_GOP:
        raise InvalidPreset(f"{origin}: video.keyframe_seconds: must be at most {_LONGEST_GOP}")
    _check_depth(video, origin)
    if video.profile is not None and video.codec != "prores":
        raise InvalidPreset(f"{origin}: video.profile: only prores has one to choose")
    if video.codec in _MASTERS:
        _refuse_scale(video, origin)
        return
    if video.interlaced == "keep":
        raise InvalidPreset(
            f"{origin}: video.interlaced: only {' and '.join(_MASTERS)} keep fields, not"
            f" {video.codec}"
        )
    _check_scale(video, origin)


def _refuse_scale(video: VideoRule, origin: str) -> None:
    for name in ("quality", "speed", "max_bit_rate"):
        if getattr(video, name) is not None:
            raise InvalidPreset(f"{origin}: video.{name}: {video.codec} has none: leave it out")


def _check_scale(video: VideoRule, origin: str) -> None:
    _check_quality(video, origin)
    names = _NAMED_SPEEDS.get(video.codec)
    if video.speed is None:
        return
    if not video.speed.isdecimal() if names is None else video.speed not in names:
        allowed = ", ".join(names) if names else "a number, such as '6'"
        raise InvalidPreset(f"{origin}: video.speed: is {allowed}, not {video.speed!r}")
    if names is None and int(video.speed) > (fastest := _LAST_SPEED[video.codec]):
        raise InvalidPreset(f"{origin}: video.speed: {video.codec} goes from 0 to {fastest}")


def _check_quality(video: VideoRule, origin: str) -> None:
    last = _LAST_QUALITY.get(video.codec, 63)
    where = f"{origin}: video.quality"
    if isinstance(video.quality, QualityTarget):
        if len(video.quality.wishes) != 1:
            raise InvalidPreset(f"{where}: name one of vmaf, xpsnr and ssim")
    elif video.quality is not None and video.quality > last:
        raise InvalidPreset(f"{where}: {video.codec} goes from 0 to {last}")
    elif video.quality == 0 and video.codec == "h264":
        raise InvalidPreset(f"{where}: 0 is lossless: take the codec ffv1 for that")


def _check_depth(video: VideoRule, origin: str) -> None:
    if video.codec == "h264" and (video.bit_depth != 8 or video.hdr == "keep"):
        raise InvalidPreset(
            f"{origin}: video.bit_depth: H.264 here is 8 bit and without HDR, so that it plays"
            " everywhere; use 'bit_depth: 8' and 'hdr: tonemap', or the codec hevc or av1"
        )
    depths = _DEPTHS.get(video.codec, (8, 10, 12))
    if video.bit_depth is not None and video.bit_depth not in depths:
        allowed = " or ".join(map(str, depths))
        raise InvalidPreset(
            f"{origin}: video.bit_depth: {video.codec} has {allowed} bits a sample here, not"
            f" {video.bit_depth}"
        )
    if video.hdr == "keep" and video.bit_depth == 8:
        raise InvalidPreset(f"{origin}: video.hdr: 'keep' needs 10 bit: bit_depth 10 or null")
    if video.dynamic_hdr == "require" and video.hdr != "keep":
        raise InvalidPreset(f"{origin}: video.dynamic_hdr: 'require' needs 'hdr: keep'")

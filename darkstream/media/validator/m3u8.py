"""HLS playlists read as RFC 8216bis section 4 writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from darkstream.model.base import Frozen

Attributes = Mapping[str, str]
_LIST = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s=][^",]*)(?:,|$)')


class PlaylistSegment(Frozen):
    """One media segment, with the tags that apply to it; `byterange` is (bytes, offset).

    `keys` are those that it may be decrypted by, one for each KEYFORMAT, `map_keys` those of `map`.
    """

    uri: str
    duration: Fraction | None
    byterange: tuple[int, int] | None = None
    map: str | None = None
    keys: tuple[dict[str, str], ...] = ()
    map_keys: tuple[dict[str, str], ...] = ()
    discontinuity: bool = False
    gap: bool = False


class Playlist(Frozen):
    """One playlist: the tags that stand alone by name, and what is listed.

    `variants` are the attributes of EXT-X-STREAM-INF and the URI that follows; `broken` are lines
    that cannot be read.
    """

    name: str
    first: str
    tags: dict[str, str]
    segments: tuple[PlaylistSegment, ...] = ()
    media: tuple[dict[str, str], ...] = ()
    variants: tuple[tuple[dict[str, str], str], ...] = ()
    key_variants: tuple[dict[str, str], ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def target(self) -> int | None:
        """The target duration, seconds."""
        value = self.tags.get("EXT-X-TARGETDURATION", "")
        return int(value) if value.isdecimal() else None


def parse_playlist(name: str, text: str) -> Playlist:
    """Read a playlist; what is against the grammar is in `broken`."""
    lines = text.split("\n")
    reader = _Reader()
    for line in lines[1:]:
        reader.take(line.rstrip("\r"))
    return Playlist(
        name=name,
        first=lines[0].rstrip("\r"),
        tags=reader.tags,
        segments=tuple(reader.segments),
        media=tuple(reader.media),
        variants=tuple(reader.variants),
        key_variants=tuple(reader.key_variants),
        broken=tuple(reader.broken),
    )


def parse_attributes(text: str) -> dict[str, str] | None:
    """An attribute list (4.2), quotes taken off; None where it is none, or names one twice."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _LIST.match(text, place)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2].strip('"')
        place = match.end()
    return found if found and not text.endswith(",") else None


class _Reader:
    """Goes through the lines; what applies to the next segment, or to all that follow."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.segments: list[PlaylistSegment] = []
        self.media: list[dict[str, str]] = []
        self.variants: list[tuple[dict[str, str], str]] = []
        self.key_variants: list[dict[str, str]] = []
        self.broken: list[str] = []
        self._next: dict[str, object] = {}
        self._lasting: dict[str, object] = {}
        self._keys: dict[str, dict[str, str]] = {}
        self._variant: dict[str, str] | None = None

    def take(self, line: str) -> None:
        if line.startswith("#EXT"):
            name, _, value = line[1:].partition(":")
            self._tag(name, value, line)
        elif line and not line.startswith("#"):
            self._uri(line)

    def _uri(self, line: str) -> None:
        if self._variant is not None:
            self.variants.append((self._variant, line))
            self._variant = None
            return
        told: dict[str, object] = {"duration": None, **self._lasting, **self._next}
        self.segments.append(PlaylistSegment.model_validate({"uri": line, **told}))
        self._next = {}

    def _tag(self, name: str, value: str, line: str) -> None:
        if name == "EXTINF":
            number = value.partition(",")[0]
            self._read(line, "duration", number, re.fullmatch(r"\d+(\.\d+)?", number))
        elif name == "EXT-X-BYTERANGE":
            match = re.fullmatch(r"(\d+)@(\d+)", value)
            self._read(line, "byterange", match and (int(match[1]), int(match[2])), match)
        elif name in {"EXT-X-DISCONTINUITY", "EXT-X-GAP"}:
            self._next[name.removeprefix("EXT-X-").lower()] = True
        elif name in _LISTS:
            attributes = parse_attributes(value)
            if attributes is None:
                self.broken.append(line)
            else:
                self._listed(name, attributes)
        else:
            self.tags[name] = value

    def _read(self, line: str, field: str, value: object, match: object) -> None:
        if match is None:
            self.broken.append(line)
        else:
            self._next[field] = value

    def _listed(self, name: str, attributes: dict[str, str]) -> None:
        if name == "EXT-X-MEDIA":
            self.media.append(attributes)
        elif name == "EXT-X-STREAM-INF":
            self._variant = attributes
        elif name == "EXT-X-I-FRAME-STREAM-INF":
            self.key_variants.append(attributes)
        elif name == "EXT-X-MAP":
            self._lasting |= {
                "map": attributes.get("URI"),
                "map_keys": self._lasting.get("keys", ()),
            }
        else:
            format_ = attributes.get("KEYFORMAT", "identity")
            self._keys = {} if attributes.get("METHOD") == "NONE" else self._keys
            if attributes.get("METHOD") != "NONE":
                self._keys[format_] = attributes
            self._lasting["keys"] = tuple(self._keys.values())


_LISTS = {
    "EXT-X-MEDIA",
    "EXT-X-STREAM-INF",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-MAP",
    "EXT-X-KEY",
}

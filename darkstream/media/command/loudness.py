"""A command that measures the loudness of sound, each track behind its mix (EBU R 128)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ffmpeg

from darkstream.media.command.convert import GLOBAL, bind, input_options, part_of

_SOURCE = "file:source"
_ALLOWED = {"hls": {"allowed_extensions": "ALL", "extension_picky": 0}}
METER = "loudness"
"""The filter of track n is called `loudness<n>` in ffmpeg's log."""


@dataclass(frozen=True)
class Listened:
    """One track to measure: which source, which stream of it as ffmpeg maps it, filters before."""

    file: int
    stream: str
    filters: tuple[str, ...] = ()


def loudness_command(
    tracks: Sequence[Listened],
    sources: Sequence[bytes],
    *,
    program: bytes,
    formats: str,
    max_pixels: int,
    source_bytes: int | None = None,
) -> tuple[bytes, ...]:
    """Decode those tracks alone; ffmpeg says integrated loudness and true peak at their end.

    All are in one filter graph: the graphs of single tracks have threads of their own, whose lines
    come mixed.
    """
    options = {**_ALLOWED.get(formats.partition(",")[0], {}), **input_options(formats, max_pixels)}
    if source_bytes is not None:
        options["protocol_whitelist"] = "subfile,file"
    inputs = [ffmpeg.input(f"{_SOURCE}{n}", **options) for n in range(len(sources))]
    streams = []
    for number, track in enumerate(tracks):
        node = inputs[track.file][track.stream]
        for told in (*track.filters, f"ebur128@{METER}{number}=peak=true:framelog=quiet"):
            node = _through(node, told)
        streams.append(node)
    words = ffmpeg.get_args(ffmpeg.output(*streams, "-", format="null"))
    paths = {
        f"{_SOURCE}{n}": part_of(source_bytes) + b"file:" + path for n, path in enumerate(sources)
    }
    manner = ("-max_error_rate", "1")
    return (program, *map(str.encode, (*GLOBAL, *manner)), *(bind(word, paths) for word in words))


def _through(node: Any, told: str) -> Any:  # noqa: ANN401 - untyped library
    """A node behind a filter as ffmpeg is told it: 'volume=3dB:precision=double'."""
    name, _, rest = told.partition("=")
    words = [word for word in rest.split(":") if word]
    plain = [word for word in words if "=" not in word]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    return node.filter(name, *plain, **named)

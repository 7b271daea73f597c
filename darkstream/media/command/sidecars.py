"""A command that takes text tracks out of a source, each into a file of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import ffmpeg

from darkstream.media.command.convert import GLOBAL, bind, input_options, part_of
from darkstream.model.plan import EncodePlan, Sidecar

_SOURCE = "file:source"
_CODECS = {"srt": ("srt", "srt"), "ass": ("ass", "ass"), "vtt": ("webvtt", "webvtt")}
"""ffmpeg's encoder and muxer of each form."""
_IN_OPTION, _IN_GRAPH = "\\':", "\\'[],;"
"""ffmpeg-filters(1), "Notes on filtergraph escaping"."""


def track_name(number: int, sidecar: Sidecar) -> bytes:
    """The file that the command writes for a sidecar."""
    return f"{number}.{sidecar.track}".encode()


def sidecar_command(
    plan: EncodePlan,
    sidecars: Sequence[Sidecar],
    source: bytes,
    directory: bytes,
    *,
    program: bytes,
    max_pixels: int,
) -> tuple[bytes, ...]:
    """Write `track_name` of each sidecar into a directory; captions cost a decode of the film."""
    opened = _open(plan, max_pixels)
    paths = {_SOURCE: part_of(plan.source_bytes) + b"file:" + source}
    outputs = []
    for number, sidecar in enumerate(sidecars):
        place = f"file:track{number}"
        paths[place] = b"file:" + os.path.join(directory, track_name(number, sidecar))
        stream = opened[str(sidecar.source_index)]
        if sidecar.captions:
            stream = ffmpeg.input(_movie(plan, sidecar, source), f="lavfi")["s:0"]
        codec, muxer = _CODECS[sidecar.track]
        outputs.append(ffmpeg.output(stream, place, **{"c:s": codec, "f": muxer}))
    words = ffmpeg.get_args(ffmpeg.merge_outputs(*outputs))
    return (program, *map(str.encode, GLOBAL), *(bind(word, paths) for word in words))


def _open(plan: EncodePlan, max_pixels: int) -> Any:  # noqa: ANN401 - untyped library
    options = input_options(",".join(plan.source_formats), max_pixels)
    if plan.source_bytes is not None:
        options["protocol_whitelist"] = "subfile,file"
    return ffmpeg.input(_SOURCE, **options)


def _movie(plan: EncodePlan, sidecar: Sidecar, source: bytes) -> str:
    """ffmpeg's source of pictures whose captions come out as a stream of their own (`subcc`)."""
    name = (part_of(plan.source_bytes) + b"file:" + source).decode("utf-8", "surrogateescape")
    options = {
        "filename": name,
        "format_name": plan.source_formats[0],
        "format_opts": "protocol_whitelist=subfile,file",
        "streams": str(sidecar.source_index),
    }
    told = ":".join(f"{key}={_escape(value, _IN_OPTION)}" for key, value in options.items())
    return f"movie={_escape(told, _IN_GRAPH)}[out0+subcc]"


def _escape(text: str, special: str) -> str:
    """A backslash before what means something to ffmpeg's filter parser at that level."""
    return "".join(f"\\{letter}" if letter in special else letter for letter in text)

"""One chunk of a plan as one ffmpeg command: a file a rendition, from the whole source."""

from __future__ import annotations

import os
from fractions import Fraction
from math import ceil

import ffmpeg

from darkstream.media.command.convert import GLOBAL, SOURCE, bind, source_options
from darkstream.media.command.encoders import (
    Options,
    chunk_key_frames,
    chunk_options,
    limit_threads,
)
from darkstream.media.command.filters import Node, all_tags, filter_renditions
from darkstream.model.plan import AbrPackage, Chunk, Chunking, EncodePlan, VideoEncode

_OUTPUT = "file:chunk-"
_NEIGHBOURS = 3
"""Pictures on either side of a chunk that deinterlacing its first and last ones looks at."""


def chunk_command(
    plan: EncodePlan,
    chunk: Chunk,
    *,
    program: bytes,
    source: bytes,
    directory: bytes,
    max_pixels: int,
    threads: int | None = None,
) -> tuple[bytes, ...]:
    """The words of the command that encodes a chunk of a plan.

    It reads `source` and writes `chunk_names(plan)` below `directory` (both absolute). Timestamps
    begin at 0 and are whole ticks of the source's clock.
    """
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    chunking = _chunking(plan)
    options = source_options(plan, max_pixels, threads, drawn=False)
    if chunk.seek is not None:
        # To a time on the file's own clock; what comes before the chunk is cut off exactly below.
        options |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": _seek_to(chunk.seek)}
    read = ffmpeg.input(SOURCE, noautorotate=None, copyts=None, **options)
    pictures = _begin(read[str(encodes[0].source_index)], encodes[0], chunk, chunking)
    nodes = filter_renditions(pictures, encodes)
    outputs = [
        ffmpeg.output(
            _end(node, video, chunk, chunking),
            f"{_OUTPUT}{number}",
            **_options(plan, video, chunk, chunking, threads),
        )
        for number, (node, video) in enumerate(zip(nodes, encodes, strict=True))
    ]
    words = ffmpeg.get_args(ffmpeg.merge_outputs(*outputs))
    paths = {SOURCE: b"file:" + source}
    for number, name in enumerate(chunk_names(plan)):
        paths[f"{_OUTPUT}{number}"] = b"file:" + os.path.join(directory, name)
    errors = ("-max_error_rate", "1", "-abort_on", "empty_output")
    return (program, *map(str.encode, (*GLOBAL, *errors)), *(bind(w, paths) for w in words))


def chunk_names(plan: EncodePlan) -> list[bytes]:
    """The files of a chunk, one a rendition."""
    return [b"%d.mp4" % number for number in range(len(plan.renditions))]


def _chunking(plan: EncodePlan) -> Chunking:
    if plan.chunking is None:
        raise ValueError("the plan has no chunks")
    return plan.chunking


def _seek_to(seconds: Fraction) -> str:
    """ffmpeg counts in millionths: rounded down, it would go to the key frame before."""
    return f"{ceil(seconds * 1_000_000) / 1_000_000:.6f}"


def _begin(node: Node, video: VideoEncode, chunk: Chunk, chunking: Chunking) -> Node:
    """The source's pictures of a chunk alone, at the times that they have in the output."""
    around = 0
    if video.deinterlace:
        around = _NEIGHBOURS * ceil(1 / (video.rate * chunking.time_base))
    node = _trim(node, chunk, -around, around)
    return node.filter("setpts", f"PTS-{_zero(chunking)}")


def _end(node: Node, video: VideoEncode, chunk: Chunk, chunking: Chunking) -> Node:
    """The finished pictures of a chunk, from 0 on, on the source's clock."""
    zero = _zero(chunking)
    node = node.filter("settb", str(chunking.time_base))
    if video.deinterlace:
        node = _trim(node, chunk, -zero, -zero)
    # A source that changes its colours on the way would have chunks that are declared otherwise.
    node = node.filter("setparams", **all_tags(video.colour))
    return node.filter("setpts", f"PTS-{chunk.begin - zero}")


def _trim(node: Node, chunk: Chunk, before: int, after: int) -> Node:
    bounds = {} if chunk.index == 0 else {"start_pts": chunk.begin + before}
    if chunk.end is not None:
        bounds["end_pts"] = chunk.end + after
    return node.filter("trim", **bounds) if bounds else node


def _zero(chunking: Chunking) -> int:
    """The tick that is 0 in the output."""
    return round(chunking.start / chunking.time_base)


def _options(
    plan: EncodePlan, video: VideoEncode, chunk: Chunk, chunking: Chunking, threads: int | None
) -> Options:
    aligned = isinstance(plan.package, AbrPackage)
    options = chunk_options(video, 0, aligned=aligned, first=chunk.index == 0)
    if aligned:
        begin = (chunk.begin - chunking.chunks[0].begin) * chunking.time_base
        options["force_key_frames:v:0"] = chunk_key_frames(video, begin=begin, keys=chunk.keys)
        del options["bsf:v:0"]  # of the whole, once it is joined
    options |= {"fps_mode": "passthrough", "enc_time_base:v:0": str(chunking.time_base)}
    if threads is not None:
        options |= limit_threads(video.encoder, 0, threads, options)
    return options | {"map_metadata": -1, "map_chapters": -1, "format": "mp4", "write_tmcd": 0}

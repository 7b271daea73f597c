"""A plan as one ffmpeg command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import ffmpeg

from darkstream.media.command.encoders import Options, encoder_options
from darkstream.media.command.filters import filter_renditions
from darkstream.media.command.tracks import tag_words, track_options
from darkstream.model.plan import AbrPackage, EncodePlan, FilePackage, VideoCopy, VideoEncode

MANIFEST = "manifest.mpd"
GLOBAL = (
    "-nostdin",
    "-hide_banner",
    "-nostats",
    "-loglevel",
    "repeat+level+verbose",
    "-progress",
    "pipe:1",
    "-y",
)
"""Before everything else: no terminal, machine-readable progress, every message with its level."""
_SOURCE, _OUTPUT = "file:source", "file:output"
_MUXERS: dict[str, Options] = {
    "mp4": {"format": "mp4", "movflags": "+faststart", "write_tmcd": 0},
    "m4a": {"format": "ipod", "movflags": "+faststart"},
    "mkv": {"format": "matroska", "default_mode": "passthrough"},
    "webm": {"format": "webm", "default_mode": "passthrough"},
}
_QUEUE_PACKETS = 4096


def convert_command(
    plan: EncodePlan,
    *,
    program: bytes,
    source: bytes,
    directory: bytes,
    max_pixels: int,
    threads: int | None = None,
) -> tuple[bytes, ...]:
    """The words of the command that does what the plan says.

    It reads `source` and writes below `directory` (both absolute): `output_name(plan)`, for a
    presentation with its segments beside it.
    """
    graph = _graph(plan, max_pixels, threads)
    *words, output = ffmpeg.get_args(graph)
    words += [*tag_words(plan), output]
    paths = {
        _SOURCE: _part(plan.source_bytes) + b"file:" + source,
        _OUTPUT: b"file:" + os.path.join(directory, output_name(plan).encode()),
    }
    errors = ("-max_error_rate", "1", "-abort_on", "empty_output")
    return (program, *map(str.encode, (*GLOBAL, *errors)), *(_bind(w, paths) for w in words))


def output_name(plan: EncodePlan) -> str:
    """The file ffmpeg writes, relative to the working directory."""
    if isinstance(plan.package, FilePackage):
        return f"output.{plan.package.extension}"
    return MANIFEST


def input_options(formats: str, max_pixels: int, threads: int | None) -> dict[str, Any]:
    """What stands before `-i`: one demuxer, local files alone, bounded pictures."""
    options: dict[str, Any] = {
        "protocol_whitelist": "file",
        "format_whitelist": formats,
        "max_pixels": max_pixels,
    }
    if threads is not None:
        options["threads"] = threads
    return options


def _bind(word: str, paths: Mapping[str, bytes]) -> bytes:
    """Real paths are put in last: ffmpeg-python cannot hold bytes that are not text."""
    return paths.get(word, word.encode("utf-8", "surrogateescape"))


def _part(size: int | None) -> bytes:
    """The protocol that ends a file early."""
    return b"" if size is None else b"subfile,,start,0,end,%d,,:" % size


def _graph(plan: EncodePlan, max_pixels: int, threads: int | None) -> Any:  # noqa: ANN401 - untyped library
    options = input_options(",".join(plan.source_formats), max_pixels, threads)
    if plan.source_bytes is not None:
        options["protocol_whitelist"] = "subfile,file"
    for video in plan.renditions:
        if video.decoder is not None:
            # A copy's decoder only looks into the stream, and that is chosen for all video at once.
            stream = "v" if isinstance(video, VideoCopy) else video.source_index
            options[f"c:{stream}"] = video.decoder
    source = ffmpeg.input(_SOURCE, noautorotate=None, **options)
    streams = _video_streams(plan, source)
    indexes = [track.source_index for track in plan.audio]
    indexes += [track.source_index for track in plan.subtitles]
    streams += [source[str(index)] for index in (*indexes, *plan.covers, *plan.attachments)]
    made = {**_video_options(plan, threads), **track_options(plan), **_muxer(plan)}
    return ffmpeg.output(*streams, _OUTPUT, **made)


def _video_streams(plan: EncodePlan, source: Any) -> list[Any]:  # noqa: ANN401 - untyped library
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    copies = [video for video in plan.renditions if isinstance(video, VideoCopy)]
    if encodes:
        return filter_renditions(source[str(encodes[0].source_index)], encodes)
    return [source[str(video.source_index)] for video in copies]


def _video_options(plan: EncodePlan, threads: int | None) -> Options:
    options: Options = {}
    for index, video in enumerate(plan.renditions):
        if isinstance(video, VideoEncode):
            aligned = isinstance(plan.package, AbrPackage)
            options |= encoder_options(video, index, aligned=aligned)
            options["fps_mode"] = "passthrough"
            if video.time_base is not None:
                options[f"enc_time_base:v:{index}"] = str(video.time_base)
            if threads is not None:
                options[f"threads:v:{index}"] = threads
        else:
            options[f"c:v:{index}"] = "copy"
            if video.tag:
                options[f"tag:v:{index}"] = video.tag
    return options


def _muxer(plan: EncodePlan) -> Options:
    if isinstance(plan.package, FilePackage):
        return {**_MUXERS[plan.package.container], "max_muxing_queue_size": _QUEUE_PACKETS}
    # One set a stream: ffmpeg refuses renditions of one set whose aspects differ by a rounding.
    sets = [f"id={n},streams={n}" for n in range(len(plan.renditions) + len(plan.audio))]
    return {
        "format": "dash",
        "seg_duration": f"{float(plan.package.segment_seconds) - _picture_seconds(plan):.3f}",
        "use_template": 1,
        "use_timeline": 1,
        "init_seg_name": "init-$RepresentationID$.mp4",
        "media_seg_name": "seg-$RepresentationID$-$Number%05d$.m4s",
        "adaptation_sets": " ".join(sets),
        "max_muxing_queue_size": _QUEUE_PACKETS,
    }


def _picture_seconds(plan: EncodePlan) -> float:
    """Segments may end a picture and a half early, so that no key frame is passed over."""
    rates = [video.rate for video in plan.renditions if isinstance(video, VideoEncode)]
    return min(1.5 / float(min(rates)), 0.25)

"""A plan as one ffmpeg command."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ffmpeg

from darkstream.media.command.acceleration import hwaccel_options
from darkstream.media.command.drawing import MARK, Drawing, draw
from darkstream.media.command.encoders import Options, encoder_options, limit_threads
from darkstream.media.command.filters import filter_renditions
from darkstream.media.command.hardware import device_words
from darkstream.media.command.tracks import tag_words, track_options
from darkstream.model.encoded import Gain
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
SOURCE = "file:source"
_OUTPUT, _SCENES = "file:output", "<scenes>"
_MUXERS: dict[str, Options] = {
    "mp4": {"format": "mp4", "movflags": "+faststart", "write_tmcd": 0},
    "m4a": {"format": "ipod", "movflags": "+faststart"},
    "mov": {"format": "mov", "movflags": "+faststart", "write_tmcd": 0},
    "ts": {"format": "mpegts"},
    "opus": {"format": "opus"},
    "mp3": {"format": "mp3", "id3v2_version": 3},
    "flac": {"format": "flac"},
    "mkv": {"format": "matroska", "default_mode": "passthrough"},
    "webm": {"format": "webm", "default_mode": "passthrough"},
}
_QUEUE_PACKETS = 4096


def convert_command(  # noqa: PLR0913 - keywords, each one thing the caller has
    plan: EncodePlan,
    *,
    program: bytes,
    source: bytes,
    directory: bytes,
    max_pixels: int,
    threads: int | None = None,
    gains: Sequence[Gain | None] = (),
    drawing: Drawing | None = None,
    hdr10plus: bytes | None = None,
) -> tuple[bytes, ...]:
    """The words of the command that does what the plan says.

    It reads `source` and writes below `directory` (both absolute): `output_name(plan)`, for a
    presentation with its segments beside it. `gains`: one of each audio track, where its loudness
    was measured. `drawing`: what a plan reads that draws into the pictures. `hdr10plus`: the JSON
    of the pictures' data, where there is one.
    """
    gains = gains or [None] * len(plan.audio)
    graph = _graph(plan, max_pixels, threads, gains, drawing, told=hdr10plus is not None)
    *words, output = ffmpeg.get_args(graph)
    words += [*tag_words(plan), output]
    paths = {
        SOURCE: part_of(plan.source_bytes) + b"file:" + source,
        MARK: b"file:" + mark_of(plan),
        _OUTPUT: b"file:" + os.path.join(directory, output_name(plan).encode()),
    }
    if hdr10plus is not None:
        # A part of a word, in a list of keys and values (libavutil's av_get_token).
        escaped = re.sub(rb"[\\':=\s]", lambda found: b"\\" + found[0], hdr10plus)
        paths |= {w: w.encode().replace(_SCENES.encode(), escaped) for w in words if _SCENES in w}
    errors = ("-max_error_rate", "1", "-abort_on", "empty_output")
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    before = (*GLOBAL, *errors, *device_words(encodes))
    return (program, *map(str.encode, before), *(bind(w, paths) for w in words))


def output_name(plan: EncodePlan) -> str:
    """The file ffmpeg writes, relative to the working directory."""
    if isinstance(plan.package, FilePackage):
        return f"output.{plan.package.extension}"
    return MANIFEST


def input_options(formats: str, max_pixels: int, threads: int | None = None) -> dict[str, Any]:
    """What stands before `-i`: one demuxer, local files alone, bounded pictures."""
    options: dict[str, Any] = {
        "protocol_whitelist": "file",
        "format_whitelist": formats,
        "max_pixels": max_pixels,
    }
    if threads is not None:
        options["threads"] = threads
    return options


def other_streams(plan: EncodePlan) -> list[int]:
    """The source's streams that are in the output beside its pictures, in order."""
    indexes = [track.source_index for track in plan.audio]
    indexes += [track.source_index for track in plan.subtitles if track.track is None]
    return [*indexes, *plan.covers, *plan.attachments]


def source_options(
    plan: EncodePlan, max_pixels: int, threads: int | None, *, drawn: bool
) -> dict[str, Any]:
    """What stands before the source of a plan; `drawn`: something is drawn into its pictures."""
    options = input_options(",".join(plan.source_formats), max_pixels, threads)
    if plan.source_bytes is not None:
        options["protocol_whitelist"] = "subfile,file"
    for video in plan.renditions:
        if video.decoder is not None:
            # A copy's decoder only looks into the stream, and that is chosen for all video at once.
            stream = "v" if isinstance(video, VideoCopy) else video.source_index
            options[f"c:{stream}"] = video.decoder
        if isinstance(video, VideoEncode) and video.hwaccel is not None:
            options |= hwaccel_options(video.hwaccel, video.hwaccel_device)
    if plan.whole_raster:
        options["apply_cropping"] = "codec"
    if drawn:
        # A source that changes what it says of itself makes the filters begin anew: without a mark
        # whose only picture was read already.
        options["reinit_filter"] = 0
    return options


def mark_of(plan: EncodePlan) -> bytes:
    """The image drawn into the pictures; nothing where there is none."""
    image = None if plan.overlay is None else plan.overlay.image
    return b"" if image is None else os.fsencode(image)


def bind(word: str, paths: Mapping[str, bytes]) -> bytes:
    """A word with its real path.

    Real paths are put in last: ffmpeg-python cannot hold bytes that are not text."""
    return paths.get(word, word.encode("utf-8", "surrogateescape"))


def part_of(size: int | None) -> bytes:
    """The protocol that ends a file early."""
    return b"" if size is None else b"subfile,,start,0,end,%d,,:" % size


def _graph(
    plan: EncodePlan,
    max_pixels: int,
    threads: int | None,
    gains: Sequence[Gain | None],
    drawing: Drawing | None,
    *,
    told: bool,
) -> Any:  # noqa: ANN401 - untyped library
    options = source_options(plan, max_pixels, threads, drawn=drawing is not None)
    source = ffmpeg.input(SOURCE, noautorotate=None, **options)
    streams = _video_streams(plan, source, drawing, max_pixels)
    streams += [source[str(index)] for index in other_streams(plan)]
    made = {
        **_video_options(plan, threads, told=told),
        **track_options(plan, gains),
        **muxer_options(plan),
    }
    return ffmpeg.output(*streams, _OUTPUT, **made)


def _video_streams(
    plan: EncodePlan,
    source: Any,  # noqa: ANN401 - untyped library
    drawing: Drawing | None,
    max_pixels: int,
) -> list[Any]:
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    copies = [video for video in plan.renditions if isinstance(video, VideoCopy)]
    if encodes:
        into = source[str(encodes[0].source_index)]
        if drawing is None:
            return filter_renditions(into, encodes)
        return filter_renditions(
            into, encodes, lambda node: draw(node, source, plan, encodes[0], drawing, max_pixels)
        )
    return [source[str(video.source_index)] for video in copies]


def _video_options(plan: EncodePlan, threads: int | None, *, told: bool) -> Options:
    options: Options = {}
    for index, video in enumerate(plan.renditions):
        if isinstance(video, VideoEncode):
            aligned = isinstance(plan.package, AbrPackage)
            scenes = _SCENES if told and video.hdr10plus is not None else None
            options |= encoder_options(video, index, aligned=aligned, hdr10plus=scenes)
            options["fps_mode"] = "passthrough"
            if video.time_base is not None:
                options[f"enc_time_base:v:{index}"] = str(video.time_base)
            if threads is not None:
                options |= limit_threads(video.encoder, index, threads, options)
        else:
            options[f"c:v:{index}"] = "copy"
            if video.tag:
                options[f"tag:v:{index}"] = video.tag
    return options


def muxer_options(plan: EncodePlan) -> Options:
    """What the output's container is told."""
    if isinstance(plan.package, FilePackage):
        muxer = {**_MUXERS[plan.package.container], "max_muxing_queue_size": _QUEUE_PACKETS}
        if any(video.dolby_vision is not None for video in plan.renditions):
            muxer["f_strict"] = "unofficial"  # the box that declares it is Dolby's, not ISO's
        return muxer
    # One set a stream: ffmpeg refuses renditions of one set whose aspects differ by a rounding.
    sets = [f"id={n},streams={n}" for n in range(len(plan.renditions) + len(plan.audio))]
    return {
        "format": "dash",
        "dash_segment_type": "mp4",
        "seg_duration": f"{float(plan.package.segment_seconds) - _picture_seconds(plan):.3f}",
        # Where there is an index in each segment, ffmpeg moves pictures to fit it (movenc.c).
        "format_options": "movflags=+skip_sidx",
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


def picture_options(
    plan: EncodePlan, videos: Sequence[VideoEncode], threads: int | None
) -> Options:
    """Options of some renditions of a plan, the output's only streams, without its scenes' data."""
    alone = plan.model_copy(update={"renditions": tuple(videos)})
    return _video_options(alone, threads, told=False)

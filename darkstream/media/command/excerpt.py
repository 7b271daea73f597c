"""Commands that encode a part of a film as a plan would, and hold pictures against the source's.

Both sides go through the plan's own filters, and are paired picture by picture in order: what is
compared is what the encoder was given and what it made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ffmpeg

from darkstream.media.command.compare import metric_filter, same_samples, source_options
from darkstream.media.command.convert import GLOBAL, bind, input_options, part_of, picture_options
from darkstream.media.command.encoders import Options
from darkstream.media.command.filters import Filter, Node, chain, filter_renditions
from darkstream.media.command.hardware import device_words
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning.quality import Excerpt

_SOURCE, _MADE, _OUTPUT = "file:source", "file:made", "file:output"
_COUNTED: tuple[Filter, ...] = (("settb", {"expr": "1/1000"}), ("setpts", {"expr": "N"}))
"""Containers round times differently: each picture is held against the one of its number."""
_TOLERANT = ("-max_error_rate", "1")


@dataclass(frozen=True)
class Made:
    """What an encode made: the file, its demuxers, and which of its video streams.

    `enlarged`: it is seen at the size of the largest rendition, as on a screen.
    """

    path: bytes
    formats: str
    stream: int
    enlarged: bool = False


def excerpt_command(
    plan: EncodePlan,
    excerpt: Excerpt,
    qualities: Mapping[int, int | float],
    *,
    program: bytes,
    source: bytes,
    output: bytes,
    max_pixels: int,
    threads: int | None = None,
) -> tuple[bytes, ...]:
    """Encode a part with the qualities of some renditions, by their numbers, into one MP4 file.

    Its streams are in the order of the numbers. Without sound, and without data for single scenes.
    """
    numbers = sorted(qualities)
    plain = {"dolby_vision": None, "captions": False}
    videos = [
        _rendition(plan, number).model_copy(update={"quality": qualities[number], **plain})
        for number in numbers
    ]
    options: Options = {"format": "mp4", **picture_options(plan, videos, threads)}
    if excerpt.frames is not None:
        options["frames:v"] = excerpt.frames
    streams = _read(plan, excerpt, numbers, max_pixels, upload=True)
    opened = device_words([_rendition(plan, number) for number in numbers])
    words = [*opened, *ffmpeg.get_args(ffmpeg.output(*streams, _OUTPUT, **options))]
    return _bind(words, plan, program, {_SOURCE: source, _OUTPUT: output})


def score_command(
    plan: EncodePlan,
    excerpt: Excerpt,
    number: int,
    *,
    program: bytes,
    source: bytes,
    made: Made,
    max_pixels: int,
) -> tuple[bytes, ...]:
    """Score a rendition's pictures by its target's metric.

    The output's streams count the pictures that were made, and those of the source: only if they
    are as many does the score mean anything.
    """
    seen = 0 if made.enlarged else number
    video = _rendition(plan, seen)
    if video.target is None:
        raise ValueError(f"{video.name} has no target")
    told = input_options(made.formats, max_pixels)
    encoded = ffmpeg.input(_MADE, **told)[f"v:{made.stream}"]
    if made.enlarged:
        encoded = encoded.filter("scale", w=video.width, h=video.height, flags="bicubic")
    (original,) = _read(plan, excerpt, [seen], max_pixels, upload=False)
    if excerpt.frames is not None:
        original = original.filter("trim", end_frame=excerpt.frames)
    filters = [same_samples(video), *_COUNTED]
    sides = [chain(node, filters).split() for node in (encoded, original)]
    name, options = metric_filter(video.target.metric, video)
    score = ffmpeg.filter([side[0] for side in sides], name, **options)
    output = ffmpeg.output(
        *(side[1] for side in sides), score, "-", format="null", fps_mode="passthrough"
    )
    return _bind(ffmpeg.get_args(output), plan, program, {_SOURCE: source, _MADE: made.path})


def _read(
    plan: EncodePlan, excerpt: Excerpt, numbers: list[int], max_pixels: int, *, upload: bool
) -> list[Node]:
    """What the encoders of some renditions are given of a part, from time 0 on."""
    encodes = [_rendition(plan, number) for number in range(len(plan.renditions))]
    # Without them players are told so, and the filters leave no trace of them.
    encodes = [one.model_copy(update={"dolby_vision": None}) for one in encodes]
    # A source that changes what it says of itself makes the filters begin anew, and count from 0.
    options: dict[str, Any] = {
        **source_options(plan, encodes[0], max_pixels),
        "reinit_filter": 0,
    }
    if excerpt.start:
        options |= {"ss": f"{float(excerpt.start):.3f}", "noaccurate_seek": None}
    source = ffmpeg.input(_SOURCE, noautorotate=None, **options)
    node = source[str(encodes[0].source_index)].filter("setpts", "PTS-STARTPTS")
    return filter_renditions(node, encodes, only=numbers, upload=upload)


def _rendition(plan: EncodePlan, number: int) -> VideoEncode:
    video = plan.renditions[number]
    if not isinstance(video, VideoEncode):
        raise ValueError(f"{video.name} is copied, not encoded")  # noqa: TRY004 - of a plan
    return video


def _bind(
    words: list[str], plan: EncodePlan, program: bytes, paths: Mapping[str, bytes]
) -> tuple[bytes, ...]:
    part = part_of(plan.source_bytes)
    real = {
        name: (part if name == _SOURCE else b"") + b"file:" + path for name, path in paths.items()
    }
    return (program, *map(str.encode, (*GLOBAL, *_TOLERANT)), *(bind(word, real) for word in words))

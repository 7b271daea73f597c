"""The sound of a plan alone, to be copied into its output: encoded beside the chunks of a film."""

from __future__ import annotations

import os
from collections.abc import Sequence

import ffmpeg

from darkstream.media.command.convert import GLOBAL, SOURCE, bind, source_options
from darkstream.media.command.tracks import track_options
from darkstream.model.encoded import Gain
from darkstream.model.plan import AbrPackage, EncodePlan

_OUTPUT = "file:output"
_CONTAINERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
"""What the file between is: that of the output, whose times and lengths it then has to the tick."""
_EXACT = {
    "mp4": {"aac", "opus", "mp3"},
    "mov": {"aac", "mp3"},
    "mkv": {"aac", "opus"},
    "webm": {"opus"},
}
"""Codecs that come out of the file between as they went in: begin, end and every sample.

Of others (AC-3, FLAC) the last packet gets another length, or there is one less. They take little
to encode.
"""
_QUEUE_PACKETS = 4096


def soundtrack_name(plan: EncodePlan) -> str | None:
    """The file of a plan's sound; None: it has none that can be encoded alone."""
    return f"sound.{_container(plan)}" if tracks_alone(plan) else None


def tracks_alone(plan: EncodePlan) -> tuple[int, ...]:
    """Numbers of a plan's audio tracks that, encoded alone, are in the output just the same."""
    exact = _EXACT.get(_container(plan), set())
    return tuple(
        number
        for number, track in enumerate(plan.audio)
        if track.encoder is not None and track.codec in exact
    )


def _container(plan: EncodePlan) -> str:
    return "mp4" if isinstance(plan.package, AbrPackage) else plan.package.container


def soundtrack_command(
    plan: EncodePlan,
    *,
    program: bytes,
    source: bytes,
    directory: bytes,
    max_pixels: int,
    gains: Sequence[Gain | None] = (),
) -> tuple[bytes, ...]:
    """The words of the command that encodes a plan's `tracks_alone`, into one file.

    It writes `soundtrack_name(plan)` below `directory`; both paths are absolute. `gains`: one of
    each audio track of the plan, where its loudness was measured.
    """
    name = soundtrack_name(plan)
    if name is None:
        raise ValueError("the plan has no sound to encode alone")
    gains = gains or [None] * len(plan.audio)
    heard = [(plan.audio[number], gains[number]) for number in tracks_alone(plan)]
    alone = plan.model_copy(
        update={
            "renditions": (),
            "audio": tuple(track for track, _ in heard),
            "subtitles": (),
            "covers": (),
            "attachments": (),
            "chapters": False,
        }
    )
    options = {
        **track_options(alone, [gain for _, gain in heard]),
        "format": _CONTAINERS[name.partition(".")[2]],
        "max_muxing_queue_size": _QUEUE_PACKETS,
    }
    read = ffmpeg.input(SOURCE, **source_options(alone, max_pixels, None, drawn=False))
    streams = [read[str(track.source_index)] for track, _ in heard]
    words = ffmpeg.get_args(ffmpeg.output(*streams, _OUTPUT, **options))
    output = os.path.join(directory, name.encode())
    paths = {SOURCE: b"file:" + source, _OUTPUT: b"file:" + output}
    errors = ("-max_error_rate", "1")
    return (program, *map(str.encode, (*GLOBAL, *errors)), *(bind(w, paths) for w in words))

"""The joined chunks of a plan and the rest of its source as one ffmpeg command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import ffmpeg

from darkstream.media.command.convert import (
    GLOBAL,
    SOURCE,
    bind,
    input_options,
    muxer_options,
    other_streams,
    output_name,
    source_options,
)
from darkstream.media.command.encoders import Options, copy_options
from darkstream.media.command.soundtrack import tracks_alone
from darkstream.media.command.tracks import tag_words, track_options
from darkstream.model.encoded import Gain
from darkstream.model.plan import AbrPackage, EncodePlan, VideoEncode

_VIDEO, _SOUND, _OUTPUT = "file:video-", "file:sound", "file:output"
_JOINED = "mov,mp4,m4a,3gp,3g2,mj2"
"""The demuxers of joined chunks."""
_ALONE = f"{_JOINED},matroska,webm"
"""The demuxers of a soundtrack."""


def mux_command(
    plan: EncodePlan,
    videos: Sequence[bytes],
    *,
    program: bytes,
    source: bytes,
    directory: bytes,
    max_pixels: int,
    gains: Sequence[Gain | None] = (),
    soundtrack: bytes | None = None,
) -> tuple[bytes, ...]:
    """The words of the command that encodes all of a plan but its pictures, and joins both.

    `videos`: a file a rendition; they begin as late as the pictures of the source do. `soundtrack`:
    a file of its `tracks_alone`, where they are encoded already: the last input. All paths are
    absolute; what is written is `output_name(plan)` below `directory`, and what belongs to it.
    """
    if plan.chunking is None:
        raise ValueError("the plan has no chunks")
    chunking = plan.chunking
    late = chunking.chunks[0].begin * chunking.time_base - chunking.start
    read = ffmpeg.input(SOURCE, **source_options(plan, max_pixels, None, drawn=False))
    options = input_options(_JOINED, max_pixels) | {"itsoffset": f"{float(late):.6f}"}
    joined = [ffmpeg.input(f"{_VIDEO}{number}", **options) for number in range(len(videos))]
    sound = [f"0:{track.source_index}" for track in plan.audio]
    if soundtrack is not None:
        # Else ffmpeg would let it begin at 0, as it does with each input that is not sought in.
        kept = {"seek_timestamp": 1}
        joined.append(ffmpeg.input(_SOUND, **input_options(_ALONE, max_pixels), **kept))
        sound, plan = _copy_sound(plan, len(joined))
    made = {
        **_video_options(plan),
        **track_options(plan, gains or [None] * len(plan.audio)),
        **muxer_options(plan),
    }
    # Word by word: ffmpeg-python would count the inputs as it likes, and chapters are input 0's.
    inputs = [word for one in (read, *joined) for word in _input_words(one)]
    maps = [f"{number}:v:0" for number in range(1, len(videos) + 1)]
    maps += [*sound, *(f"0:{index}" for index in other_streams(plan)[len(sound) :])]
    mapped = [word for name in maps for word in ("-map", name)]
    *rest, output = _output_words(read, made)
    words = [*inputs, *mapped, *rest, *tag_words(plan), output]
    paths = {
        SOURCE: b"file:" + source,
        _OUTPUT: b"file:" + os.path.join(directory, output_name(plan).encode()),
        _SOUND: b"file:" + (soundtrack or b""),
        **{f"{_VIDEO}{number}": b"file:" + path for number, path in enumerate(videos)},
    }
    errors = ("-max_error_rate", "1", "-abort_on", "empty_output")
    return (program, *map(str.encode, (*GLOBAL, *errors)), *(bind(w, paths) for w in words))


def _copy_sound(plan: EncodePlan, number: int) -> tuple[list[str], EncodePlan]:
    """Where each audio track is, and the plan in which those of that input are copied."""
    maps = [f"0:{track.source_index}" for track in plan.audio]
    tracks = list(plan.audio)
    for place, track in enumerate(tracks_alone(plan)):
        maps[track] = f"{number}:a:{place}"
        tracks[track] = tracks[track].model_copy(update={"encoder": None})
    return maps, plan.model_copy(update={"audio": tuple(tracks)})


def _video_options(plan: EncodePlan) -> Options:
    options: Options = {}
    aligned = isinstance(plan.package, AbrPackage)
    for index, video in enumerate(plan.renditions):
        options[f"c:v:{index}"] = "copy"
        if isinstance(video, VideoEncode):
            options |= copy_options(video, index, aligned=aligned)
    return options


def _input_words(node: Any) -> list[str]:  # noqa: ANN401 - untyped library
    words: list[str] = ffmpeg.get_args(ffmpeg.output(node["0"], _OUTPUT))
    return words[: words.index("-map")]


def _output_words(node: Any, options: Options) -> list[str]:  # noqa: ANN401 - untyped library
    words: list[str] = ffmpeg.get_args(ffmpeg.output(node["0"], _OUTPUT, **options))
    return words[words.index("-map") + 2 :]

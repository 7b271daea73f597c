"""A command that decodes files to nowhere, to see whether all of them can be decoded."""

from __future__ import annotations

from collections.abc import Sequence

import ffmpeg

from darkstream.media.command.convert import GLOBAL, input_options
from darkstream.media.command.encoders import Options

_SOURCE = "file:source"
_ALLOWED = {"hls": {"allowed_extensions": "ALL", "extension_picky": 0}}


def decode_command(
    sources: Sequence[bytes],
    *,
    program: bytes,
    formats: str,
    max_pixels: int,
    strict: bool,
    key_frames: bool = False,
    threads: int | None = None,
) -> tuple[bytes, ...]:
    """Decode every video and audio stream of every source, in one process.

    `strict` ends with an error at the first thing that does not decode (`-xerror`); else the
    errors are only counted. `key_frames`: of video those alone. Paths are absolute.
    """
    chosen: Options = {"skip_frame:v": "nokey"} if key_frames else {}
    inputs = [
        ffmpeg.input(
            f"{_SOURCE}{number}",
            **_ALLOWED.get(formats, {}),
            **input_options(formats, max_pixels, threads),
            **chosen,
        )
        for number in range(len(sources))
    ]
    streams = [stream for node in inputs for stream in (node["v?"], node["a?"])]
    # A fine clock: on one of the picture rate, pictures that are near each other would collide.
    options = {"format": "null", "fps_mode": "passthrough", "enc_time_base:v": "1/1000000"}
    words = ffmpeg.get_args(ffmpeg.output(*streams, "-", **options))
    paths = {f"{_SOURCE}{n}": b"file:" + source for n, source in enumerate(sources)}
    manner = ("-xerror",) if strict else ("-max_error_rate", "1")
    return (
        program,
        *map(str.encode, (*GLOBAL, *manner)),
        *(paths.get(word, word.encode()) for word in words),
    )

"""What an encode made, what its verification measured, and what is published of it."""

from __future__ import annotations

from darkstream.model.base import Frozen, Rational
from darkstream.model.media import Finding


class StreamTally(Frozen):
    """What ffmpeg counted for one stream of an input."""

    index: int
    kind: str
    packets: int
    frames: int
    errors: int


class Encoded(Frozen):
    """The files of one encode, not yet verified.

    `directory` is absolute and holds nothing else; `main` is the file ffmpeg was told to write,
    relative to it. `frames` is what went into each rendition, in the plan's order.
    """

    directory: bytes
    main: bytes
    frames: tuple[int, ...]
    source: tuple[StreamTally, ...]
    decode_errors: int
    findings: tuple[Finding, ...]
    outgrown: bool = False
    """Whether it was ended because it could not become as small as the plan demands."""
    reused: bool = False
    """Whether it was there already, verified by an earlier attempt."""
    command: str
    log: str
    wall_s: float
    cpu_s: float


class Verification(Frozen):
    """What was measured of an output that holds what the plan promised; seconds, bytes.

    `damaged_source`: packets were copied and do not decode: plan again, with `findings` added to
    the validation report, and what can be decoded is encoded instead.
    """

    frames: tuple[int, ...]
    duration: Rational | None
    expected_duration: Rational | None
    video_streams: int
    audio_streams: int
    subtitle_streams: int
    size: int
    findings: tuple[Finding, ...] = ()
    damaged_source: bool = False
    wall_s: float
    cpu_s: float


class Presentation(Frozen):
    """What is published: a file, or a directory and the file in it to open first."""

    path: bytes
    """Absolute."""
    entry: bytes | None = None
    """Relative to `path`; None: `path` is the file itself."""
    files: int
    size: int

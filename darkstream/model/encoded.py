"""What an encode made, what its verification measured, and what is published of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat

from darkstream.model.base import Frozen, Rational
from darkstream.model.media import Finding
from darkstream.model.preset import Metric


class StreamTally(Frozen):
    """What ffmpeg counted for one stream of an input."""

    index: int
    kind: str
    packets: int
    frames: int
    errors: int


class Gain(Frozen):
    """How a track reaches its loudness: LUFS and dBTP as measured, dB to add.

    `limited`: peaks above the allowed true peak are held down.
    """

    integrated: FiniteFloat
    true_peak: FiniteFloat
    gain_db: FiniteFloat
    limited: bool = False


class ChunkFile(Frozen):
    """One rendition of a chunk: a file beside its record."""

    name: Annotated[str, Field(pattern=r"^[0-9a-z][0-9a-z.-]{0,63}$")]
    size: int
    blake3: str


class EncodedChunk(Frozen):
    """One chunk, encoded and checked: a file a rendition, in the plan's order.

    `source` is what was read of the main video for it.
    """

    index: int
    files: tuple[ChunkFile, ...]
    source: StreamTally
    command: str
    wall_s: float
    cpu_s: float


class EncodedSoundtrack(Frozen):
    """The audio tracks of a film that can be encoded alone, in one file, made beside its chunks.

    `tracks` are their numbers in the plan and `packets` how many each has. `sources` is what was
    read of each of the source's streams for them, without an error; `gains` as in `Encoded`.
    """

    files: Annotated[tuple[ChunkFile, ...], Field(min_length=1, max_length=1)]
    tracks: tuple[int, ...]
    packets: tuple[int, ...]
    sources: tuple[StreamTally, ...]
    gains: tuple[Gain | None, ...]
    command: str
    log: Annotated[str, Field(max_length=16_384)] = ""
    wall_s: float
    cpu_s: float


class Soundtrack(Frozen):
    """An encoded soundtrack and where its file is: an absolute path.

    `found`: an earlier attempt encoded it.
    """

    made: EncodedSoundtrack
    path: bytes
    found: bool = False


class Assembled(Frozen):
    """The video of a film whose chunks were joined: a file a rendition, absolute paths.

    `pictures` in each of them; `cpu_s` and `wall_s` of all chunks and of the joining; `encoded` of
    so many chunks this attempt encoded itself, `helped` others meanwhile. `soundtrack`: where the
    sound is encoded already, too.
    """

    files: tuple[bytes, ...]
    pictures: int
    source: StreamTally
    chunks: int
    encoded: int
    helped: int = 0
    soundtrack: Soundtrack | None = None
    command: str
    wall_s: float
    cpu_s: float


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
    gains: tuple[Gain | None, ...] = ()
    """What was done for the loudness of each audio track of the plan; empty: of none."""
    without_dolby_vision: bool = False
    """Whether it was left out against the plan, as some of the source's pictures have none."""
    hdr10plus: str | None = None
    """Digest of the HDR10+ data of all pictures, as the output must have them; None: none."""
    outgrown: bool = False
    """Whether it was ended because it could not become as small as the plan demands."""
    reused: bool = False
    """Whether it was there already, verified by an earlier attempt."""
    command: str
    log: str
    wall_s: float
    cpu_s: float


class Score(Frozen):
    """How alike a rendition's pictures are to those its encoder was given, and what was wished.

    `whole`: all of them were compared, not those of places spread over a long film.
    """

    rendition: str
    metric: Metric
    score: float
    target: float
    whole: bool


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
    loudness: tuple[float | None, ...] = ()
    """LUFS of each audio track whose loudness the plan demands, as published."""
    quality: tuple[Score, ...] = ()
    """Of each rendition that has a target."""
    findings: tuple[Finding, ...] = ()
    damaged_source: bool = False
    wall_s: float
    cpu_s: float


class MadeCompanion(Frozen):
    """A file or directory that goes beside the output: `path` absolute, `suffix` of its name."""

    suffix: str
    path: bytes


class Presentation(Frozen):
    """What is published: a file, or a directory and the file in it to open first."""

    path: bytes
    """Absolute."""
    entry: bytes | None = None
    """Relative to `path`; None: `path` is the file itself."""
    files: int
    size: int
    companions: tuple[MadeCompanion, ...] = ()

"""Every decision for one file, explicit: nothing downstream decides again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from darkstream.model.base import Frozen, Rational
from darkstream.model.media import Colour, ContentLight, Disposition, Finding, MasteringDisplay


class VideoEncode(Frozen):
    """One rendition of one source stream, every choice made.

    `width` x `height` are the coded size of the output (square pixels, upright); `source_index` is
    the stream's index in the source file.
    """

    name: str
    source_index: int
    decoder: str | None = None
    """The decoder to read the source with; None: ffmpeg's usual one."""
    codec: str
    encoder: str
    hardware: bool = False
    width: int
    height: int
    rotation: Literal[0, 90, 180, 270] = 0
    mirrored: bool = False
    crop: bool = False
    """Cut an odd last row and column off: the size is otherwise the source's."""
    deinterlace: bool = False
    field_order: Literal["tff", "bff"] | None = None
    """First field of an interlaced source."""
    flatten: bool = False
    """Blend a source with transparency onto black."""
    tonemap: bool = False
    rematrix: bool = False
    """The scaler knows no such matrix as the source's: another filter brings it to `colour`'s."""
    pix_fmt: str
    source_colour: Colour = Colour()
    """What the samples of the source mean, guesses filled in; None: left to the decoder."""
    colour: Colour = Colour()
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    rate: Rational
    """Pictures a second, assumed for key frames and buffers; timestamps do not depend on it."""
    frame_rate: Rational | None = None
    """Constant rate to force; None: the source's timestamps pass through."""
    time_base: Rational | None = None
    """Clock of the timestamps that pass through, seconds a tick: the source's own."""
    quality: int
    speed: str
    keyframe_interval: Rational
    max_bit_rate: int | None = None
    profile: str | None = None
    tag: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    """Further encoder options, in order."""


class VideoCopy(Frozen):
    """A video stream that already fits: copied packet by packet."""

    name: str
    source_index: int
    codec: str
    tag: str | None = None
    decoder: str | None = None
    """The decoder that tells the muxer all of the stream; None: ffmpeg's usual one."""


class AudioTrack(Frozen):
    """One audio track of the output; `encoder` None: copied."""

    source_index: int
    codec: str
    encoder: str | None = None
    bit_rate: int | None = None
    channels: int
    layout: str | None = None
    sample_rate: int
    language: str | None = None
    title: str | None = None
    disposition: Disposition = Disposition()


class SubtitleTrack(Frozen):
    """One subtitle track of the output; `encoder` None: copied."""

    source_index: int
    codec: str
    encoder: str | None = None
    language: str | None = None
    title: str | None = None
    disposition: Disposition = Disposition()


class Expectation(Frozen):
    """What verification holds the output against; None: the source could not tell.

    `duration` in seconds, from the first shown frame to the end of the last one; `frames` is the
    number of video frames where timestamps pass through.
    """

    duration: Rational | None
    frames: int | None
    video_streams: int
    audio_streams: int
    subtitle_streams: int


class FilePackage(Frozen):
    """One output file."""

    kind: Literal["file"] = "file"
    container: Literal["mp4", "mkv", "webm", "m4a"]
    extension: str


class AbrPackage(Frozen):
    """HLS and DASH over one set of CMAF segments."""

    kind: Literal["abr"] = "abr"
    segment_seconds: Rational
    hls: bool
    dash: bool


class EncodePlan(Frozen):
    """What is done to one file: an encode (`convert`) or copies only (`remux`)."""

    decision: Literal["convert", "remux"]
    reason: str
    findings: tuple[Finding, ...] = ()
    source_formats: tuple[str, ...]
    """Demuxers ffmpeg may use on the input, as probed."""
    source_bytes: int | None = None
    """Only so many bytes of the source are read; None: all."""
    renditions: tuple[VideoEncode | VideoCopy, ...]
    audio: tuple[AudioTrack, ...]
    subtitles: tuple[SubtitleTrack, ...]
    attachments: tuple[int, ...] = ()
    """Source indexes of attachments that are kept."""
    chapters: bool = True
    title: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """What is written into music: artist, album and the like, by ffmpeg's names."""
    covers: tuple[int, ...] = ()
    """Source indexes of cover pictures that are kept."""
    package: Annotated[FilePackage | AbrPackage, Field(discriminator="kind")]
    expect: Expectation
    smaller_by: float | None = None
    build: str
    """The ffmpeg build the plan was made for."""
    planner: str
    """Version of the planning rules: part of the fingerprint."""


class Skip(Frozen):
    """The source stays as it is."""

    decision: Literal["skip"] = "skip"
    reason: str
    findings: tuple[Finding, ...] = ()
    on_skip: Literal["none", "link", "copy"] = "none"


class Reject(Frozen):
    """The source cannot be converted; the reason is one sentence a user understands."""

    decision: Literal["reject"] = "reject"
    reason: str
    findings: tuple[Finding, ...] = ()


Decision = Annotated[EncodePlan | Skip | Reject, Field(discriminator="decision")]
"""Parse with `pydantic.TypeAdapter(Decision)`."""

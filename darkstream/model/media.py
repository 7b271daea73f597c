"""What probing found in a file: streams, times, colour, chapters, and what looks wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from darkstream.model.base import Frozen, Rational


class Severity(StrEnum):
    """How much a finding matters: `reject` wins over `repairable` wins over `ok`."""

    ok = "ok"
    repairable = "repairable"
    reject = "reject"


class Finding(Frozen):
    """One thing seen in a file: a stable code (kebab-case), and a sentence a user understands."""

    code: str
    severity: Severity
    message: str


class ValidationReport(Frozen):
    """Every finding of one file; the worst severity decides."""

    findings: tuple[Finding, ...] = ()

    @property
    def severity(self) -> Severity:
        """The worst severity of all findings; `ok` when there is none."""
        for severity in (Severity.reject, Severity.repairable):
            if any(finding.severity is severity for finding in self.findings):
                return severity
        return Severity.ok


class Colour(Frozen):
    """ffmpeg's names of primaries, transfer, matrix and range; None: the file does not say."""

    primaries: str | None = None
    transfer: str | None = None
    matrix: str | None = None
    range: Literal["tv", "pc"] | None = None


class MasteringDisplay(Frozen):
    """SMPTE ST 2086: chromaticities (x, y) and luminance in cd/m2."""

    red: tuple[Rational, Rational]
    green: tuple[Rational, Rational]
    blue: tuple[Rational, Rational]
    white: tuple[Rational, Rational]
    min_luminance: Rational
    max_luminance: Rational


class ContentLight(Frozen):
    """CTA-861.3: maximum content and frame-average light level, cd/m2."""

    max_cll: int
    max_fall: int


class DolbyVision(Frozen):
    """What a Dolby Vision stream says of itself (its configuration record, or its first picture).

    `compatibility` is what players without Dolby Vision see: 0 nothing that makes sense, 1 HDR10,
    2 SDR, 4 HLG, 6 the HDR10 of a Blu-ray disc; None: it does not say.
    """

    profile: int | None = None
    compatibility: int | None = None
    enhancement: bool = False
    """Whether a second layer is in the stream."""
    letterboxed: bool = False
    """Whether the data of the first picture count the pixels of black bars."""
    declared: bool = True
    """Whether the container holds a record of it; without one players do not look for it."""


Hdr = Literal["none", "hdr10", "hdr10plus", "hlg", "dolby_vision"]
DynamicHdr = Literal["dolby_vision", "hdr10plus"]
"""Data for single scenes, beside HDR pictures."""
FieldOrder = Literal["progressive", "tff", "bff", "unknown"]


class Disposition(Frozen):
    """The flags of a track that survive a conversion."""

    default: bool = False
    forced: bool = False
    comment: bool = False
    original: bool = False
    dub: bool = False
    hearing_impaired: bool = False
    visual_impaired: bool = False


class Stream(Frozen):
    """What every kind of stream has; times in seconds, None where the container does not say."""

    index: int
    codec: str
    profile: str | None = None
    tag: str | None = None
    time_base: Rational | None = None
    start: Rational | None = None
    duration: Rational | None = None
    bit_rate: int | None = None
    language: str | None = None
    title: str | None = None
    disposition: Disposition = Disposition()


class Crop(Frozen):
    """The part of a coded picture that holds something: even pixels from its top left corner.

    Coded pictures are neither turned nor made square.
    """

    width: int
    height: int
    x: int
    y: int


class VideoStream(Stream):
    """One real video stream (cover pictures are `Attachment`s).

    `width` and `height` are as coded; `rotation` is clockwise degrees to turn the picture for
    viewing, after `mirrored` (a horizontal flip) was applied; `frames` is the declared count.
    """

    width: int
    height: int
    sar: Rational
    rotation: Literal[0, 90, 180, 270] = 0
    mirrored: bool = False
    pix_fmt: str
    bit_depth: int
    chroma: Literal["400", "420", "422", "444", "rgb", "other"]
    alpha: bool = False
    level: int | None = None
    average_rate: Rational | None = None
    nominal_rate: Rational | None = None
    variable_rate: bool = False
    frames: int | None = None
    field_order: FieldOrder = "unknown"
    colour: Colour = Colour()
    hdr: Hdr = "none"
    dolby_vision: DolbyVision | None = None
    hdr10plus: bool = False
    """Whether HDR10+ data are beside the pictures, those of Dolby Vision included."""
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    active: Crop | None = None
    """What is left without black bars, where that was measured and there are some."""
    captions: bool = False
    """Whether CEA-608 or -708 captions are inside the pictures."""
    decoded: bool = True
    """Whether the first frame could be decoded."""


class AudioStream(Stream):
    """One audio track; rate in Hz."""

    sample_rate: int
    channels: int
    layout: str | None = None
    sample_format: str | None = None
    decoded: bool = True


class SubtitleStream(Stream):
    """One subtitle track."""

    kind: Literal["text", "bitmap"]


class Attachment(Stream):
    """Anything else: cover pictures, fonts, data and timecode tracks."""

    kind: Literal["cover", "font", "data", "timecode", "other"]
    filename: str | None = None
    mimetype: str | None = None


class Chapter(Frozen):
    """A named time range, in seconds."""

    start: Rational
    end: Rational
    title: str | None = None


class MediaInfo(Frozen):
    """What probing found in one file.

    `formats` are libavformat's demuxer names; `container` is the one DarkStream name of the family;
    `duration` and `start` in seconds. `findings` are what the prober itself saw (declared sizes
    past the end of the file, encryption, streams that do not decode); the judgement is
    planning.validate's.
    """

    formats: tuple[str, ...]
    container: Literal[
        "mp4", "mov", "matroska", "webm", "mpegts", "avi", "flv", "ogg", "asf", "audio", "other"
    ]
    size_bytes: int
    content_bytes: int | None = None
    """Bytes before the zeros that fill the rest of the file; None: all of it."""
    duration: Rational | None = None
    start: Rational | None = None
    bit_rate: int | None = None
    faststart: bool | None = None
    encrypted: bool = False
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    title: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Artist, album and the like, by ffmpeg's names."""
    findings: tuple[Finding, ...] = ()
    prober: str
    """Name and version of the prober: part of every cache key."""

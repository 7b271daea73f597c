"""Every decision for one file, explicit: nothing downstream decides again."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from darkstream.model.base import Frozen, Rational
from darkstream.model.capabilities import DecodingFamily
from darkstream.model.media import (
    Colour,
    ContentLight,
    Crop,
    Disposition,
    DolbyVision,
    Finding,
    MasteringDisplay,
)
from darkstream.model.preset import Container, Metric, Mix


class Target(Frozen):
    """A quality that a rendition is to reach, and by what it is measured: VMAF; dB; SSIM."""

    metric: Metric
    score: float
    model: str | None = None
    """VMAF's, by the name that libvmaf knows it by."""


class Probe(Frozen):
    """What one setting of an encoder's scale gave on samples of the film; bit/s."""

    quality: int | float
    score: float
    bit_rate: int


class VideoEncode(Frozen):
    """One rendition of one source stream, every choice made.

    `width` x `height` are the coded size of the output (square pixels, upright); `source_index` is
    the stream's index in the source file.
    """

    name: str
    source_index: int
    decoder: str | None = None
    """The decoder to read the source with; None: ffmpeg's usual one."""
    hwaccel: DecodingFamily | None = None
    """The hardware that decodes the source and makes its pictures smaller; None: software."""
    hwaccel_device: str | None = None
    hwaccel_bits: Literal[8, 10] = 8
    """Bits a sample that come back from it."""
    codec: str
    encoder: str
    hardware: bool = False
    device: str | None = None
    """What the hardware encoder was proved on, where ffmpeg is told."""
    width: int
    height: int
    rotation: Literal[0, 90, 180, 270] = 0
    mirrored: bool = False
    cut: Crop | None = None
    """What is kept of the source's pictures; the black bars around it are cut off."""
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
    interlaced: bool = False
    """The source's fields are kept as they are."""
    sar: Rational = Fraction(1)
    """Width of a pixel by its height; only lossless renditions keep another than 1."""
    lossless: bool = False
    quality: int | float | None
    """None: the encoder has no such scale, or what reaches `target` is still to be found."""
    target: Target | None = None
    probes: tuple[Probe, ...] = ()
    """How `quality` was found for the target, in order."""
    speed: str | None
    keyframe_interval: Rational
    max_bit_rate: int | None = None
    profile: str | None = None
    tag: str | None = None
    captions: bool = False
    """CEA-608 and -708 captions stay inside the pictures."""
    dolby_vision: DolbyVision | None = None
    """What the output is declared as; each of its pictures has the data of the source's."""
    dolby_vision_demanded: bool = False
    """Better no output than one without them."""
    hdr10plus: Literal["keep", "require"] | None = None
    """The HDR10+ data of the source's pictures are written beside the output's."""
    strip_dolby_vision: bool = False
    """The source's Dolby Vision data are left out, though its pictures are no HDR without them."""
    options: tuple[tuple[str, str], ...] = ()
    """Further encoder options, in order."""


class Burn(Frozen):
    """A subtitle track that is drawn into the picture.

    `track`: the form text is taken out of the source in; None: the track is pictures.
    """

    source_index: int
    track: Literal["srt", "ass", "vtt"] | None = None


class Overlay(Frozen):
    """A mark on the largest rendition, which the smaller ones are made of; sizes in its pixels.

    `content` is the blake3 of the image. `x` and `y` are -1 at the left or top, 0 in the middle, 1
    at the right or bottom; seconds.
    """

    image: str | None = None
    content: str | None = None
    demuxer: str | None = None
    """How ffmpeg opens the image: by its name it could take it for a series of them."""
    text: str | None = None
    width: int | None = None
    """Of an image."""
    height: int | None = None
    """Of a text's letters."""
    x: Literal[-1, 0, 1]
    y: Literal[-1, 0, 1]
    margin: int
    opacity: float
    start: Rational = Fraction(0)
    end: Rational | None = None


class VideoCopy(Frozen):
    """A video stream that already fits: copied packet by packet."""

    name: str
    source_index: int
    codec: str
    tag: str | None = None
    dolby_vision: DolbyVision | None = None
    """What the source and then the output are declared as."""
    decoder: str | None = None
    """The decoder that tells the muxer all of the stream; None: ffmpeg's usual one."""


class Loudness(Frozen):
    """Where a track's loudness goes: LUFS integrated, dBTP at most."""

    target: float
    true_peak: float


class AudioTrack(Frozen):
    """One audio track of the output; `encoder` None: copied."""

    source_index: int
    codec: str
    encoder: str | None = None
    bit_rate: int | None = None
    bits: Literal[16, 24] | None = None
    """Bits a sample, where the encoder has a choice."""
    channels: int
    layout: str | None = None
    sample_rate: int
    mix: Mix | None = None
    """Made of a track of more channels, which has a track of its own too."""
    source_layout: str | None = None
    """Channels of the source's track, where it is mixed down."""
    loudness: Loudness | None = None
    padded: bool = False
    """Whether silence is put before it, where it begins after the rest in the source."""
    late: Rational | None = None
    """Seconds after the rest at which it begins there; None: not known."""
    language: str | None = None
    title: str | None = None
    disposition: Disposition = Disposition()


class SubtitleTrack(Frozen):
    """One subtitle track of the output; `encoder` None: copied.

    `track`: the form it is taken out of the source in, to become a file of WebVTT; None: it goes
    into the output's own file.
    """

    source_index: int
    codec: str
    encoder: str | None = None
    track: Literal["srt", "ass", "vtt"] | None = None
    language: str | None = None
    title: str | None = None
    disposition: Disposition = Disposition()


class Sidecar(Frozen):
    """A text track, or the captions inside the pictures of a video stream, in a file of its own."""

    kind: Literal["sidecar"] = "sidecar"
    suffix: str
    """Put behind the stem of the output's name."""
    source_index: int
    captions: bool = False
    track: Literal["srt", "ass", "vtt"]
    """The form it is taken out of the source in, which loses nothing."""
    format: Literal["srt", "vtt", "ass"]


class Picture(Frozen):
    """What pictures of the output have: sizes in pixels, square and upright."""

    width: int
    height: int
    hdr: Colour | None = None
    """What the samples of HDR pictures mean: they are brought to BT.709."""


class Poster(Picture):
    """A still of the output, as large as it is."""

    kind: Literal["poster"] = "poster"
    suffix: str = "-poster.jpg"


class Sprites(Picture):
    """Sheets of small pictures, one every `seconds`, with a WebVTT map."""

    kind: Literal["sprites"] = "sprites"
    suffix: str = ".trickplay"
    seconds: Rational
    columns: int = 10
    rows: int = 10


class Thumbnails(Picture):
    """Single small pictures, one every `seconds`."""

    kind: Literal["thumbnails"] = "thumbnails"
    suffix: str = ".thumbnails"
    seconds: Rational


class Preview(Picture):
    """A short animation."""

    kind: Literal["preview"] = "preview"
    suffix: str
    format: Literal["webp", "gif"]


Companion = Annotated[
    Sidecar | Poster | Sprites | Thumbnails | Preview, Field(discriminator="kind")
]
"""What is published beside the output; made of the verified output, sidecars of the source."""


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
    container: Container
    extension: str


class Encryption(Frozen):
    """How segments are encrypted, and where players are told to get the key.

    `{key_id}` in the addresses stands for the key's id, which is not known yet.
    """

    scheme: Literal["aes-128", "cenc"]
    key_uri: str | None = None
    license_uri: str | None = None


class AbrPackage(Frozen):
    """HLS and DASH over one set of CMAF segments."""

    kind: Literal["abr"] = "abr"
    segment_seconds: Rational
    hls: bool
    dash: bool
    encryption: Encryption | None = None


class Chunk(Frozen):
    """A frame-exact time range of the source's main video, encoded alone; times in its ticks."""

    index: int
    pictures: int
    begin: int
    """Of its first picture."""
    end: int | None
    """Of the first picture after it; None: it goes to the last one."""
    seek: Rational | None
    """Seconds on the file's clock, of a key frame to begin to read at; None: at the begin."""
    keys: int = 0
    """Key frames of an aligned ladder that come before it."""


class Chunking(Frozen):
    """The parts a film is encoded in, in order of display; together they are all of it.

    `time_base`: seconds a tick. `start`: seconds on the file's clock that are 0 in the output.
    """

    time_base: Rational
    start: Rational
    chunks: tuple[Chunk, ...]


class EncodePlan(Frozen):
    """What is done to one file: an encode (`convert`) or copies only (`remux`)."""

    decision: Literal["convert", "remux"]
    reason: str
    findings: tuple[Finding, ...] = ()
    source_formats: tuple[str, ...]
    """Demuxers ffmpeg may use on the input, as probed."""
    source_bytes: int | None = None
    """Only so many bytes of the source are read; None: all."""
    whole_raster: bool = False
    """ffmpeg is told not to cut pictures to the clean aperture that the container names."""
    renditions: tuple[VideoEncode | VideoCopy, ...]
    burn: Burn | None = None
    overlay: Overlay | None = None
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
    companions: tuple[Companion, ...] = ()
    package: Annotated[FilePackage | AbrPackage, Field(discriminator="kind")]
    chunking: Chunking | None = None
    """None: the video is encoded in one piece."""
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

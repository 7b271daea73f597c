"""The user's wish: what every file of a library should become."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from darkstream.model.base import Frozen, Rational

VideoCodec = Literal["h264", "hevc", "av1", "vp9"]
AudioCodec = Literal["aac", "opus", "flac", "mp3"]
Container = Literal["mp4", "mkv", "webm", "m4a"]


class VideoRule(Frozen):
    """How video is encoded, and what a stream must be to be copied as it is."""

    codec: VideoCodec = Field("h264", description="Codec of the output.")
    quality: Annotated[int, Field(ge=0, le=63)] = Field(
        22, description="Constant quality (CRF) of the encoder; lower is better and bigger."
    )
    speed: str = Field("medium", description="The encoder's preset: name (x264, x265) or number.")
    max_width: int = Field(1920, ge=16, description="Longest side in landscape, never upscaled.")
    max_height: int = Field(
        1080, ge=16, description="Shortest side in landscape; swapped for portrait."
    )
    max_rate: Rational | None = Field(
        None, description="Highest frame rate, frames/s; None: as is."
    )
    bit_depth: Literal[8, 10] | None = Field(8, description="Bits a sample; None: as the source.")
    hdr: Literal["keep", "tonemap"] = Field(
        "tonemap", description="HDR sources: keep (needs 10 bit) or tone-map to BT.709."
    )
    hardware: Literal["never", "prefer", "require"] = Field(
        "never", description="Hardware encoders: never, where proved, or only there."
    )
    keyframe_seconds: Rational = Field(
        Fraction(5), description="Longest distance of two key frames, seconds."
    )
    copy_codecs: tuple[str, ...] = Field(
        ("h264",), description="Codecs that are copied where the stream is within all limits."
    )
    max_bit_rate: int | None = Field(
        None, ge=1, description="A stream above this rate (bit/s) is encoded, not copied."
    )


class AudioRule(Frozen):
    """How audio is encoded, and which tracks are kept."""

    codec: AudioCodec = Field("aac", description="Codec of the output.")
    bit_rate_per_channel: int = Field(64_000, ge=8_000, description="bit/s for each channel.")
    max_channels: int = Field(6, ge=1, le=8, description="More channels are mixed down.")
    tracks: Literal["all", "first"] = Field("all", description="Which tracks are kept.")
    copy_codecs: tuple[str, ...] = Field(("aac",), description="Codecs copied as they are.")


class SubtitleRule(Frozen):
    """What happens to subtitle tracks."""

    text: Literal["keep", "drop"] = Field("keep", description="Text tracks, converted as needed.")
    bitmap: Literal["keep", "drop"] = Field(
        "keep", description="Bitmap tracks, kept where the container can, else reported as dropped."
    )


class Rung(Frozen):
    """One step of a fixed ladder: the short side of the picture and its ceiling in bit/s."""

    height: int = Field(ge=16, description="Short side of the picture, pixels.")
    max_bit_rate: int = Field(
        ge=1, description="Ceiling, bit/s; the quality stays constant below it."
    )


class PackageRule(Frozen):
    """One file, or segments for adaptive streaming."""

    kind: Literal["file", "abr"] = Field("file", description="One file, or HLS and DASH over CMAF.")
    segment_seconds: Rational = Field(
        Fraction(4), description="Target length of a segment, seconds."
    )
    hls: bool = Field(True, description="Write HLS playlists (kind abr).")
    dash: bool = Field(True, description="Write a DASH manifest (kind abr).")
    ladder: tuple[Rung, ...] = Field((), description="Rungs, highest first (kind abr).")


class Guards(Frozen):
    """When a source is left as it is."""

    skip_if_fits: bool = Field(True, description="Skip a source that already is what is wished.")
    smaller_by: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Keep the source unless the output is smaller by this share; None: off."
    )
    on_skip: Literal["none", "link", "copy"] = Field(
        "none", description="What to put at the destination for a skipped source."
    )


class Preset(Frozen):
    """The user's wish, one YAML file; a saved one is a template."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="Name of the preset.")
    description: str = Field("", description="One line for people.")
    container: Container = Field("mp4", description="Container of the output file.")
    video: VideoRule | None = Field(VideoRule(), description="None: drop video (audio presets).")
    audio: AudioRule = AudioRule()
    subtitles: SubtitleRule = SubtitleRule()
    package: PackageRule = PackageRule()
    guards: Guards = Guards()
    audio_only_container: Container = Field(
        "m4a", description="Container for sources that have no video."
    )
    output: str = Field(
        "{dir}/{stem}.{ext}",
        description="Output name, relative to the destination: {dir} {stem} {ext} {preset} {job}.",
    )

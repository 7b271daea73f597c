"""The user's wish: what every file of a library should become."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from darkstream.model.base import Frozen, Rational
from darkstream.model.survey import Level

VideoCodec = Literal["h264", "hevc", "av1", "vp9", "vvc", "prores", "ffv1"]
AudioCodec = Literal["aac", "opus", "ac3", "eac3", "mp3", "flac", "pcm", "copy"]
Container = Literal["mp4", "mkv", "mov", "webm", "ts", "m4a", "opus", "mp3", "flac"]
Mix = Literal["stereo", "dialogue"]
LanguageCode = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
ProresProfile = Annotated[
    Literal["proxy", "lt", "standard", "hq", "4444", "4444xq"],
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
]
"""YAML takes 4444 for a number."""
Metric = Literal["vmaf", "xpsnr", "ssim"]


class QualityTarget(Frozen):
    """A quality that is measured: what the encoder is told is searched for it (quality.md).

    One of the three.
    """

    vmaf: Annotated[float, Field(ge=20, le=99)] | None = Field(
        None, description="VMAF: 95 is hardly told from the source, 90 good, 80 fair."
    )
    xpsnr: Annotated[float, Field(ge=20, le=60)] | None = Field(
        None, description="XPSNR, dB: about 40 is what 95 is for VMAF."
    )
    ssim: Annotated[float, Field(ge=0.5, le=0.9999)] | None = Field(
        None, description="SSIM: about 0.989 is what 95 is for VMAF."
    )

    @property
    def wishes(self) -> tuple[tuple[Metric, float], ...]:
        """What is named, with its metric."""
        named: tuple[tuple[Metric, float | None], ...] = (
            ("vmaf", self.vmaf),
            ("xpsnr", self.xpsnr),
            ("ssim", self.ssim),
        )
        return tuple((metric, score) for metric, score in named if score is not None)


def _kind_of_quality(value: object) -> str:
    return "(target)" if isinstance(value, dict | QualityTarget) else "(number)"


Quality = Annotated[
    Annotated[int, Field(ge=0, le=63), Tag("(number)")] | Annotated[QualityTarget, Tag("(target)")],
    Discriminator(_kind_of_quality),
]
"""The tags are in brackets: no field is called so, and errors leave them out."""


class VideoRule(Frozen):
    """How video is encoded, and what a stream must be to be copied as it is."""

    codec: VideoCodec = Field(
        "h264", description="Codec of the output; prores and ffv1 are for editing and archives."
    )
    quality: Quality | None = Field(
        None,
        description="Constant quality (CRF, for vvc QP) of the encoder; lower is better and bigger."
        " Or a target, such as `{vmaf: 95}`, for which it is searched (quality.md). None: the"
        " codec's usual. Not for prores and ffv1.",
    )
    speed: str | None = Field(
        None,
        description="The encoder's preset: a name (h264, hevc, vvc) or a number (av1, vp9)."
        " None: the codec's usual.",
    )
    profile: ProresProfile | None = Field(
        None, description="Profile of prores; None: 4444 where the source needs it, else hq."
    )
    max_width: int = Field(1920, ge=16, description="Longest side in landscape, never upscaled.")
    max_height: int = Field(
        1080, ge=16, description="Shortest side in landscape; swapped for portrait."
    )
    max_rate: Rational | None = Field(
        None, description="Highest frame rate, frames/s; None: as is."
    )
    crop: Literal["none", "auto"] = Field(
        "none", description="Cut black bars off, where all of the film has them: measured before."
    )
    fields: Literal["declared", "measured"] = Field(
        "declared",
        description="Whether pictures are interlaced: as the file says, or as is seen in them.",
    )
    rate_mode: Literal["keep", "constant"] = Field(
        "keep",
        description="Variable frame rates: the source's timestamps, or the nearest usual rate for"
        " the whole film.",
    )
    bit_depth: Literal[8, 10, 12] | None = Field(
        8, description="Bits a sample; None: as the source, up to 10 (ffv1: all of them)."
    )
    chroma: Literal["420", "keep"] = Field(
        "420",
        description="Colour sampling: 4:2:0, or as the source, as far as the codec goes.",
    )
    interlaced: Literal["deinterlace", "keep"] = Field(
        "deinterlace", description="Interlaced sources; kept only by prores and ffv1."
    )
    hdr: Literal["keep", "tonemap"] = Field(
        "tonemap", description="HDR sources: keep (needs 10 bit) or tone-map to BT.709."
    )
    dynamic_hdr: Literal["keep", "drop", "require"] = Field(
        "keep",
        description="Dolby Vision and HDR10+ data beside HDR that is encoded: keep where codec,"
        " container and encoder can, and report where not; drop; or require, which rejects sources"
        " that would lose some (hdr.md). What is copied keeps them.",
    )
    hardware: Literal["never", "prefer", "require"] = Field(
        "never",
        description="Hardware: never; encoders, and decoders that are faster, where proved; or no"
        " encoder but of hardware (hardware.md).",
    )
    keyframe_seconds: Rational = Field(
        Fraction(5), description="Longest distance of two key frames, seconds."
    )
    chunk_seconds: Annotated[Rational, Field(ge=0)] | None = Field(
        None,
        description="Encode films in parts of about so many seconds, so that one whose encode was"
        " interrupted goes on with the part it was at. None: films that take long, in parts of 10"
        " to 60 s; 0: never. Only h264, hevc, av1 and vp9.",
    )
    copy_codecs: tuple[str, ...] = Field(
        ("h264",), description="Codecs that are copied where the stream is within all limits."
    )
    max_bit_rate: int | None = Field(
        None, ge=1, description="A stream above this rate (bit/s) is encoded, not copied."
    )


class LoudnessRule(Frozen):
    """Loudness of every track, measured first, reached by one gain: EBU R 128, ITU-R BS.1770."""

    target: Annotated[float, Field(ge=-70, le=-5)] = Field(
        -23.0, description="Integrated loudness, LUFS: -23 for broadcast, -16 or so for streaming."
    )
    true_peak: Annotated[float, Field(ge=-9, le=0)] = Field(
        -1.0, description="Highest true peak, dBTP; what would go above is limited."
    )


class AudioRule(Frozen):
    """How audio is encoded, and which tracks are kept."""

    codec: AudioCodec = Field(
        "aac",
        description="Codec of the output; copy: every track as it is where the container can.",
    )
    beside_codec: AudioCodec | None = Field(
        None,
        description="A second codec in which presentations hold every track too, with up to six"
        " channels: eac3 for televisions, beside aac for everything else.",
    )
    bit_rate_per_channel: Annotated[int, Field(ge=8_000, le=256_000)] | None = Field(
        None, description="bit/s for each channel; None: the codec's usual."
    )
    max_channels: int = Field(
        6, ge=1, le=8, description="More channels are mixed down (not by copy)."
    )
    tracks: Literal["all", "languages", "first"] = Field(
        "all",
        description="Which tracks are kept: all, those of `languages` (where there are some), or"
        " the first of them.",
    )
    languages: tuple[LanguageCode, ...] = Field(
        (),
        description="Languages in order of preference (en, deu, pt-BR; und: not said). The first"
        " track of them becomes the default one. Empty: order and flags as in the source.",
    )
    commentary: Literal["keep", "drop"] = Field(
        "keep", description="Tracks of people who talk about the film, by flag or title."
    )
    beside_surround: tuple[Mix, ...] = Field(
        (),
        description="Further tracks beside each one of more than two channels: stereo, or dialogue"
        " (stereo in which speech is clear). Not where its language has such tracks already.",
    )
    sample_rate: Literal[44_100, 48_000] | None = Field(
        None, description="Hz of encoded tracks; None: the source's, as far as the codec goes."
    )
    loudness: LoudnessRule | None = Field(
        None, description="Bring every track to one loudness (EBU R 128); None: as it is."
    )
    copy_codecs: tuple[str, ...] = Field(("aac",), description="Codecs copied as they are.")


class SubtitleRule(Frozen):
    """What happens to subtitle tracks."""

    text: Literal["keep", "drop"] = Field("keep", description="Text tracks, converted as needed.")
    bitmap: Literal["keep", "drop"] = Field(
        "keep", description="Bitmap tracks, kept where the container can, else reported as dropped."
    )
    burn: Literal["none", "forced", "first"] = Field(
        "none",
        description="Draw a track into the picture, instead of keeping it: the forced one where"
        " there is one, or the first of the preferred languages, else the default one.",
    )
    languages: tuple[LanguageCode, ...] = Field(
        (), description="Languages in order of preference, for `burn` and for the order of tracks."
    )
    sidecar: Literal["none", "srt", "vtt", "ass"] = Field(
        "none",
        description="Write every text track beside the output too: Film.eng.srt; with `text: drop`"
        " only there.",
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
    encryption: Literal["none", "aes-128", "cenc"] = Field(
        "none",
        description="Encrypt the segments (kind abr): aes-128 for HLS alone, cenc (ClearKey) for"
        " DASH and HLS. Keys come from the provider that the settings name.",
    )
    key_uri: str | None = Field(
        None,
        description="Where HLS players get the key, 16 bytes: https://keys.example/{key_id}.key",
    )
    license_uri: str | None = Field(
        None, description="Where players ask for a ClearKey license (cenc); {key_id} is filled in."
    )


class OverlayRule(Frozen):
    """A mark on every picture: an image or a text."""

    image: str | None = Field(
        None, description="Absolute path of a PNG, JPEG or WebP on the machine that encodes."
    )
    text: str | None = Field(None, max_length=500, description="Text, as it is.")
    position: Literal[
        "top-left",
        "top",
        "top-right",
        "left",
        "centre",
        "right",
        "bottom-left",
        "bottom",
        "bottom-right",
    ] = Field("bottom-right", description="Where it is.")
    size: Annotated[float, Field(gt=0, le=1)] = Field(
        0.15, description="Width of an image by that of the picture; of a text, the height by its."
    )
    margin: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.03, description="Distance from the edges, by the picture's width."
    )
    opacity: Annotated[float, Field(gt=0, le=1)] = Field(0.8, description="1 hides what is below.")
    start: Rational = Field(Fraction(0), description="Shown from this second on.")
    end: Rational | None = Field(None, description="Shown until this second; None: to the end.")


class PictureRule(Frozen):
    """Pictures of the film, beside it: for posters, seek bars and previews."""

    poster: bool = Field(
        False, description="A still that is neither black nor blurred: Film-poster.jpg."
    )
    sprites_seconds: Rational | None = Field(
        None,
        description="A small picture every so many seconds, in sheets with a WebVTT map for players"
        " and in Jellyfin's layout: Film.trickplay/. None: none.",
    )
    thumbnails_seconds: Rational | None = Field(
        None, description="Single small pictures every so many seconds: Film.thumbnails/."
    )
    preview: Literal["none", "webp", "gif"] = Field(
        "none", description="A short animated preview of five places: Film-preview.webp."
    )
    width: int = Field(
        320, ge=16, le=4096, multiple_of=2, description="Width of small pictures, pixels."
    )


class Guards(Frozen):
    """When a source is left as it is."""

    skip_if_fits: bool = Field(True, description="Skip a source that already is what is wished.")
    smaller_by: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Keep the source unless the output is smaller by this share; None: off."
    )
    skip_codecs: tuple[str, ...] = Field(
        (), description="Leave sources alone whose video is coded so: hevc, av1 ..."
    )
    min_bytes: int | None = Field(None, ge=0, description="Leave smaller sources alone, bytes.")
    max_bytes: int | None = Field(None, ge=1, description="Leave larger sources alone, bytes.")
    min_seconds: Rational | None = Field(None, description="Leave shorter sources alone, seconds.")
    max_seconds: Rational | None = Field(None, description="Leave longer sources alone, seconds.")
    min_height: int | None = Field(
        None, ge=1, description="Leave smaller pictures alone: pixels of the shorter side."
    )
    max_height: int | None = Field(
        None, ge=1, description="Leave larger pictures alone: pixels of the shorter side."
    )
    min_bit_rate: int | None = Field(
        None, ge=1, description="Leave sources alone that spend less already, bit/s in all."
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
    audio: AudioRule = Field(AudioRule(), description="How audio is encoded.")
    subtitles: SubtitleRule = Field(SubtitleRule(), description="What happens to subtitles.")
    overlay: OverlayRule | None = Field(None, description="A mark on every picture.")
    pictures: PictureRule = Field(PictureRule(), description="Pictures beside the film.")
    package: PackageRule = Field(PackageRule(), description="One file, or adaptive streaming.")
    validation: Level | None = Field(
        None,
        description="How thoroughly sources are checked before they are planned (validation.md);"
        " None: as the worker's settings say.",
    )
    guards: Guards = Field(Guards(), description="When a source is left as it is.")
    audio_only_container: Container | None = Field(
        None,
        description="Container for sources that have no video; None: the usual one of the codec.",
    )
    output: str = Field(
        "{dir}/{stem}.{ext}",
        description="Output name, relative to the destination: {dir} {stem} {ext} {preset} {job}.",
    )

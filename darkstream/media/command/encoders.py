"""What each video encoder is told, option by option."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from math import ceil

from darkstream.media.command.hardware import hardware_options
from darkstream.model.media import ContentLight, MasteringDisplay
from darkstream.model.plan import VideoEncode

Options = dict[str, str | int]
"""ffmpeg options without the leading dash, with stream specifiers."""

_SVTAV1_LEVELS = (1, 2, 5, 11, 23)
"""Up to how many cores its levels of parallelism are for (SVT-AV1, enc_handle.c)."""
_BUFFER_SECONDS = 2
_TRANSPARENT = {"yuva420p"}
_ROUNDING_S = 1e-6
_LEFT = "0.3"
"""Share of the buffer that a chunk begins with, where there is a ceiling."""
_TILE_WIDTH = 512
_FEW_SLICES_BELOW = 1280 * 720
_CHROMATICITY_STEPS = 50_000
_LUMINANCE_STEPS = 10_000
_FIRST_DTS = "if(eq(N,0),min(DTS,0),DTS)"
_ON_TIME = (
    f"setts=pts='if(eq(N,0),min(PTS,0),PTS)':dts='{_FIRST_DTS}'"
    f":duration='if(gt(NEXT_DTS,DTS),NEXT_DTS-{_FIRST_DTS},if(gt(N,1),DTS-PREV_OUTDTS,DURATION))'"
)
"""The first picture lasts from the presentation's begin, where the source's comes later: Media
Source players pass over the empty edit that ffmpeg writes else. And each packet lasts until the
next one is decoded, the last as long as the one before: ffmpeg begins a fragment where the last
packet before ends (movenc.c), which moves its pictures where the frame rate varies.
"""


def encoder_options(
    video: VideoEncode, index: int, *, aligned: bool, hdr10plus: str | None = None
) -> Options:
    """Options of one rendition, the output's video stream number `index`.

    `aligned`: key frames only at whole multiples of the interval, the same in every rendition.
    `hdr10plus`: where the JSON of the pictures' data is. Raises ValueError where the quality that
    reaches its target is still to be found.
    """
    if video.quality is None and video.target is not None:
        raise ValueError(f"{video.name}: the quality for its target was not searched yet")
    made = hardware_options if video.hardware else _software
    options: Options = {
        "g": ceil(video.rate * video.keyframe_interval),
        **made(video, aligned=aligned),
    }
    if hdr10plus is not None:
        options["x265-params"] = f"{options['x265-params']}:dhdr10-info={hdr10plus}"
    if video.captions:
        options["a53cc"] = 1
    if video.tag:
        options["tag"] = video.tag
    if aligned:
        options |= _aligned(video)
    options |= dict(video.options)
    return {f"{name}:v:{index}": value for name, value in options.items()}


def _software(video: VideoEncode, *, aligned: bool) -> Options:
    options: Options = {
        "c": video.encoder,
        "pix_fmt": video.pix_fmt,
        **_rate_control(video),
        **_private(video, aligned=aligned),
    }
    if video.profile and video.encoder != "libx265":
        options["profile"] = video.profile
    if video.max_bit_rate:
        options["maxrate"] = video.max_bit_rate
        # A level of Dolby Vision is one of HEVC, whose buffer holds a second of its ceiling.
        seconds = _BUFFER_SECONDS if video.dolby_vision is None else 1
        options["bufsize"] = video.max_bit_rate * seconds
    if video.dolby_vision is not None:
        options["dolbyvision"] = 1
    return options


def copy_options(video: VideoEncode, index: int, *, aligned: bool) -> Options:
    """Options of a rendition that was encoded in chunks, the output's video stream `index`."""
    options: Options = {"tag": video.tag} if video.tag else {}
    if aligned:
        options["bsf"] = _ON_TIME
    return {f"{name}:v:{index}": value for name, value in options.items()}


def chunk_options(video: VideoEncode, index: int, *, aligned: bool, first: bool) -> Options:
    """Options of a rendition in a chunk; all chunks are to be one stream, whoever encodes them."""
    options = encoder_options(video, index, aligned=aligned)
    more: dict[str, str] = {}
    if video.encoder == "libx265":
        more["info"] = "0"  # the header would name the machine
    if video.max_bit_rate and not first:
        # It is not known what the chunk before left of the buffer: a full one would be spent.
        more["vbv-init"] = _LEFT
    params = f"{video.encoder.removeprefix('lib')}-params:v:{index}"
    if more and params in options:
        options[params] = f"{options[params]}:{_join(more)}"
    return options


def chunk_key_frames(video: VideoEncode, *, begin: Fraction, keys: int) -> str:
    """Where a chunk of an aligned rendition has key frames: where the whole has them.

    `begin` in seconds after the first picture (ffmpeg counts from there), after so many `keys`.
    ffmpeg's times are floats: a picture that is due at this very moment is not to be missed.
    """
    interval = float(video.keyframe_interval)
    return f"expr:gte(t+{float(begin) + _ROUNDING_S:.9f},(n_forced+{keys})*{interval:g})"


def limit_threads(encoder: str, index: int, threads: int, told: Options) -> Options:
    """So many threads for an encoder that was told the rest.

    ffmpeg's own option is of no use to SVT-AV1, and to x265 only for pictures side by side.
    """
    limits: Options = {f"threads:v:{index}": threads}
    pools = {
        "libx265": ("x265-params", f"pools={threads}"),
        "libsvtav1": ("svtav1-params", f"lp={bisect_left(_SVTAV1_LEVELS, threads) + 1}"),
    }
    if encoder in pools:
        name, pool = pools[encoder]
        limits[f"{name}:v:{index}"] = f"{told[f'{name}:v:{index}']}:{pool}"
    return limits


def _aligned(video: VideoEncode) -> Options:
    seconds = float(video.keyframe_interval)
    return {
        "force_key_frames": f"expr:gte(t,n_forced*{seconds:g})",
        # The forced ones are all there shall be: a scene cut would differ between renditions.
        "g": 10 * ceil(video.rate * video.keyframe_interval),
        "bsf": _ON_TIME,
    }


def _rate_control(video: VideoEncode) -> Options:
    if video.quality is None:
        return {}
    quality = video.quality if isinstance(video.quality, int) else f"{video.quality:g}"
    if video.encoder == "libvvenc":
        return {"qp": quality}
    if video.encoder == "libvpx-vp9":
        return {"crf": quality, "b": video.max_bit_rate or 0}
    return {"crf": quality}


def _private(video: VideoEncode, *, aligned: bool) -> Options:
    build = {
        "libx264": _x264,
        "libx265": _x265,
        "libsvtav1": _svtav1,
        "libvpx-vp9": _vpx,
    }
    alone = {"libvvenc": _vvenc, "prores_ks": _prores, "ffv1": _ffv1}
    if video.encoder in alone:  # never a rung of a ladder
        return alone[video.encoder](video)
    return build[video.encoder](video, aligned=aligned)


def _x264(video: VideoEncode, *, aligned: bool) -> Options:
    options: Options = {
        "preset": video.speed or "medium",
        # The clock of Matroska (1/1000) is no picture rate: level and buffers need the real one.
        "x264-params": _join({"fps": str(video.rate)}),
    }
    if aligned:
        options |= {"forced-idr": 1, "sc_threshold": 0}
    return options


def _x265(video: VideoEncode, *, aligned: bool) -> Options:
    params = {
        "log-level": "error",
        "fps": str(video.rate),
        "open-gop": "0",
        "profile": video.profile or "main",
    }
    if aligned:
        params["scenecut"] = "0"
    if video.colour.transfer in {"smpte2084", "arib-std-b67"}:
        params |= {"hdr10-opt": "1", "repeat-headers": "1"}
    if video.mastering_display is not None:
        params["master-display"] = _x265_display(video.mastering_display)
    if video.content_light is not None:
        params["max-cll"] = _light(video.content_light)
    options: Options = {"preset": video.speed or "medium", "x265-params": _join(params)}
    if aligned:
        options["forced-idr"] = 1
    return options


def _svtav1(video: VideoEncode, *, aligned: bool) -> Options:
    params = {
        "tune": "0",
        "fps-num": str(video.rate.numerator),
        "fps-denom": str(video.rate.denominator),
    }
    if aligned:
        params |= {"scd": "0", "force-key-frames": "1"}
    if video.mastering_display is not None:
        params["mastering-display"] = _svtav1_display(video.mastering_display)
    if video.content_light is not None:
        params["content-light"] = _light(video.content_light)
    return {"preset": video.speed or "6", "svtav1-params": _join(params)}


def _vpx(video: VideoEncode, *, aligned: bool) -> Options:
    tiles = max(0, (video.width // _TILE_WIDTH).bit_length() - 1)
    return {
        "deadline": "good",
        "cpu-used": video.speed or "3",
        "row-mt": 1,
        "tile-columns": tiles,
        "auto-alt-ref": 0 if aligned or video.pix_fmt in _TRANSPARENT else 1,
    }


def _vvenc(video: VideoEncode) -> Options:
    return {"preset": video.speed or "fast", "period": ceil(video.keyframe_interval)}


def _prores(video: VideoEncode) -> Options:
    options: Options = {"vendor": "apl0"}
    if video.pix_fmt.startswith("yuva"):
        options["alpha_bits"] = 16
    return options | _fields(video)


def _ffv1(video: VideoEncode) -> Options:
    """Version 3 (RFC 9043), every picture a key frame, each slice with its own checksum."""
    slices = 4 if video.width * video.height < _FEW_SLICES_BELOW else 16
    options: Options = {"level": 3, "g": 1, "slices": slices, "slicecrc": 1}
    if video.colour.range == "pc" and video.colour.matrix != "gbr":
        options["color_range"] = "pc"
    return options | {"coder": "range_def", "context": 1} | _fields(video)


def _fields(video: VideoEncode) -> Options:
    """Pictures of two fields each, which of them is first."""
    if not video.interlaced:
        return {}
    return {"flags": "+ildct", "field_order": "bb" if video.field_order == "bff" else "tt"}


def _join(params: dict[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in params.items())


def _x265_display(display: MasteringDisplay) -> str:
    """Chromaticities in steps of 0.00002, luminance in steps of 0.0001 cd/m2."""
    points = "".join(
        f"{name}({round(x * _CHROMATICITY_STEPS)},{round(y * _CHROMATICITY_STEPS)})"
        for name, (x, y) in _points(display)
    )
    low, high = display.min_luminance, display.max_luminance
    return f"{points}L({round(high * _LUMINANCE_STEPS)},{round(low * _LUMINANCE_STEPS)})"


def _svtav1_display(display: MasteringDisplay) -> str:
    points = "".join(f"{name}({float(x):.4f},{float(y):.4f})" for name, (x, y) in _points(display))
    low, high = float(display.min_luminance), float(display.max_luminance)
    return f"{points}L({high:.4f},{low:.4f})"


def _points(display: MasteringDisplay) -> tuple[tuple[str, tuple[Fraction, Fraction]], ...]:
    return (
        ("G", display.green),
        ("B", display.blue),
        ("R", display.red),
        ("WP", display.white),
    )


def _light(light: ContentLight) -> str:
    return f"{light.max_cll},{light.max_fall}"

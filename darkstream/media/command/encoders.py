"""What each video encoder is told, option by option."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from darkstream.model.media import ContentLight, MasteringDisplay
from darkstream.model.plan import VideoEncode

Options = dict[str, str | int]
"""ffmpeg options without the leading dash, with stream specifiers."""

_NVENC_SPEEDS = {
    "ultrafast": "p1",
    "superfast": "p1",
    "veryfast": "p2",
    "faster": "p3",
    "fast": "p4",
    "medium": "p5",
    "slow": "p6",
    "slower": "p7",
    "veryslow": "p7",
}
_NVENC_DEFAULT = "p5"
_BUFFER_SECONDS = 2
_TRANSPARENT = {"yuva420p"}
_TILE_WIDTH = 512
_CHROMATICITY_STEPS = 50_000
_LUMINANCE_STEPS = 10_000


def encoder_options(video: VideoEncode, index: int, *, aligned: bool) -> Options:
    """Options of one rendition, the output's video stream number `index`.

    `aligned`: key frames only at whole multiples of the interval, the same in every rendition.
    """
    options: Options = {
        "c": video.encoder,
        "pix_fmt": video.pix_fmt,
        "g": ceil(video.rate * video.keyframe_interval),
        **_rate_control(video),
        **_private(video, aligned=aligned),
    }
    if video.profile and video.encoder != "libx265":
        options["profile"] = video.profile
    if video.max_bit_rate:
        options["maxrate"] = video.max_bit_rate
        options["bufsize"] = video.max_bit_rate * _BUFFER_SECONDS
    if video.tag:
        options["tag"] = video.tag
    if aligned:
        options |= _aligned(video)
    options |= dict(video.options)
    return {f"{name}:v:{index}": value for name, value in options.items()}


def _aligned(video: VideoEncode) -> Options:
    seconds = float(video.keyframe_interval)
    return {
        "force_key_frames": f"expr:gte(t,n_forced*{seconds:g})",
        # The forced ones are all there shall be: a scene cut would differ between renditions.
        "g": 10 * ceil(video.rate * video.keyframe_interval),
    }


def _rate_control(video: VideoEncode) -> Options:
    if video.encoder.endswith("_nvenc"):
        return {"rc": "vbr", "cq": video.quality, "b": 0}
    if video.encoder == "libvpx-vp9":
        return {"crf": video.quality, "b": video.max_bit_rate or 0}
    return {"crf": video.quality}


def _private(video: VideoEncode, *, aligned: bool) -> Options:
    if video.encoder.endswith("_nvenc"):
        return _nvenc(video, aligned=aligned)
    build = {
        "libx264": _x264,
        "libx265": _x265,
        "libsvtav1": _svtav1,
        "libvpx-vp9": _vpx,
    }
    return build[video.encoder](video, aligned=aligned)


def _nvenc(video: VideoEncode, *, aligned: bool) -> Options:
    options: Options = {
        "preset": _NVENC_SPEEDS.get(video.speed, _NVENC_DEFAULT),
        "tune": "hq",
        "spatial-aq": 1,
    }
    if aligned:
        options |= {"forced-idr": 1, "no-scenecut": 1}
    return options


def _x264(video: VideoEncode, *, aligned: bool) -> Options:
    options: Options = {
        "preset": video.speed,
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
    options: Options = {"preset": video.speed, "x265-params": _join(params)}
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
    return {"preset": video.speed, "svtav1-params": _join(params)}


def _vpx(video: VideoEncode, *, aligned: bool) -> Options:
    tiles = max(0, (video.width // _TILE_WIDTH).bit_length() - 1)
    return {
        "deadline": "good",
        "cpu-used": video.speed,
        "row-mt": 1,
        "tile-columns": tiles,
        "auto-alt-ref": 0 if aligned or video.pix_fmt in _TRANSPARENT else 1,
    }


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

"""What ffmpeg is told about hardware encoders: a row a family.

Sources: `ffmpeg -h encoder=NAME` of ffmpeg 9.0, FFmpeg's codecs documentation (NVENC, QSV, AMF,
VAAPI, Vulkan, VideoToolbox encoders) and libavcodec's qsvenc.c, vaapi_encode.c, vulkan_encode.c,
v4l2_m2m_enc.c and videotoolboxenc.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from darkstream.model.capabilities import HardwareFamily
from darkstream.model.plan import VideoEncode
from darkstream.planning.hardware import family_of

Options = dict[str, str | int]
Filter = tuple[str, dict[str, str | int]]

_SAMPLES = {"yuv420p": "nv12", "yuv420p10le": "p010le"}
"""How hardware wants the samples that a plan names: two planes."""
_SPEEDS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow"),
)
_USUAL = 5
_NVENC_PRESETS = ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7")
_QSV_PRESETS = (
    *("veryfast", "veryfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow"),
)
_AMF_PRESETS = ("speed", "speed", "speed", "balanced", "balanced", *("quality",) * 4)
_ADAPTIVE = {"h264_qsv", "hevc_qsv", "av1_qsv"}
"""Encoders that may be told to set no key frames of their own."""
_TARGET = Fraction(3, 4)
"""Of the ceiling, where an encoder is told a mean rate."""
_BITS_A_PIXEL = Fraction(1, 10)
"""Where an encoder knows bit rates alone, and the preset names none."""
_WIDE = {"av1": 4, "vp9": 4}
"""Steps of the quantiser (0-255) for one of the quality scale (0-63)."""
_NARROW = Fraction(51, 63)


@dataclass(frozen=True)
class Words:
    """How one family is spoken to.

    `opens`: ffmpeg's words before the input, of the device; `upload`: filters that bring samples
    into its memory, empty where the encoder does so itself.
    """

    quality: Callable[[VideoEncode], Options]
    ceiling: Callable[[VideoEncode, int], Options]
    speed: Callable[[int], Options]
    opens: Callable[[str], tuple[str, ...]] = lambda _device: ()
    upload: tuple[Filter, ...] = ()
    always: Mapping[str, str | int] | None = None
    aligned: Mapping[str, str | int] | None = None
    """What it is told beside `-force_key_frames`, so that those are IDR pictures, and no others."""
    profile: bool = True


def device_words(renditions: Sequence[VideoEncode]) -> tuple[str, ...]:
    """What stands before the inputs: the device of hardware encoders that need one opened."""
    opened = (_words(one).opens(one.device or "") for one in renditions if one.hardware)
    return next(filter(None, opened), ())


def upload_filters(video: VideoEncode) -> Iterator[Filter]:
    """The last filters of a rendition: samples as its hardware wants them, where it wants them."""
    if not video.hardware:
        return
    yield "format", {"pix_fmts": _SAMPLES[video.pix_fmt]}
    yield from _words(video).upload


def hardware_options(video: VideoEncode, *, aligned: bool) -> Options:
    """Options of a hardware encoder, without stream specifiers."""
    words = _words(video)
    made: Options = {"c": video.encoder}
    if not words.upload:
        made["pix_fmt"] = _SAMPLES[video.pix_fmt]
    made |= words.speed(_effort(video)) | dict(words.always or {})
    if video.max_bit_rate:
        made |= words.ceiling(video, video.max_bit_rate)
    else:
        made |= words.quality(video)
    if aligned:
        made |= words.aligned or {}
        if video.encoder in _ADAPTIVE:
            made["adaptive_i"] = 0
    if video.profile and words.profile:
        made["profile"] = video.profile
    return made


def _words(video: VideoEncode) -> Words:
    return FAMILY_WORDS[family_of(video.encoder)]


def _effort(video: VideoEncode) -> int:
    """How much time it may take: 0 is fastest, 8 slowest; AV1 and VP9 count the other way."""
    speed = video.speed or ""
    if speed in _SPEEDS:
        return _SPEEDS.index(speed)
    if not speed.isdecimal():
        return _USUAL
    step = 2 if video.codec == "av1" else 1
    return max(0, min(8, 8 - int(speed) // step))


def _quantiser(video: VideoEncode) -> int:
    """The quality as a quantiser of the codec."""
    return _quality(video) * _WIDE.get(video.codec, 1)


def _quality(video: VideoEncode) -> int:
    """Hardware knows whole steps alone."""
    return round(video.quality or 0)


def _capped(_video: VideoEncode, most: int) -> Options:
    return {"b": int(most * _TARGET), "maxrate": most, "bufsize": 2 * most}


def _nvenc_ceiling(video: VideoEncode, most: int) -> Options:
    return _nvenc_quality(video) | {"maxrate": most, "bufsize": 2 * most}


def _nvenc_quality(video: VideoEncode) -> Options:
    return {"rc": "vbr", "cq": _quality(video), "b": 0}


def _qsv_quality(video: VideoEncode) -> Options:
    """ICQ, whose scale ends at 51 with every codec."""
    scale = _NARROW if video.codec in _WIDE else 1
    return {"global_quality": max(1, round(_quality(video) * scale))}


def _vaapi_quality(video: VideoEncode) -> Options:
    """Constant quantisers: the one mode that all drivers have."""
    return {"rc_mode": "CQP", "global_quality": _quantiser(video)}


def _vulkan_quality(video: VideoEncode) -> Options:
    return {"rc_mode": "cqp", "qp": _quantiser(video)}


def _amf_quality(video: VideoEncode) -> Options:
    made: Options = {"rc": "cqp", "qp_i": _quantiser(video), "qp_p": _quantiser(video)}
    return made if video.codec == "hevc" else made | {"qp_b": _quantiser(video)}


def _toolbox_quality(video: VideoEncode) -> Options:
    """Its scale goes from 1 to 100, where more is better."""
    return {"q": max(1, 100 - round(_quality(video) * Fraction(9, 5)))}


def _v4l2_quality(video: VideoEncode) -> Options:
    return {"b": int(video.width * video.height * video.rate * _BITS_A_PIXEL)}


def _render_device(kind: str) -> Callable[[str], tuple[str, ...]]:
    return lambda device: ("-init_hw_device", f"{kind}{device}", "-filter_hw_device", "gpu")


FAMILY_WORDS: Mapping[HardwareFamily, Words] = {
    "nvenc": Words(
        quality=_nvenc_quality,
        ceiling=_nvenc_ceiling,
        speed=lambda effort: {"preset": _NVENC_PRESETS[effort]},
        always={"tune": "hq", "spatial-aq": 1},
        aligned={"forced-idr": 1, "no-scenecut": 1},
    ),
    "qsv": Words(
        quality=_qsv_quality,
        ceiling=_capped,
        speed=lambda effort: {"preset": _QSV_PRESETS[effort]},
        opens=_render_device("qsv=gpu,child_device="),
        upload=(("hwupload", {"extra_hw_frames": 64}), ("format", {"pix_fmts": "qsv"})),
        aligned={"forced_idr": 1},
    ),
    "videotoolbox": Words(
        quality=_toolbox_quality,
        ceiling=_capped,
        speed=lambda effort: {"prio_speed": int(effort < _USUAL)},
        always={"allow_sw": 0},
    ),
    "amf": Words(
        quality=_amf_quality,
        ceiling=lambda video, most: {"rc": "vbr_peak"} | _capped(video, most),
        speed=lambda effort: {"quality": _AMF_PRESETS[effort]},
        always={"usage": "transcoding"},
        aligned={"forced_idr": 1},
    ),
    "vaapi": Words(
        quality=_vaapi_quality,
        ceiling=lambda video, most: {"rc_mode": "VBR"} | _capped(video, most),
        speed=lambda _effort: {},  # drivers count them each in another way
        opens=_render_device("vaapi=gpu:"),
        upload=(("hwupload", {}),),
    ),
    "vulkan": Words(
        quality=_vulkan_quality,
        ceiling=lambda video, most: {"rc_mode": "vbr"} | _capped(video, most),
        speed=lambda _effort: {},  # more levels than a driver has end the encode
        opens=_render_device("vulkan=gpu:"),
        upload=(("hwupload", {}),),
        always={"tune": "hq", "usage": "transcode"},
    ),
    "v4l2m2m": Words(
        quality=_v4l2_quality,
        ceiling=_capped,
        speed=lambda _effort: {},
        profile=False,
    ),
}

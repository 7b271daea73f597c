"""Samples of the output: how colour is sampled, and with how many bits, as far as an encoder goes.

Sources: the pixel formats that ffmpeg lists for each encoder (`ffmpeg -h encoder=NAME`).
"""

from __future__ import annotations

from collections.abc import Mapping

from darkstream.model.media import VideoStream
from darkstream.model.preset import VideoRule

_ALL = {"420": (8, 10, 12), "422": (8, 10, 12), "444": (8, 10, 12)}
_TAKES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "libx264": {"420": (8, 10), "422": (8, 10), "444": (8, 10)},
    "libx265": _ALL,
    "libvpx-vp9": _ALL,
    "libsvtav1": {"420": (8, 10)},
    "libvvenc": {"420": (10,)},
    "prores_ks": {"422": (10,), "444": (10,)},
    "ffv1": _ALL,
}
_OF_HARDWARE: Mapping[str, tuple[int, ...]] = {"420": (8, 10)}
"""It was chosen for its depth."""
FULL_CHROMA = {"4444", "4444xq"}
"""Profiles of ProRes with all colour samples, and transparency."""
_ORDER = ("420", "422", "444")
_KEPT_BY_FFV1 = frozenset(
    (
        *("yuv410p", "yuv411p", "yuv440p", "yuv440p10le", "yuv440p12le", "bgr0", "bgra", "ya8"),
        *("gray", "gray9le", "gray10le", "gray12le", "gray14le", "gray16le", "rgb48le", "rgba64le"),
        *(f"gbr{a}p{bits}le" for a in ("", "a") for bits in (10, 12, 14, 16)),
        *(f"yuv{a}{c}p" for a in ("", "a") for c in _ORDER),
        *(f"yuv{a}{c}p{bits}le" for a in ("", "a") for c in _ORDER for bits in (9, 10, 12, 16)),
    )
)
_SAME_SAMPLES = {
    **{f"yuvj{chroma}p": f"yuv{chroma}p" for chroma in _ORDER},
    **{"nv12": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "yuyv422": "yuv422p"},
    **{"uyvy422": "yuv422p", "p010le": "yuv420p10le", "p210le": "yuv422p10le"},
    **{"rgb24": "bgr0", "bgr24": "bgr0", "0rgb": "bgr0", "rgb0": "bgr0", "gbrp": "bgr0"},
    **{"pal8": "bgra", "argb": "bgra", "abgr": "bgra", "rgba": "bgra", "gbrap": "bgra"},
}
"""Pixel formats that hold the very same samples in another order."""


def choose_pixels(stream: VideoStream, rule: VideoRule, encoder: str, depth: int) -> str:
    """The pixel format of opaque pictures: what the rule wants, or the nearest the encoder takes.

    Rather fewer samples than the source has than invented ones.
    """
    takes = _TAKES.get(encoder, _OF_HARDWARE)
    wanted = _chroma(stream) if rule.chroma == "keep" else "420"
    if rule.profile is not None:  # ProRes: what its profile is made for
        wanted = "444" if rule.profile in FULL_CHROMA else "422"
    chroma = _nearest(_ORDER.index(wanted), [_ORDER.index(name) for name in takes])
    bits = _nearest(depth, list(takes[_ORDER[chroma]]))
    return f"yuv{_ORDER[chroma]}p" + (f"{bits}le" if bits > 8 else "")


def same_pixels(stream: VideoStream) -> str | None:
    """The pixel format in which FFV1 keeps every sample of a stream; None: there is none."""
    found = _SAME_SAMPLES.get(stream.pix_fmt, stream.pix_fmt)
    return found if found in _KEPT_BY_FFV1 else None


def bits_of(pix_fmt: str) -> int:
    """Bits a sample of a format chosen here."""
    digits = pix_fmt.removesuffix("le").rpartition("p")[2]
    return int(digits) if digits.isdecimal() else 8


def chroma_of(pix_fmt: str) -> str:
    """Colour sampling of a format chosen here: '420', '422' or '444'."""
    return next((chroma for chroma in _ORDER if chroma in pix_fmt), "444")


def _chroma(stream: VideoStream) -> str:
    if stream.chroma == "rgb":
        return "444"
    return stream.chroma if stream.chroma in _ORDER else "420"


def _nearest(wanted: int, takes: list[int]) -> int:
    below = [one for one in takes if one <= wanted]
    return max(below) if below else min(takes)

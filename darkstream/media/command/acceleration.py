"""What ffmpeg is told to decode and scale pictures on a GPU: a row a family.

Sources: FFmpeg's documentation of -hwaccel, scale_cuda, scale_vaapi, scale_vulkan and hwdownload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from darkstream.model.capabilities import DecodingFamily

Filter = tuple[str, dict[str, str | int]]

_SCALERS: Mapping[DecodingFamily, tuple[str, dict[str, str | int]]] = {
    "cuda": ("scale_cuda", {"interp_algo": "lanczos"}),
    "vaapi": ("scale_vaapi", {"mode": "hq"}),
    "vulkan": ("scale_vulkan", {}),
}
SCALERS = {family: name for family, (name, _) in _SCALERS.items()}


def hwaccel_options(family: DecodingFamily, device: str | None) -> dict[str, str | int]:
    """Options before `-i`: pictures are decoded into the device's memory, and stay there."""
    options: dict[str, str | int] = {"hwaccel": family, "hwaccel_output_format": family}
    if device is not None:
        options["hwaccel_device"] = device
    return options


def scale_on_device(
    family: DecodingFamily, width: int, height: int, *, bits: int
) -> Iterator[Filter]:
    """Make pictures smaller where they are, then bring them back."""
    samples = "p010le" if bits > 8 else "nv12"
    name, options = _SCALERS[family]
    yield name, {"w": width, "h": height, **options, "format": samples}
    yield "hwdownload", {}
    yield "format", {"pix_fmts": samples}

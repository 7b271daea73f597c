"""Devices of hardware encoders and decoders: which there are, and what the cage needs of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from glob import glob
from pathlib import Path

from darkstream.model.capabilities import DecodingFamily, HardwareFamily

_FILES = (
    *("/dev/nvidiactl", "/dev/nvidia[0-9]*", "/dev/nvidia-uvm*", "/dev/nvidia-caps"),
    *("/dev/dxg", "/dev/dri", "/dev/kfd", "/dev/video[0-9]*", "/dev/mfx"),
)
_DRIVERS = (
    *("/usr/lib/*/dri/*_drv_video.so", "/usr/lib64/dri/*_drv_video.so"),
    *("/usr/lib/*/libnvidia-encode.so.1", "/usr/lib/*/libnvcuvid.so.1", "/usr/lib/*/libcuda.so.1"),
    *("/usr/lib/*/libmfx-gen.so.*", "/usr/lib/*/libamfrt64.so.1", "/usr/lib/*/libvulkan.so.1"),
)
"""Libraries that ffmpeg loads for a device: another file is another driver."""
_NVIDIA = Path("/proc/driver/nvidia")
_GEFORCE_SESSIONS = 8
_INTEL, _AMD = "0x8086", "0x1002"


def device_files() -> list[bytes]:
    """Those that this machine has, absolute: what a hardware encoder needs inside the cage."""
    return [os.fsencode(path) for pattern in _FILES for path in sorted(glob(pattern))]


def device_marks() -> Iterator[str]:
    """What proofs of hardware depend on: devices, kernel, and the drivers that run them."""
    files = device_files()
    if not files:
        return
    yield os.uname().release
    yield from map(os.fsdecode, files)
    yield from glob("/dev/dri/*")
    version = _NVIDIA / "version"
    if version.exists():
        yield version.read_text().splitlines()[0]
    for path in (found for pattern in _DRIVERS for found in sorted(glob(pattern))):
        seen = os.stat(path)
        yield f"{os.path.realpath(path)} {seen.st_size} {seen.st_mtime_ns}"


def devices_of(family: HardwareFamily) -> list[str | None]:
    """What to try a family on, first choice first; None: ffmpeg finds the device itself."""
    return list(_FOUND[family]())


def decoding_devices() -> Iterator[tuple[DecodingFamily, str | None]]:
    """What hardware decoders are tried on, best first."""
    yield from (("cuda", None) for _ in _nvidia())
    yield from (("vaapi", path) for path in _render_nodes())
    yield from (("vulkan", number) for number in _vulkan())


def gpu_names() -> list[str]:
    """The machine's GPUs by name, as far as drivers tell."""
    names = []
    for path in sorted((_NVIDIA / "gpus").glob("*/information")):
        lines = path.read_text().splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names or [f"render device {os.path.basename(path)}" for path in _render_nodes()]


def count_sessions(gpu: str | None, set_to: int | None) -> int | None:
    """Encoding sessions at once: as set, else by the GPU's name; None: its driver sets no limit.

    NVIDIA's drivers for GeForce open eight in the whole machine, however many GPUs there are; those
    for professional GPUs, and other vendors' drivers, as many as fit. (Video Encode and Decode
    Support Matrix)
    """
    if set_to is not None:
        return set_to
    return _GEFORCE_SESSIONS if gpu is not None and "GeForce" in gpu else None


def _nvidia() -> Iterator[None]:
    if os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg"):
        yield None


def _render_nodes(vendor: str | None = None) -> Iterator[str]:
    for path in sorted(glob("/dev/dri/renderD*")):
        told = Path("/sys/class/drm", os.path.basename(path), "device/vendor")
        if vendor is None or (told.exists() and told.read_text().strip() == vendor):
            yield path


def _amd() -> Iterator[None]:
    if any(_render_nodes(_AMD)):
        yield None


def _vulkan() -> Iterator[str]:
    # By number, in the loader's order: NVIDIA's have no render node in a container.
    nodes = len(list(_render_nodes())) or len(glob("/dev/nvidia[0-9]*"))
    yield from map(str, range(nodes))


def _apple() -> Iterator[None]:
    if platform.system() == "Darwin":
        yield None


def _v4l2() -> Iterator[None]:
    if glob("/dev/video[0-9]*"):
        yield None


_FOUND: Mapping[HardwareFamily, Callable[[], Iterator[str | None]]] = {
    "nvenc": _nvidia,
    "qsv": lambda: _render_nodes(_INTEL),
    "videotoolbox": _apple,
    "amf": _amd,
    "vaapi": _render_nodes,
    "vulkan": _vulkan,
    "v4l2m2m": _v4l2,
}

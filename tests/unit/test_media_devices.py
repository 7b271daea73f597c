"""Which devices hardware encoders are tried on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkstream.media import devices
from darkstream.media.devices import (
    count_sessions,
    decoding_devices,
    device_files,
    device_marks,
    devices_of,
    gpu_names,
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine below a directory: its `dev`, `sys` and `proc` are looked at in place of ours."""

    def below(pattern: str) -> list[str]:
        return [str(path) for path in sorted(tmp_path.glob(pattern.lstrip("/")))]

    class Below(Path):
        def __new__(cls, *parts: str) -> Path:
            return Path(tmp_path, *(part.lstrip("/") for part in parts))

    exists = os.path.exists
    monkeypatch.setattr(devices, "glob", below)
    monkeypatch.setattr(devices, "Path", Below)
    monkeypatch.setattr(devices, "_NVIDIA", tmp_path / "proc/driver/nvidia")
    monkeypatch.setattr(
        devices.os.path, "exists", lambda path: exists(tmp_path / str(path).lstrip("/"))
    )
    monkeypatch.setattr(devices.platform, "system", lambda: "Linux")
    return tmp_path


def _make(machine: Path, name: str, text: str = "") -> Path:
    path = machine / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_machine_without_any(machine: Path) -> None:
    families = ("nvenc", "qsv", "videotoolbox", "amf", "vaapi", "vulkan", "v4l2m2m")
    assert [devices_of(name) for name in families] == [[]] * 7
    assert (device_files(), list(device_marks()), gpu_names()) == ([], [], [])


def test_render_nodes_by_vendor(machine: Path) -> None:
    for number, vendor in ((128, "0x8086"), (129, "0x1002")):
        _make(machine, f"dev/dri/renderD{number}")
        _make(machine, f"sys/class/drm/renderD{number}/device/vendor", f"{vendor}\n")
    intel, amd = (str(machine / f"dev/dri/renderD{number}") for number in (128, 129))
    assert devices_of("qsv") == [intel] and devices_of("amf") == [None]
    assert devices_of("vaapi") == [intel, amd] and devices_of("vulkan") == ["0", "1"]
    assert gpu_names() == ["render device renderD128", "render device renderD129"]


def test_those_of_nvidia(machine: Path) -> None:
    for name in ("nvidiactl", "nvidia0", "nvidia-uvm"):
        _make(machine, f"dev/{name}")
    _make(machine, "proc/driver/nvidia/version", "NVRM version: 570.1\nmore\n")
    _make(machine, "proc/driver/nvidia/gpus/0000:01/information", "Model: \t\t NVIDIA L4\nIRQ: 1\n")
    library = _make(machine, "usr/lib/x/libcuda.so.1", "driver")
    assert devices_of("nvenc") == [None] and devices_of("vulkan") == ["0"]
    assert gpu_names() == ["NVIDIA L4"]
    assert list(decoding_devices()) == [("cuda", None), ("vulkan", "0")]
    marks = list(device_marks())
    assert "NVRM version: 570.1" in marks and len(device_files()) == 3
    library.write_text("another driver")
    assert list(device_marks()) != marks


def test_those_of_others(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(machine, "dev/video11")
    monkeypatch.setattr(devices.platform, "system", lambda: "Darwin")
    assert devices_of("v4l2m2m") == [None] and devices_of("videotoolbox") == [None]


def test_sessions_are_as_set_or_as_the_driver_allows() -> None:
    assert count_sessions("NVIDIA GeForce RTX 4090", None) == 8
    assert count_sessions("NVIDIA GeForce RTX 4090", 3) == 3
    assert count_sessions("NVIDIA L4", None) is None
    assert count_sessions(None, None) is None

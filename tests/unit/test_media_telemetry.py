"""GPU telemetry: what nvidia-smi tells, as older and newer drivers do."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkstream.cli.doctor import _tell_gpu
from darkstream.media.telemetry import read_gpus
from darkstream.model.capabilities import Gpu

_OLD = 'case "$1" in *utilization.encoder*) echo "is not a valid field" ; exit 2;; esac\n'


def _say(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A stand-in for NVIDIA's tool, which no machine without its driver has."""
    path = directory / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_each_gpu_has_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        r"echo 'NVIDIA H200, 570.1, 3, 512, 143771, 31, [N/A], [Not Supported], 40'"
        "\necho 'NVIDIA L4, 570.1, 90, 2000, 23034, 60, 5, 80, 12'\necho 'a warning'\n"
    )
    _say(tmp_path, monkeypatch, lines)
    first, second = read_gpus()
    assert (first.name, first.driver, first.decoder_busy) == ("NVIDIA H200", "570.1", 40)
    assert first.encoder_busy is None and first.sessions is None
    assert (second.sessions, second.encoder_busy, second.temperature_c) == (5, 80, 60)
    assert _tell_gpu(first) == (
        "NVIDIA H200, driver 570.1: 3 % busy, decoder 40 %, 512 of 143771 MiB, 31 °C"
    )


def test_an_older_driver_is_asked_for_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _say(tmp_path, monkeypatch, _OLD + "echo 'Tesla T4, 470.2, 7, 1, 15109, 40, 0'\n")
    (gpu,) = read_gpus()
    assert (gpu.busy, gpu.sessions, gpu.encoder_busy) == (7, 0, None)


def test_a_tool_that_fails_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _say(tmp_path, monkeypatch, "exit 9\n")
    assert read_gpus() == ()


def test_without_the_tool_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_gpus() == ()
    assert _tell_gpu(Gpu(name="odd", driver="1")) == "odd, driver 1: it tells nothing"

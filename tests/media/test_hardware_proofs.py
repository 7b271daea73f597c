"""Hardware encoders are believed when what they make is what went in."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures_hardware import nvenc_stand_in
from fixtures_planning import Walker

from darkstream.media import capabilities, proofs
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.command.encoders import encoder_options
from darkstream.media.proofs import Workshop, prove_hardware, rendition
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Encoder
from darkstream.planning.hardware import FAMILIES
from darkstream.settings import MediaSettings

_H264 = ("h264_nvenc",)
_H264_ALONE = replace(FAMILIES["nvenc"], encoders={"h264": "h264_nvenc"})


@pytest.fixture(autouse=True)
def _one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "devices_of", lambda name: [None] if name == "nvenc" else [])


def _prove(ffmpeg: Path, known: tuple[str, ...] = _H264) -> tuple[Encoder, ...]:
    return prove_hardware(Workshop(str(ffmpeg), Sandbox("rlimits")), known)


def test_one_that_works_is_proved(walker: Walker, tmp_path: Path) -> None:
    ffmpeg = nvenc_stand_in(tmp_path, walker.capabilities.ffmpeg)
    h264, hevc = _prove(ffmpeg, ("hevc_nvenc", "h264_nvenc"))
    assert (h264.name, h264.bits, h264.rungs) == ("h264_nvenc", (8, 10), True)
    assert (hevc.name, hevc.family, hevc.bits) == ("hevc_nvenc", "nvenc", (8, 10))
    assert hevc.rungs and hevc.hdr10 and hevc.hardware


@pytest.mark.parametrize(
    ("lie", "left"),
    [
        (("-frames:v", "40"), None),
        (("-vf", "negate"), None),
        (("-pix_fmt", "yuv420p"), ((8,), True)),
        (("-force_key_frames", "0.7"), ((8, 10), False)),
    ],
    ids=["fewer pictures", "other pictures", "not as deep", "key frames elsewhere"],
)
def test_one_that_only_says_that_it_works_is_not(
    walker: Walker, tmp_path: Path, lie: tuple[str, ...], left: tuple[tuple[int, ...], bool] | None
) -> None:
    found = _prove(nvenc_stand_in(tmp_path, walker.capabilities.ffmpeg, lie=lie))
    assert [(one.bits, one.rungs) for one in found] == ([] if left is None else [left])


def test_one_that_fails_is_not(walker: Walker, tmp_path: Path) -> None:
    assert _prove(nvenc_stand_in(tmp_path, walker.capabilities.ffmpeg, fault="sys.exit(1)")) == ()


def test_without_a_device_nothing_is_tried(tmp_path: Path) -> None:
    assert _prove(tmp_path / "no such ffmpeg", ("h264_vaapi", "h264_amf")) == ()


def test_it_is_among_the_capabilities(
    walker: Walker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "detect", lambda _mode: Sandbox("rlimits"))
    monkeypatch.setattr(capabilities, "gpu_names", lambda: ["Made-up GPU"])
    settings = MediaSettings(ffmpeg=nvenc_stand_in(tmp_path, walker.capabilities.ffmpeg))
    found = detect_capabilities(settings, tmp_path / "cache")
    assert {one.name for one in found.encoders if one.hardware} == {
        "h264_nvenc",
        "hevc_nvenc",
        "av1_nvenc",
    }
    assert found.gpu == "Made-up GPU"


@pytest.mark.parametrize(
    "encoder", [name for family in FAMILIES.values() for name in family.encoders.values()]
)
def test_ffmpeg_knows_every_word(walker: Walker, encoder: str) -> None:
    """What the options are called, and the words that they take, by ffmpeg's own list."""
    told = subprocess.run(
        [walker.capabilities.ffmpeg, "-hide_banner", "-h", f"encoder={encoder}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    family = next(name for name, row in FAMILIES.items() if encoder in row.encoders.values())
    if f"Encoder {encoder}" not in told:
        assert family == "videotoolbox", "only ffmpegs of macOS have it"
        return
    codec = next(c for c, name in FAMILIES[family].encoders.items() if name == encoder)
    private = set(re.findall(r"^  -(\S+) +<", told, re.MULTILINE))
    words = set(re.findall(r"^     (\S+) ", told, re.MULTILINE))
    one = Encoder(name=encoder, codec=codec, hardware=True, family=family)
    usual = {"c", "g", "pix_fmt", "b", "maxrate", "bufsize", "global_quality", "q", "profile"}
    usual |= {"force_key_frames", "bsf"}
    for rung in (False, True):
        for bits in (8, 10) if codec in FAMILIES[family].deep else (8,):
            video = rendition(one, codec, bits, rung=rung)
            for option, value in encoder_options(video, 0, aligned=rung).items():
                name = option.partition(":")[0]
                assert name in private | usual, option
                if name in private and isinstance(value, str):
                    assert value in words, f"{option} {value}"


def test_what_failed_is_proved_anew_and_software_is_not(
    walker: Walker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "detect", lambda _mode: Sandbox("rlimits"))
    monkeypatch.setattr(proofs, "FAMILIES", {"nvenc": _H264_ALONE})
    settings = MediaSettings(ffmpeg=nvenc_stand_in(tmp_path, walker.capabilities.ffmpeg))
    found = detect_capabilities(settings, tmp_path / "cache")
    assert [one.name for one in found.encoders if one.hardware] == ["h264_nvenc"]
    monkeypatch.setattr(capabilities, "_prove", lambda *_: pytest.fail("software is proved"))
    monkeypatch.setattr(proofs, "_encodes", lambda *_, **__: False)
    capabilities.forget_hardware(tmp_path / "cache")
    again = detect_capabilities(settings, tmp_path / "cache")
    assert again.gpu is None and not any(one.hardware for one in again.encoders)
    assert [one for one in found.encoders if not one.hardware] == list(again.encoders)
    assert detect_capabilities(settings, tmp_path / "cache") == again

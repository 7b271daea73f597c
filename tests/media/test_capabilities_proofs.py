"""An encoder that claims to keep data for single scenes is believed when it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fixtures_dynamic import rpu
from fixtures_planning import Walker

from darkstream.media import capabilities
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Capabilities
from darkstream.settings import MediaSettings


def _able(found: Capabilities) -> set[str]:
    return {one.name for one in found.encoders if "dolby_vision" in one.dynamic_hdr}


def _liar(directory: Path, ffmpeg: str, change: str) -> Path:
    """An ffmpeg that takes each option and leaves one out."""
    path = directory / "ffmpeg"
    path.write_text(
        f"""#!/bin/bash
words=()
for word in "$@"; do
    {change}
    words+=("$word")
done
exec {ffmpeg} "${{words[@]}}"
"""
    )
    path.chmod(0o755)
    return path


def test_this_ffmpeg_keeps_dolby_vision(walker: Walker) -> None:
    assert _able(walker.capabilities) == {"libx265", "libsvtav1"}


@pytest.mark.parametrize(
    "change",
    [
        '[ "${words[-1]}" = -dolbyvision ] && word=0',
        '[ "${words[-1]}" = -f_strict ] && word=normal',
        '[ "${words[-1]}" = -dolbyvision ] && exit 1',
    ],
    ids=["no data", "no record", "no such option"],
)
def test_one_that_only_takes_the_option_does_not(
    walker: Walker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    # A cage would hide the real one from the script.
    monkeypatch.setattr(Sandbox, "detect", lambda _mode: Sandbox("rlimits"))
    settings = MediaSettings(ffmpeg=_liar(tmp_path, walker.capabilities.ffmpeg, change))
    found = detect_capabilities(settings, tmp_path / "cache")
    assert {"libx265", "libsvtav1"} <= {one.name for one in found.encoders}
    assert _able(found) == set()


def test_the_sample_has_what_is_looked_for(walker: Walker, tmp_path: Path) -> None:
    sample = tmp_path / "sample.hevc"
    sample.write_bytes(capabilities._SAMPLE.read_bytes())
    video = walker.prober.probe(os.fsencode(sample)).video[0]
    survey = walker.prober.survey(os.fsencode(sample)).stream(0)
    assert survey is not None
    assert (survey.dolby_vision, survey.hdr10plus) == (2, 2)
    assert (video.hdr, video.hdr10plus, video.colour.transfer) == (
        "dolby_vision",
        True,
        "smpte2084",
    )
    assert rpu(1)[1:-5] in sample.read_bytes().replace(b"\0\0\3", b"\0\0")


def test_earlier_proofs_are_made_anew_when_more_is_proved(
    walker: Walker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = MediaSettings(ffmpeg=Path(walker.capabilities.ffmpeg))
    detect_capabilities(settings, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(capabilities, "_REVISION", "next")
    assert _able(detect_capabilities(settings, tmp_path)) == {"libx265", "libsvtav1"}
    assert len(list(tmp_path.iterdir())) == 2

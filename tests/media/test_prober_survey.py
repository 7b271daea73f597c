"""The walk over all packets, as the caged child does it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walker

from darkstream.errors import Cancelled, SourceRejected
from darkstream.media import probe
from darkstream.media.probe import Prober
from darkstream.model.survey import StreamPackets
from darkstream.observe.cancel import CancelToken
from darkstream.settings import MediaSettings


@pytest.fixture
def prober() -> Iterator[Prober]:
    """A prober of its own: its child is ended here."""
    with Prober(MediaSettings()) as one:
        yield one


def _video(walker: Walker, path: Path) -> StreamPackets:
    survey = walker.prober.survey(os.fsencode(path))
    return next(stream for stream in survey.streams if stream.kind == "video")


def _moving(clips: Clips, name: str, choice: str, *more: str) -> Path:
    return clips.make(
        name,
        *("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=6", "-vf", choice),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "50"),
        *("-fps_mode", "passthrough", *more),
    )


def test_every_packet_is_counted(walker: Walker, clips: Clips) -> None:
    found = _video(walker, _moving(clips, "all.mkv", "null"))
    assert (found.packets, found.key_frames) == (150, 3)
    assert (found.rate, found.variable_rate) == (25, False)
    assert (found.gaps, found.jumps, found.corrupt, found.zeroed) == (0, 0, 0, 0)


@pytest.mark.parametrize("name", ["lost.mkv", "lost.mp4", "lost.ts"])
def test_pictures_that_are_missing_are_counted(walker: Walker, clips: Clips, name: str) -> None:
    choice = "select='not(between(n,40,46)+eq(n,100))'"
    found = _video(walker, _moving(clips, name, choice))
    assert (found.packets, found.gaps, found.missing) == (142, 2, 8)
    assert found.rate == 25


@pytest.mark.parametrize("name", ["screen.mkv", "screen.mp4"])
def test_a_rate_that_varies_lacks_nothing(walker: Walker, clips: Clips, name: str) -> None:
    found = _video(walker, _moving(clips, name, "select='lt(random(1),0.6)'"))
    assert found.variable_rate
    assert (found.gaps, found.missing) == (0, 0)
    assert found.rate is not None
    assert found.rate == pytest.approx(Fraction(found.packets, 6), rel=0.05)


def test_sound_that_is_missing_is_counted(walker: Walker, clips: Clips) -> None:
    whole = clips.make("tone.mka", "-f", "lavfi", "-i", "sine=d=8", "-c:a", "aac")
    drop = "noise=drop='between(pts*tb,3,5)'"
    path = clips.make("hole.mka", "-i", str(whole), "-c", "copy", "-bsf:a", drop)
    (found,) = walker.prober.survey(os.fsencode(path)).streams
    assert (found.kind, found.gaps) == ("audio", 1)
    assert float(found.missing) == pytest.approx(2, abs=0.1)


def test_a_survey_can_be_cancelled_and_the_next_one_works(prober: Prober, clips: Clips) -> None:
    path = os.fsencode(_moving(clips, "all.mkv", "null"))
    cancel = CancelToken()
    cancel.cancel(Cancelled("enough"))
    with pytest.raises(Cancelled, match="enough"):
        prober.survey(path, cancel)
    assert prober.pid is None
    assert prober.survey(path, CancelToken()).streams[0].packets == 150


def test_what_is_no_film_is_refused(prober: Prober, tmp_path: Path) -> None:
    text = tmp_path / "a.mkv"
    text.write_text("nothing to see\n")
    with pytest.raises(SourceRejected, match="it is text"):
        prober.survey(os.fsencode(text))


def test_a_child_looks_into_so_many_files_and_another_goes_on(
    prober: Prober, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_FILES_A_CHILD", 2)
    path = os.fsencode(_moving(clips, "all.mkv", "null"))
    pids = []
    for _ in range(5):
        assert prober.probe(path).video[0].decoded
        pids.append(prober.pid)
    assert [pids.index(pid) for pid in pids] == [0, 0, 2, 2, 4]

"""Qualities found for a target by real encodes, and what became of them."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import LIMITS, Clips, Walker, encode_of, fast

from darkstream.errors import Cancelled, VerificationFailed
from darkstream.media import quality
from darkstream.media.decoding import Decoder
from darkstream.media.quality import score_output, search
from darkstream.model.plan import EncodePlan
from darkstream.observe.cancel import CancelToken
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.planning.quality import Excerpt

SHORT = "video.quality={vmaf: 90}"


@pytest.fixture
def decoder(walker: Walker) -> Decoder:
    return Decoder(walker.capabilities, walker.sandbox, LIMITS)


@pytest.fixture
def film(clips: Clips) -> Path:
    return clips.make(
        "quality.mkv",
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4,noise=alls=8:allf=t"),
        *("-c:v", "mpeg4", "-q:v", "2", "-g", "25"),
    )


def plan_of(
    walker: Walker,
    film: Path,
    *changes: str,
    name: str = "web",
    filters: tuple[str, ...] | None = None,
) -> EncodePlan:
    wish = fast(load_preset(name, changes=(SHORT, *changes)))
    media = walker.prober.probe(os.fsencode(film))
    able = walker.capabilities
    if filters is not None:
        able = able.model_copy(update={"filters": filters})
    plan = make_plan(media, wish, able, validate(media))
    assert isinstance(plan, EncodePlan), plan
    return plan


def test_the_result_is_as_good_as_wished(
    walker: Walker, film: Path, tmp_path: Path, decoder: Decoder
) -> None:
    wish = load_preset("web", changes=(SHORT,))
    walked = walker.walk(film, wish, tmp_path)
    assert walked.encoded is not None and walked.plan is not None, walked.reason
    video = encode_of(walked.plan)
    assert video.quality in {probe.quality for probe in video.probes}
    assert all(probe.bit_rate > 10_000 for probe in video.probes)
    assert not (tmp_path / "sample.mp4").exists()
    (score,), (said,) = score_output(walked.plan, os.fsencode(film), walked.encoded, decoder)
    assert abs(score.score - 90) <= 0.5 and score.whole and said.code == "quality-reached"
    # What is encoded is what was sampled: a short film is its own sample.
    best = next(probe for probe in video.probes if probe.quality == video.quality)
    assert abs(best.score - score.score) < 0.05


def test_a_long_result_is_looked_at_in_places(
    walker: Walker,
    film: Path,
    tmp_path: Path,
    decoder: Decoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walked = walker.walk(film, load_preset("web", changes=(SHORT,)), tmp_path)
    assert walked.encoded is not None and walked.plan is not None, walked.reason
    monkeypatch.setattr(quality, "_WHOLE_S", 1)
    monkeypatch.setattr(quality, "_PLACES", 3)
    monkeypatch.setattr(quality, "_SECONDS", Fraction(1))
    (score,), _ = score_output(walked.plan, os.fsencode(film), walked.encoded, decoder)
    assert not score.whole and abs(score.score - 90) < 2


def test_samples_are_taken_at_key_frames_all_over_the_film(
    walker: Walker,
    film: Path,
    tmp_path: Path,
    decoder: Decoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = (Excerpt(Fraction(3, 2), 20), Excerpt(Fraction(5, 2), 20), Excerpt(Fraction(60), 20))
    monkeypatch.setattr(quality, "choose_excerpts", lambda *_: places)
    seen = []
    found = search(
        plan_of(walker, film),
        os.fsencode(film),
        os.fsencode(tmp_path),
        decoder,
        on_progress=seen.append,
    )
    probes = encode_of(found).probes
    assert seen and abs(probes[-1].score - 90) < 1.5
    assert [one.code for one in found.findings][-1] == "quality-found"


@pytest.mark.parametrize(("filters", "metric"), [(("xpsnr", "ssim"), "xpsnr"), (("ssim",), "ssim")])
def test_other_metrics_are_searched_as_well(
    walker: Walker,
    film: Path,
    tmp_path: Path,
    decoder: Decoder,
    filters: tuple[str, ...],
    metric: str,
) -> None:
    plan = plan_of(walker, film, filters=filters)
    found = search(plan, os.fsencode(film), os.fsencode(tmp_path), decoder)
    video = encode_of(found)
    assert video.target is not None and video.target.metric == metric
    best = min(abs(probe.score - video.target.score) for probe in video.probes)
    assert best <= (0.2 if metric == "xpsnr" else 0.001), video.probes


def test_every_rung_of_a_ladder_has_its_own(
    walker: Walker, film: Path, tmp_path: Path, decoder: Decoder
) -> None:
    rungs = "package.ladder=[{height: 240, max_bit_rate: 9000000}, {height: 120, max_bit_rate: 99}]"
    wish = fast(load_preset("abr", changes=(SHORT, rungs.replace("99}", "9000000}"))))
    walked = walker.walk(film, wish, tmp_path)
    assert walked.encoded is not None and walked.plan is not None, walked.reason
    scores, said = score_output(walked.plan, os.fsencode(film), walked.encoded, decoder)
    assert [one.rendition for one in scores] == ["240p", "120p"]
    assert not [one for one in walked.plan.findings if one.code == "rung-dropped"]
    assert all(abs(one.score - 90) <= 1 for one in scores), scores
    assert {one.code for one in said} == {"quality-reached"}


def test_a_rung_that_adds_nothing_is_left_out(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    """Coarse blocks are encoded best at their own size; smaller pictures of them look worse."""
    film = clips.make(
        "quality-blocks.mkv",
        *("-f", "lavfi", "-i", "testsrc2=s=80x60:r=25:d=3,scale=640:480:flags=neighbor"),
        *("-c:v", "mpeg4", "-q:v", "2", "-g", "25"),
    )
    rungs = ", ".join(f"{{height: {high}, max_bit_rate: 9000000}}" for high in (480, 432, 96))
    wish = fast(load_preset("abr", changes=(SHORT, f"package.ladder=[{rungs}]")))
    walked = walker.walk(film, wish, tmp_path)
    assert walked.encoded is not None and walked.plan is not None, walked.reason
    left = [video.name for video in walked.plan.renditions]
    assert left[0] == "480p" and "432p" not in left
    said = [one.message for one in walked.plan.findings if one.code == "rung-dropped"]
    assert said[0].startswith("432p is left out") and len(said) == 3 - len(left)
    assert walked.presentation is not None
    scores, _ = score_output(walked.plan, os.fsencode(film), walked.encoded, decoder)
    assert [one.rendition for one in scores] == left


def test_pictures_that_cannot_be_paired_are_not_scored(
    walker: Walker, film: Path, tmp_path: Path, decoder: Decoder
) -> None:
    walked = walker.walk(film, load_preset("web", changes=(SHORT,)), tmp_path)
    assert walked.encoded is not None and walked.plan is not None, walked.reason
    fewer = walked.encoded.model_copy(update={"frames": (walked.encoded.frames[0] - 1,)})
    scores, (said,) = score_output(walked.plan, os.fsencode(film), fewer, decoder)
    assert not scores and said.code == "quality-not-measured" and "paired" in said.message


def test_what_is_drawn_on_is_not_scored(
    walker: Walker, film: Path, tmp_path: Path, decoder: Decoder
) -> None:
    wish = load_preset("web", changes=(SHORT, "overlay={text: mine}"))
    walked = walker.walk(film, wish, tmp_path)
    assert walked.encoded is not None and walked.plan is not None, walked.reason
    scores, (said,) = score_output(walked.plan, os.fsencode(film), walked.encoded, decoder)
    assert not scores and "something is drawn" in said.message


def test_without_any_sample_there_is_no_quality(
    walker: Walker,
    film: Path,
    tmp_path: Path,
    decoder: Decoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quality, "choose_excerpts", lambda *_: ())
    with pytest.raises(VerificationFailed, match="a number for"):
        search(plan_of(walker, film), os.fsencode(film), os.fsencode(tmp_path), decoder)


def test_a_search_can_be_cancelled(
    walker: Walker, film: Path, tmp_path: Path, decoder: Decoder
) -> None:
    token = CancelToken()
    begun = threading.Event()

    def stop(_: object) -> None:
        begun.set()
        token.cancel(Cancelled("enough"))

    with pytest.raises(Cancelled, match="enough"):
        search(
            plan_of(walker, film),
            os.fsencode(film),
            os.fsencode(tmp_path),
            replace(decoder, cancel=token),
            on_progress=stop,
        )
    assert begun.is_set() and list(tmp_path.iterdir()) == []

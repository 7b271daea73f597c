"""Claims tell where a search for a quality may begin: what the library's last jobs ended with."""

from __future__ import annotations

from fixtures_catalog import claim, dispatch, end, library, submit, walk

from darkstream.catalog import Catalog
from darkstream.model.job import Claim
from darkstream.model.preset import Preset, QualityTarget, VideoRule

AIMED = Preset(name="aimed", video=VideoRule(quality=QualityTarget(vmaf=95)))


def plan(quality: float, metric: str = "vmaf") -> dict[str, object]:
    video = {"name": "video", "encoder": "libx264", "quality": quality}
    return {"renditions": [{**video, "target": {"metric": metric, "score": 95}}]}


def begin(catalog: Catalog) -> Claim:
    """A job of those that wait now."""
    return claim(catalog, dispatch(catalog))


def test_a_claim_has_the_median_of_what_reached_the_target(catalog: Catalog) -> None:
    library(catalog, preset=AIMED)
    walk(catalog, {b"%d.mkv" % n: (n, f"s{n}") for n in range(1, 4)})
    number = dispatch(catalog)
    for quality in (20, 26, 21.5):
        held = claim(catalog, number)
        catalog.results.commit(held.job, end(held, plan=plan(quality)))
    walk(catalog, {b"%d.mkv" % n: (n, f"s{n}") for n in range(1, 5)})
    (hint,) = begin(catalog).hints
    assert (hint.rendition, hint.encoder, hint.quality) == ("video", "libx264", 21.5)
    assert hint.target.score == 95


def test_what_did_not_end_well_and_other_libraries_tell_nothing(catalog: Catalog) -> None:
    library(catalog, preset=AIMED)
    walk(catalog, {b"1.mkv": (1, "s1")})
    held = begin(catalog)
    assert held.hints == ()
    catalog.results.commit(held.job, end(held, status="failed", plan=plan(20)))
    walk(catalog, {b"1.mkv": (1, "s1"), b"2.mkv": (2, "s2")})
    assert begin(catalog).hints == ()
    submit(catalog, "single.mkv", preset=AIMED)
    assert begin(catalog).hints == ()


def test_a_fixed_quality_needs_no_hint(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {b"1.mkv": (1, "s1")})
    held = begin(catalog)
    catalog.results.commit(held.job, end(held, plan=plan(20)))
    walk(catalog, {b"1.mkv": (1, "s1"), b"2.mkv": (2, "s2")})
    assert begin(catalog).hints == ()

"""Encoding sessions of a GPU are given with the claim and come back with the lease."""

from __future__ import annotations

import threading

import pytest
from fixtures_catalog import claim, dispatch, end, silence, submit
from fixtures_server import node_report
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import Claim, JobStatus
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import Release
from darkstream.planning.presets import load_preset

_FAST = Preset(name="fast", video=VideoRule(hardware="prefer"))


def _report(catalog: Catalog, sessions: int | None) -> None:
    report = node_report(gpu="GeForce", slots=8)
    catalog.nodes.report("node", report.model_copy(update={"gpu_sessions": sessions}))


def _dispatch(catalog: Catalog, name: str, preset: Preset = _FAST, pool: str = "gpu") -> int:
    submit(catalog, name, preset=preset, pool=pool)
    return dispatch(catalog, pool=pool)


def _ask(catalog: Catalog, number: int, node: str = "node") -> Claim | None:
    return catalog.leases.claim(DispatchId(number), node, f"run-{number}")


def test_no_more_jobs_than_sessions(catalog: Catalog) -> None:
    _report(catalog, 2)
    numbers = [_dispatch(catalog, f"{n}.mkv") for n in range(3)]
    first, _second = claim(catalog, numbers[0]), claim(catalog, numbers[1])
    assert _ask(catalog, numbers[2]) is None
    waiting = catalog.jobs.get(JobId(3))
    assert waiting.status is JobStatus.queued
    assert waiting.reason == "2 of the 2 encoding sessions of node are taken"
    assert waiting.not_before is not None and waiting.attempts == 0
    catalog.results.commit(first.job, end(first))
    catalog.dispatches.end(DispatchId(numbers[2]))
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE jobs SET not_before = 0 WHERE status = 'queued'"))
    assert _ask(catalog, dispatch(catalog, pool="gpu")) is not None


def test_those_of_a_lost_worker_are_free_when_its_lease_ends(catalog: Catalog) -> None:
    _report(catalog, 1)
    claim(catalog, _dispatch(catalog, "a.mkv"))
    second = _dispatch(catalog, "b.mkv")
    silence(catalog)
    assert _ask(catalog, second) is not None
    assert len(catalog.leases.expire()) >= 1


def test_a_release_frees_them(catalog: Catalog) -> None:
    _report(catalog, 1)
    held = claim(catalog, _dispatch(catalog, "a.mkv"))
    second = _dispatch(catalog, "b.mkv")
    catalog.results.release(held.job, Release(token=held.token, reason="stopped", delay_s=60))
    assert _ask(catalog, second) is not None


def test_a_ladder_takes_one_a_rung(catalog: Catalog) -> None:
    _report(catalog, 8)
    ladder = load_preset("abr")
    rungs = len(ladder.package.ladder)
    assert 4 < rungs < 8, "two of them do not fit"
    claim(catalog, _dispatch(catalog, "a.mkv", ladder))
    assert _ask(catalog, _dispatch(catalog, "b.mkv", ladder)) is None
    for number in range(8 - rungs):
        claim(catalog, _dispatch(catalog, f"small-{number}.mkv"))
    assert _ask(catalog, _dispatch(catalog, "more.mkv")) is None


def test_one_that_needs_more_than_there_are_gets_them_all(catalog: Catalog) -> None:
    _report(catalog, 2)
    ladder = load_preset("abr")
    claim(catalog, _dispatch(catalog, "a.mkv", ladder))
    assert _ask(catalog, _dispatch(catalog, "b.mkv")) is None


@pytest.mark.parametrize("sessions", [1, None])
def test_others_are_not_counted(catalog: Catalog, sessions: int | None) -> None:
    _report(catalog, sessions)
    claim(catalog, _dispatch(catalog, "a.mkv"))
    assert _ask(catalog, _dispatch(catalog, "b.mkv", pool="cpu")) is not None
    assert _ask(catalog, _dispatch(catalog, "c.mkv"), "another node") is not None
    assert (_ask(catalog, _dispatch(catalog, "d.mkv")) is None) is (sessions == 1)


def test_claims_at_the_same_moment_share_none(catalog: Catalog) -> None:
    _report(catalog, 2)
    numbers = [_dispatch(catalog, f"{n}.mkv") for n in range(6)]
    got: list[Claim | None] = []
    threads = [
        threading.Thread(target=lambda n=number: got.append(_ask(catalog, n))) for number in numbers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in got) == 2 and len(got) == 6


def test_a_node_without_the_encoder_that_is_demanded_leaves_the_job_to_others(
    catalog: Catalog,
) -> None:
    _report(catalog, None)
    demanding = Preset(name="av1", video=VideoRule(codec="av1", hardware="require"))
    number = _dispatch(catalog, "a.mkv", demanding)
    assert _ask(catalog, number) is None
    waiting = catalog.jobs.get(JobId(1))
    assert waiting.status is JobStatus.queued and waiting.attempts == 0
    assert "has not proved the hardware encoder" in waiting.reason
    able = VideoRule(codec="h264", hardware="require")
    assert _ask(catalog, _dispatch(catalog, "b.mkv", Preset(name="h264", video=able))) is not None

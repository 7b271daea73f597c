"""Analyses that people ask for, on every database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic import command
from fixtures_catalog import Catalog
from sqlalchemy import text

from darkstream.catalog import analyses as module
from darkstream.errors import Conflict, NotFound
from darkstream.model.analyses import (
    AnalysisEnd,
    AnalysisOrder,
    AnalysisPulse,
    AnalysisResults,
    AnalysisRun,
    AnalysisWorker,
)
from darkstream.model.analysis import Analysis
from darkstream.model.base import AnalysisId, NodeName

NODE = NodeName("den")
DAY_S = 86400.0


def _add(catalog: Catalog, *paths: bytes) -> AnalysisId:
    order = AnalysisOrder(paths=paths or (b"/in",), loudness=True, level="quick")
    return catalog.analyses.add(order).id


def _begin(catalog: Catalog, number: AnalysisId, run: str = "run") -> AnalysisOrder:
    catalog.analyses.bind(number, run)
    return catalog.analyses.order(number, AnalysisWorker(node=NODE, flow_run=run))


def _pulse(run: str = "run", files: int | None = None) -> AnalysisPulse:
    return AnalysisPulse(node=NODE, flow_run=run, files=files)


def _results(first: int, *names: str, run: str = "run") -> AnalysisResults:
    found = tuple(
        Analysis(source=f"/in/{name}", status="failed" if "lost" in name else "done")
        for name in names
    )
    return AnalysisResults(node=NODE, flow_run=run, first=first, results=found)


def _end(reason: str = "", run: str = "run") -> AnalysisEnd:
    return AnalysisEnd(node=NODE, flow_run=run, reason=reason)


def _found(catalog: Catalog, number: AnalysisId) -> list[str]:
    lines = catalog.analyses.results(number)
    return [Analysis.model_validate_json(line).source for line in lines]


def _lose(catalog: Catalog, number: AnalysisId, run: str) -> AnalysisRun:
    catalog.analyses.lose(number, run)
    return catalog.analyses.get(number)


def _later(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    clock: Callable[..., float] = catalog.database.now
    monkeypatch.setattr(catalog.database, "now", lambda c: clock(c) + seconds)


def test_an_analysis_from_its_paths_to_its_end(catalog: Catalog) -> None:
    number = _add(catalog, b"/in/a.mkv", b"/in/\xff")
    new = catalog.analyses.get(number)
    assert (new.status, new.loudness, new.level, new.pictures) == ("queued", True, "quick", True)
    assert new.paths == ("/in/a.mkv", "/in/\\xff")
    assert new.paths_b64 == ("L2luL2EubWt2", "L2luL/8=")
    order = _begin(catalog, number)
    assert (order.paths, order.level) == ((b"/in/a.mkv", b"/in/\xff"), "quick")
    assert catalog.analyses.keep(number, _pulse(files=3))
    assert catalog.analyses.add_results(number, _results(0, "a.mkv", "lost.mkv"))
    half = catalog.analyses.get(number)
    assert (half.status, half.node, half.files) == ("running", "den", 3)
    assert (half.analysed, half.failed, half.paths_b64) == (2, 1, new.paths_b64)
    assert catalog.analyses.add_results(number, _results(2, "b.mkv"))
    catalog.analyses.finish(number, _end())
    catalog.analyses.finish(number, _end("said again"))
    over = catalog.analyses.get(number)
    assert (over.status, over.analysed, over.reason) == ("done", 3, "")
    assert over.is_over
    assert over.ended is not None
    assert _found(catalog, number) == ["/in/a.mkv", "/in/lost.mkv", "/in/b.mkv"]
    with pytest.raises(Conflict, match="is done: there is nothing to do"):
        _begin(catalog, number)


def test_results_that_are_sent_again_count_once_and_none_is_missing(catalog: Catalog) -> None:
    number = _add(catalog)
    _begin(catalog, number)
    for _ in range(2):
        assert catalog.analyses.add_results(number, _results(0, "a", "b"))
    assert catalog.analyses.add_results(number, _results(1, "b", "lost"))
    assert (catalog.analyses.get(number).analysed, catalog.analyses.get(number).failed) == (3, 1)
    assert _found(catalog, number) == ["/in/a", "/in/b", "/in/lost"]
    with pytest.raises(Conflict, match="has 3 results so far"):
        catalog.analyses.add_results(number, _results(4, "e"))


def test_pages_are_newest_first_and_what_is_not_there_is_told(catalog: Catalog) -> None:
    first, second, third = (_add(catalog) for _ in range(3))
    assert [one.id for one in catalog.analyses.find(limit=2)] == [third, second]
    assert [one.id for one in catalog.analyses.find(after=second)] == [first]
    gone = AnalysisId(third + 1)
    for ask in (catalog.analyses.get, catalog.analyses.progress, catalog.analyses.remove):
        with pytest.raises(NotFound, match=f"there is no analysis {gone}"):
            ask(gone)
    assert not catalog.analyses.keep(gone, _pulse())
    assert list(catalog.analyses.results(gone)) == []


def test_lists_show_the_first_of_many_paths_and_how_many_there_are(catalog: Catalog) -> None:
    paths = tuple(b"/in/%d.mkv" % number for number in range(500))
    number = _add(catalog, *paths)
    (listed,) = catalog.analyses.find()
    assert (listed.paths, listed.path_count) == (("/in/0.mkv", "/in/1.mkv", "/in/2.mkv"), 500)
    assert (listed.level, listed.loudness) == ("quick", True)
    assert catalog.analyses.queued(9) == [listed]
    whole = catalog.analyses.get(number)
    assert (len(whole.paths), whole.path_count) == (500, 500)
    assert catalog.analyses.progress(number).model_dump().items() <= whole.model_dump().items()
    assert _begin(catalog, number).paths == paths
    with catalog.database.write() as connection:
        config = catalog.database.alembic_config(connection)
        command.downgrade(config, "0011")
        command.upgrade(config, "head")
    (again,) = catalog.analyses.find()
    assert (again.paths, again.path_count, again.level) == (listed.paths, 500, "quick")


def test_long_results_are_read_page_by_page(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    number = _add(catalog)
    _begin(catalog, number)
    catalog.analyses.add_results(number, _results(0, *"abcde"))
    assert _found(catalog, number) == [f"/in/{name}" for name in "abcde"]


def test_too_many_results_end_it(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    number = _add(catalog)
    _begin(catalog, number)
    assert catalog.analyses.add_results(number, _results(0, "a"))
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 10)
    assert not catalog.analyses.add_results(number, _results(1, *"bcdefghijk"))
    over = catalog.analyses.get(number)
    assert (over.status, over.analysed) == ("failed", 1)
    assert "analyse fewer files" in over.reason
    assert not catalog.analyses.keep(number, _pulse())


def test_what_is_forgotten_is_gone_and_its_worker_stops(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 2)
    number, other = _add(catalog), _add(catalog)
    for one in (number, other):
        _begin(catalog, one)
        catalog.analyses.add_results(one, _results(0, *"abcde"))
    catalog.analyses.remove(number)
    assert [one.id for one in catalog.analyses.find()] == [other]
    assert not catalog.analyses.keep(number, _pulse())
    assert not catalog.analyses.add_results(number, _results(5, "f"))
    with pytest.raises(NotFound):
        _begin(catalog, number)
    with catalog.database.read() as connection:
        count = connection.execute(text("SELECT count(*) FROM analysis_results")).scalar_one()
    assert count == 5


def test_a_number_is_given_once(catalog: Catalog) -> None:
    """Else Prefect would take a new analysis for the one that was forgotten."""
    number = _add(catalog)
    catalog.analyses.remove(number)
    assert _add(catalog) > number


def test_a_lost_worker_is_followed_by_another_that_begins_anew(catalog: Catalog) -> None:
    number = _add(catalog)
    _begin(catalog, number)
    catalog.analyses.keep(number, _pulse(files=9))
    catalog.analyses.add_results(number, _results(0, "a", "lost"))
    assert _lose(catalog, number, "another run").status == "running"
    lost = _lose(catalog, number, "run")
    assert (lost.status, lost.attempts, lost.node) == ("queued", 1, None)
    assert [one.id for one in catalog.analyses.queued(9)] == [number]
    _begin(catalog, number, "second")
    again = catalog.analyses.get(number)
    assert (again.files, again.analysed, again.failed) == (None, 0, 0)
    assert not catalog.analyses.add_results(number, _results(2, "late"))
    assert catalog.analyses.add_results(number, _results(0, "a", run="second"))
    with pytest.raises(Conflict, match="another flow run is at analysis"):
        catalog.analyses.order(number, AnalysisWorker(node=NODE, flow_run="run"))
    assert _found(catalog, number) == ["/in/a"]
    _lose(catalog, number, "second")
    _begin(catalog, number, "third")
    assert _lose(catalog, number, "third").reason == "the worker was lost 3 times"
    assert catalog.analyses.get(number).status == "failed"


def test_workers_that_are_stopped_are_no_loss(catalog: Catalog) -> None:
    number = _add(catalog)
    for times in range(5):
        _begin(catalog, number, f"run {times}")
        catalog.analyses.add_results(number, _results(0, "a", run=f"run {times}"))
        catalog.analyses.release(number, AnalysisWorker(node=NODE, flow_run="another"))
        assert catalog.analyses.get(number).status == "running"
        for _ in range(2):
            catalog.analyses.release(number, AnalysisWorker(node=NODE, flow_run=f"run {times}"))
        free = catalog.analyses.get(number)
        assert (free.status, free.attempts, free.releases) == ("queued", 0, times + 1)
        catalog.analyses.lose(number, f"run {times}")
        assert not catalog.analyses.keep(number, _pulse(f"run {times}"))
        assert [one.id for one in catalog.analyses.queued(9)] == [number]
    catalog.analyses.bind(number, "not begun")
    catalog.analyses.release(number, AnalysisWorker(node=NODE, flow_run="not begun"))
    assert catalog.analyses.get(number).releases == 6
    _begin(catalog, number, "last")
    assert (catalog.analyses.get(number).analysed, _found(catalog, number)) == (0, [])
    catalog.analyses.finish(number, _end(run="last"))
    catalog.analyses.release(number, AnalysisWorker(node=NODE, flow_run="last"))
    assert catalog.analyses.get(number).status == "done"


def test_a_flow_run_that_is_noted_late_takes_an_analysis_from_nobody(catalog: Catalog) -> None:
    number = _add(catalog)
    catalog.analyses.order(number, AnalysisWorker(node=NODE, flow_run="quick"))
    catalog.analyses.bind(number, "late")
    assert catalog.analyses.keep(number, _pulse("quick"))
    assert not catalog.analyses.keep(number, _pulse("late"))


def test_a_silent_worker_is_lost_unless_no_server_could_hear_it(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, waiting = _add(catalog), _add(catalog)
    _begin(catalog, number)
    assert not catalog.analyses.expire()
    _later(catalog, monkeypatch, 31.0)
    catalog.analyses.extend_all()
    assert not catalog.analyses.expire()
    _later(catalog, monkeypatch, 31.0)
    assert catalog.analyses.expire()
    assert [one.id for one in catalog.analyses.queued(9)] == [number, waiting]


def test_few_are_under_way_at_once(catalog: Catalog) -> None:
    numbers = [_add(catalog) for _ in range(4)]
    assert [one.id for one in catalog.analyses.queued(2)] == numbers[:2]
    catalog.analyses.bind(numbers[0], "first")
    assert [one.id for one in catalog.analyses.queued(2)] == numbers[1:2]
    catalog.analyses.bind(numbers[1], "second")
    assert catalog.analyses.queued(2) == []
    assert catalog.analyses.queued(1) == []
    catalog.analyses.cancel(numbers[1], "first", "of another run")
    assert catalog.analyses.queued(2) == []
    catalog.analyses.cancel(numbers[1], "second", "by somebody")
    cancelled = catalog.analyses.get(numbers[1])
    assert (cancelled.status, cancelled.reason) == ("cancelled", "by somebody")
    assert [one.flow_run for one in catalog.analyses.under_way()] == ["first"]
    assert [one.id for one in catalog.analyses.queued(2)] == numbers[2:3]


def test_after_a_week_what_is_over_is_forgotten(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, failed, going_on = (_add(catalog) for _ in range(3))
    for one in (over, failed):
        _begin(catalog, one)
        catalog.analyses.add_results(one, _results(0, "a"))
    catalog.analyses.finish(over, _end())
    catalog.analyses.finish(failed, _end("no ffmpeg"))
    assert catalog.analyses.get(failed).reason == "no ffmpeg"
    assert not catalog.analyses.prune()
    _later(catalog, monkeypatch, 8 * DAY_S)
    assert catalog.analyses.prune()
    assert catalog.analyses.prune()
    assert not catalog.analyses.prune()
    assert [one.id for one in catalog.analyses.find()] == [going_on]


def test_the_tables_come_and_go_with_their_migration(catalog: Catalog) -> None:
    _begin(catalog, _add(catalog))
    with catalog.database.write() as connection:
        command.downgrade(catalog.database.alembic_config(connection), "0009")
    catalog.migrate()
    assert catalog.analyses.find() == []

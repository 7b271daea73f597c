from __future__ import annotations

import pytest
from fixtures_server import FakeDispatcher, node_report
from sqlalchemy import text

from darkstream.control.analyses import get_analysis, order_analysis, start_analysis
from darkstream.control.feed import feed_analyses
from darkstream.control.reconcile_analyses import (
    AnalysisReconciler,
    expire_analyses,
    forget_old,
)
from darkstream.control.wing import Wing
from darkstream.model.analyses import AnalysisWorker, StartAnalysis
from darkstream.model.base import AnalysisId, NodeName


async def _start(wing: Wing, dispatcher: FakeDispatcher, *, begun: bool) -> tuple[AnalysisId, str]:
    number = start_analysis(wing, StartAnalysis(paths=("/in",))).id
    await feed_analyses(wing, dispatcher)
    run = list(dispatcher.states_of)[-1]
    if begun:
        dispatcher.states_of[run] = "RUNNING"
        order_analysis(wing, number, AnalysisWorker(node=NodeName("den"), flow_run=run))
    return number, run


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("state", ["CANCELLING", "CANCELLED"])
async def test_a_cancel_in_prefect_ends_it(wing: Wing, state: str, begun: bool) -> None:
    dispatcher = FakeDispatcher()
    number, run = await _start(wing, dispatcher, begun=begun)
    dispatcher.states_of[run] = state
    await AnalysisReconciler(wing, dispatcher).step()
    assert get_analysis(wing, number).status == "cancelled"
    assert "cancelled in Prefect" in get_analysis(wing, number).reason


async def test_one_whose_flow_run_crashed_or_is_gone_gets_another(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    number, run = await _start(wing, dispatcher, begun=True)
    dispatcher.states_of[run] = "CRASHED"
    reconciler = AnalysisReconciler(wing, dispatcher)
    await reconciler.step()
    assert get_analysis(wing, number).status == "queued"
    await feed_analyses(wing, dispatcher)
    assert [one.attempts for one in dispatcher.analyses] == [0, 1]
    assert len(set(dispatcher.runs.values())) == 2
    dispatcher.states_of.clear()
    await reconciler.step()
    await feed_analyses(wing, dispatcher)
    dispatcher.states_of.clear()
    await reconciler.step()
    assert get_analysis(wing, number).reason == "the worker was lost 3 times"


async def test_one_that_was_taken_and_never_begun_is_given_to_another(wing: Wing) -> None:
    dispatcher, now = FakeDispatcher(), 100.0
    number, run = await _start(wing, dispatcher, begun=False)
    reconciler = AnalysisReconciler(wing, dispatcher, lambda: now)
    await reconciler.step()
    now = 500.0
    await reconciler.step()
    assert get_analysis(wing, number).attempts == 0, "it waits for a free slot"
    dispatcher.states_of[run] = "PENDING"
    await reconciler.step()
    now = 531.0
    await reconciler.step()
    assert get_analysis(wing, number).attempts == 1


async def test_one_under_way_is_left_alone(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    number, _ = await _start(wing, dispatcher, begun=True)
    await AnalysisReconciler(wing, dispatcher, lambda: 5000.0).step()
    assert not await expire_analyses(wing)
    assert get_analysis(wing, number).status == "running"
    assert not await forget_old(wing)


async def test_a_silent_worker_is_lost_and_another_one_asked(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    number, _ = await _start(wing, dispatcher, begun=True)
    with wing.catalog.database.write() as connection:
        connection.execute(text("UPDATE analyses SET seen = 0"))
    await expire_analyses(wing)
    await feed_analyses(wing, dispatcher)
    assert [one.id for one in dispatcher.analyses] == [number, number]


async def test_each_node_that_could_gets_one_at_a_time(wing: Wing) -> None:
    for name in ("den", "rack"):
        wing.catalog.nodes.report(name, node_report())
    encoder = node_report().model_copy(update={"pools": ("cpu",)})
    wing.catalog.nodes.report("encoder", encoder)
    for _ in range(5):
        start_analysis(wing, StartAnalysis(paths=("/in",)))
    dispatcher = FakeDispatcher()
    await feed_analyses(wing, dispatcher)
    await feed_analyses(wing, dispatcher)
    assert len(dispatcher.analyses) == 2

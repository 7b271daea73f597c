from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures_server import FakeDispatcher, node_report, preferring, silence_nodes, submit

from darkstream.control.feed import feed_jobs
from darkstream.control.jobs import cancel_job, get_job
from darkstream.control.nodes import report_node
from darkstream.control.reconcile import Reconciler, expire_leases
from darkstream.control.silence import Silence
from darkstream.control.wing import Wing
from darkstream.control.work import claim_job, lose_flow_run
from darkstream.errors import PrefectUnreachable
from darkstream.model.base import DispatchId, JobId, NodeName
from darkstream.model.job import JobStatus
from darkstream.model.wire import ClaimRequest

_ONE = DispatchId(1)


def test_silence_is_too_long_only_after_the_whole_limit_without_news() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    assert not silence.too_long(_ONE, "a")
    now = 130.0
    assert not silence.too_long(_ONE, "a")
    now = 130.1
    assert silence.too_long(_ONE, "a")


def test_news_begins_a_new_silence() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    silence.too_long(_ONE, "a")
    now = 140.0
    assert not silence.too_long(_ONE, "b")
    now = 171.0
    assert silence.too_long(_ONE, "b")


def test_a_dispatch_that_is_over_is_forgotten() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    silence.too_long(_ONE, "a")
    silence.keep_only([])
    now = 140.0
    assert not silence.too_long(_ONE, "a")


def test_whatever_is_heard_ends_the_silence() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    silence.too_long(_ONE, "a")
    now = 140.0
    silence.end(_ONE)
    assert not silence.too_long(_ONE, "a")


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _dispatched(wing: Wing, dispatcher: FakeDispatcher) -> tuple[JobId, DispatchId, str]:
    job = submit(wing)
    await feed_jobs(wing, dispatcher)
    (run,) = dispatcher.states_of
    return job, dispatcher.orders[-1].id, run


def _claim(wing: Wing, dispatch: DispatchId, run: str) -> None:
    assert claim_job(wing, dispatch, ClaimRequest(node=NodeName("den"), flow_run=run))


async def test_a_cancel_in_prefect_ends_a_waiting_job(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    job, _, run = await _dispatched(wing, dispatcher)
    dispatcher.states_of[run] = "CANCELLED"
    await Reconciler(wing, dispatcher).step()
    assert get_job(wing, job).status is JobStatus.cancelled
    assert wing.catalog.dispatches.unfinished() == []


async def test_a_cancelling_run_asks_its_running_job_to_end(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    job, dispatch, run = await _dispatched(wing, dispatcher)
    _claim(wing, dispatch, run)
    dispatcher.states_of[run] = "CANCELLING"
    await Reconciler(wing, dispatcher).step()
    assert get_job(wing, job).status is JobStatus.running
    assert get_job(wing, job).cancel_requested


async def test_a_cancelled_run_whose_process_is_dead_ends_its_running_job(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    job, dispatch, run = await _dispatched(wing, dispatcher)
    _claim(wing, dispatch, run)
    dispatcher.states_of[run] = "CANCELLED"
    await Reconciler(wing, dispatcher).step()
    assert get_job(wing, job).status is JobStatus.cancelled


@pytest.mark.parametrize("state", ["CRASHED", "FAILED", "COMPLETED", None])
async def test_the_jobs_of_a_run_that_is_over_are_queued_again(
    wing: Wing, state: str | None
) -> None:
    dispatcher = FakeDispatcher()
    job, dispatch, run = await _dispatched(wing, dispatcher)
    _claim(wing, dispatch, run)
    if state is None:
        del dispatcher.states_of[run]
    else:
        dispatcher.states_of[run] = state
    await Reconciler(wing, dispatcher).step()
    assert get_job(wing, job).status is JobStatus.queued
    assert get_job(wing, job).attempts == 1


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
async def test_a_worker_that_dies_before_its_first_claim_is_noticed(wing: Wing, state: str) -> None:
    dispatcher, clock = FakeDispatcher(), _Clock()
    job, _, run = await _dispatched(wing, dispatcher)
    reconciler = Reconciler(wing, dispatcher, clock)
    dispatcher.states_of[run] = state
    await reconciler.step()
    clock.now += 29
    await reconciler.step()
    assert get_job(wing, job).status is JobStatus.dispatched
    clock.now += 2
    await reconciler.step()
    assert get_job(wing, job).status is JobStatus.queued
    assert get_job(wing, job).attempts == 0


async def test_a_long_encode_is_left_alone(wing: Wing) -> None:
    dispatcher, clock = FakeDispatcher(), _Clock()
    job, dispatch, run = await _dispatched(wing, dispatcher)
    _claim(wing, dispatch, run)
    reconciler = Reconciler(wing, dispatcher, clock)
    dispatcher.states_of[run] = "RUNNING"
    for _ in range(5):
        await reconciler.step()
        clock.now += 1000
    assert get_job(wing, job).status is JobStatus.running


async def test_a_run_that_waits_for_a_worker_is_left_alone(wing: Wing) -> None:
    dispatcher, clock = FakeDispatcher(), _Clock()
    job, _, _ = await _dispatched(wing, dispatcher)
    reconciler = Reconciler(wing, dispatcher, clock)
    for _ in range(3):
        await reconciler.step()
        clock.now += 1000
    assert get_job(wing, job).status is JobStatus.dispatched


async def test_a_run_that_waits_for_a_gpu_that_is_gone_is_recalled(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    report_node(wing, "rack", node_report(gpu="H200"))
    job = submit(wing, preset=preferring("prefer"))
    demanding = submit(wing, preset=preferring("require"), priority=90)
    await feed_jobs(wing, dispatcher)
    runs = list(dispatcher.states_of)
    assert [order.pool for order in dispatcher.orders] == ["gpu", "gpu"]
    await Reconciler(wing, dispatcher).step()
    assert dispatcher.cancelled == []
    silence_nodes(wing)
    await Reconciler(wing, dispatcher).step()
    assert dispatcher.cancelled == [], "a server that just started has not heard of all nodes"
    older = replace(wing, started=wing.started - 60)
    await Reconciler(older, dispatcher).step()
    assert dispatcher.cancelled == runs
    await feed_jobs(older, dispatcher)
    assert [(order.pool, order.jobs) for order in dispatcher.orders[2:]] == [("cpu", (job,))]
    assert get_job(wing, demanding).status is JobStatus.queued, "it waits for a GPU"
    report_node(wing, "rack", node_report(gpu="H200"))
    await feed_jobs(older, dispatcher)
    assert [(order.pool, order.jobs) for order in dispatcher.orders[3:]] == [("gpu", (demanding,))]


async def _lost(wing: Wing, dispatcher: FakeDispatcher, reconciler: Reconciler) -> str:
    """A flow run whose dispatch is lost while Prefect believes it running, seen so twice."""
    _, dispatch, run = await _dispatched(wing, dispatcher)
    _claim(wing, dispatch, run)
    dispatcher.states_of[run] = "RUNNING"
    await reconciler.step()
    lose_flow_run(wing, run, "killed")
    await reconciler.step()
    return run


async def test_a_lost_dispatch_is_crashed_in_prefect_when_prefect_does_not_notice(
    wing: Wing,
) -> None:
    dispatcher, clock = FakeDispatcher(), _Clock()
    reconciler = Reconciler(wing, dispatcher, clock)
    run = await _lost(wing, dispatcher, reconciler)
    assert dispatcher.crashed == {}
    clock.now += 31
    await reconciler.step()
    assert list(dispatcher.crashed) == [run]
    await reconciler.step()
    assert len(dispatcher.crashed) == 1


async def test_a_prefect_that_refuses_a_crash_does_not_hold_up_all_others(wing: Wing) -> None:
    dispatcher, clock = FakeDispatcher(), _Clock()
    reconciler = Reconciler(wing, dispatcher, clock)
    await _lost(wing, dispatcher, reconciler)
    dispatcher.refuses_crashes = True
    clock.now += 31
    with pytest.raises(PrefectUnreachable):
        await reconciler.step()
    clock.now += 60
    await reconciler.step()
    dispatcher.refuses_crashes = False
    await reconciler.step()
    assert dispatcher.crashed == {}


async def test_expiry_leaves_living_leases_alone(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    job, dispatch, run = await _dispatched(wing, dispatcher)
    _claim(wing, dispatch, run)
    await expire_leases(wing)
    assert get_job(wing, job).status is JobStatus.running


async def test_a_job_cancelled_by_the_api_leaves_its_run_to_end_by_itself(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    job, dispatch, run = await _dispatched(wing, dispatcher)
    cancel_job(wing, job)
    request = ClaimRequest(node=NodeName("den"), flow_run=run)
    assert claim_job(wing, dispatch, request) is None

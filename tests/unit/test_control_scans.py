from __future__ import annotations

import pytest
from fixtures_server import FakeDispatcher

from darkstream.control.feed import feed_scans
from darkstream.control.libraries import add_library
from darkstream.control.reconcile_scans import ScanReconciler
from darkstream.control.scans import cancel_scan, get_scan, order_scan, start_scan
from darkstream.control.wing import Wing
from darkstream.model.base import NodeName, ScanId
from darkstream.model.wire import AddLibrary, ScanKeepAlive, StartScan


async def _scan(wing: Wing, dispatcher: FakeDispatcher, *, begun: bool) -> tuple[ScanId, str]:
    add_library(wing, AddLibrary(name="m", root="/a", destination="/b", preset="web"))
    scan = start_scan(wing, "m", StartScan()).id
    await feed_scans(wing, dispatcher)
    (run,) = dispatcher.states_of
    if begun:
        dispatcher.states_of[run] = "RUNNING"
        order_scan(wing, scan, ScanKeepAlive(node=NodeName("den"), flow_run=run))
    return scan, run


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("state", ["CANCELLING", "CANCELLED"])
async def test_a_cancel_in_prefect_ends_the_scan(wing: Wing, state: str, begun: bool) -> None:
    dispatcher = FakeDispatcher()
    scan, run = await _scan(wing, dispatcher, begun=begun)
    dispatcher.states_of[run] = state
    await ScanReconciler(wing, dispatcher).step()
    assert get_scan(wing, scan).status == "cancelled"
    assert wing.scan_runs.walking() == {}


async def test_a_walk_that_crashed_is_queued_again(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    scan, run = await _scan(wing, dispatcher, begun=True)
    dispatcher.states_of[run] = "CRASHED"
    await ScanReconciler(wing, dispatcher).step()
    assert get_scan(wing, scan).status == "queued"
    assert [waiting.id for waiting in wing.catalog.scans.queued()] == [scan]


async def test_a_walk_that_never_began_fails_with_the_reason(wing: Wing) -> None:
    dispatcher, now = FakeDispatcher(), 100.0
    scan, run = await _scan(wing, dispatcher, begun=False)
    dispatcher.states_of[run] = "PENDING"
    reconciler = ScanReconciler(wing, dispatcher, lambda: now)
    await reconciler.step()
    assert get_scan(wing, scan).status == "queued"
    now = 131.0
    await reconciler.step()
    assert get_scan(wing, scan).status == "failed"
    assert "never heard of" in get_scan(wing, scan).reason


async def test_a_walk_under_way_is_left_alone(wing: Wing) -> None:
    dispatcher, now = FakeDispatcher(), 100.0
    scan, _ = await _scan(wing, dispatcher, begun=True)
    reconciler = ScanReconciler(wing, dispatcher, lambda: now)
    await reconciler.step()
    now = 5000.0
    await reconciler.step()
    assert get_scan(wing, scan).status == "running"


async def test_a_cancelled_scan_that_waits_needs_no_flow_run(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    scan, run = await _scan(wing, dispatcher, begun=False)
    cancel_scan(wing, scan)
    reconciler = ScanReconciler(wing, dispatcher)
    await reconciler.step()
    await reconciler.step()
    assert dispatcher.cancelled == [run]


async def test_a_scan_that_went_with_its_library_is_forgotten(wing: Wing) -> None:
    dispatcher = FakeDispatcher()
    scan, _ = await _scan(wing, dispatcher, begun=False)
    wing.catalog.scans.cancel(scan)
    wing.catalog.libraries.remove("m")
    await ScanReconciler(wing, dispatcher).step()
    assert wing.scan_runs.walking() == {}

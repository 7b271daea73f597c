"""Nodes that rest: enforced where jobs are claimed."""

from __future__ import annotations

import pytest
from fixtures_catalog import beat, claim, dispatch, end, start, submit
from fixtures_server import node_report
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.errors import NotFound
from darkstream.model.node import Hours, PauseKind, parse_windows
from darkstream.model.wire import Heartbeat
from darkstream.settings import LeaseSettings

NEVER = Hours(windows=parse_windows("mon 00:00-00:01"), zone="UTC")
KINDS = pytest.mark.parametrize("kind", ["soft", "hard", "drain"])


def at_noon_on_tuesday(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.database, "now", lambda _connection: 1_893_499_200.0)


@KINDS
def test_a_node_that_rests_is_given_nothing_and_others_are(
    catalog: Catalog, kind: PauseKind
) -> None:
    catalog.nodes.report("node", node_report())
    submit(catalog)
    number = dispatch(catalog)
    assert catalog.nodes.pause("node", kind).rest == kind
    assert catalog.leases.claim(number, "node", "run") is None  # type: ignore[arg-type]
    catalog.dispatches.end(number)  # type: ignore[arg-type]
    taken = catalog.leases.claim(dispatch(catalog), "other", "run")  # type: ignore[arg-type]
    assert taken is not None
    assert taken.attempt == 1


@KINDS
def test_what_it_works_on_goes_on_and_hears_of_it(catalog: Catalog, kind: PauseKind) -> None:
    catalog.nodes.report("node", node_report())
    held = start(catalog)
    assert catalog.nodes.get("node").running == 1
    catalog.nodes.pause("node", kind)
    answer = catalog.leases.beat(Heartbeat(node="node", leases=()))  # type: ignore[arg-type]
    assert answer.rest == kind
    assert beat(catalog, held) == (False, False)
    catalog.results.commit(held.job, end(held))
    assert catalog.nodes.get("node").running == 0


def test_the_claim_that_was_answered_already_is_answered_again(catalog: Catalog) -> None:
    catalog.nodes.report("node", node_report())
    submit(catalog)
    number = dispatch(catalog)
    first = catalog.leases.claim(number, "node", "run", asked="one")  # type: ignore[arg-type]
    catalog.nodes.pause("node", "soft")
    again = catalog.leases.claim(number, "node", "run", asked="one")  # type: ignore[arg-type]
    assert first == again is not None


def test_a_pause_outlives_reports_and_restarts_and_ends_when_it_is_resumed(
    catalog: Catalog,
) -> None:
    catalog.nodes.report("node", node_report())
    catalog.nodes.pause("node", "drain")
    assert catalog.nodes.report("node", node_report()) == "drain"
    url = catalog.database.url.render_as_string(hide_password=False)
    reopened = Catalog(url, lease=LeaseSettings())
    try:
        assert reopened.nodes.get("node").pause == "drain"
    finally:
        reopened.close()
    assert catalog.nodes.pause("node", None).rest is None
    submit(catalog)
    claim(catalog, dispatch(catalog))


def test_outside_of_its_hours_a_node_rests_softly(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_noon_on_tuesday(catalog, monkeypatch)
    report = node_report().model_copy(update={"hours": NEVER})
    assert catalog.nodes.report("node", report) == "soft"
    node = catalog.nodes.get("node")
    assert (node.pause, node.rest) == (None, "soft")
    assert node.changes is not None
    assert node.changes.isoformat() == "2030-01-07T00:00:00+00:00"
    submit(catalog)
    assert catalog.leases.claim(dispatch(catalog), "node", "run") is None  # type: ignore[arg-type]
    assert catalog.nodes.report("node", node_report()) is None, "hours are of the last report"


def test_only_nodes_that_are_there_can_rest(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="no node is called 'den'"):
        catalog.nodes.pause("den", "soft")
    with pytest.raises(NotFound, match="no node is called 'den'"):
        catalog.nodes.get("den")


def test_how_a_node_rests_is_found_by_its_name(catalog: Catalog) -> None:
    """Asked at every claim and heartbeat: it must not look at all nodes."""
    if not catalog.database.is_sqlite:
        return
    with catalog.database.read() as connection:
        query = text("EXPLAIN QUERY PLAN SELECT pause, hours FROM nodes WHERE name = 'a'")
        (plan,) = connection.execute(query).all()
    assert "USING INDEX" in plan[3]

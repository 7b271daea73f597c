"""Films that several workers encode, as a state machine: no chunk has two holders, none is lost.

Every picture is worth a second; what is on disk is a set of chunks, which only grows.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from fixtures_catalog import claim, dispatch
from fixtures_shared_films import (
    SAME,
    alive,
    finish,
    is_lost,
    lead,
    lease_of,
    plan_help,
    take,
    turn,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.errors import LeaseLost
from darkstream.model.base import DispatchId
from darkstream.model.film import ChunkLease, OpenFilm
from darkstream.settings import LeaseSettings

LEASE = LeaseSettings(max_attempts=50)
NODES = ("node", "b", "c")
PICTURES = (20, 50, 40, 30, 30)
PICK = st.integers(0, 5)


class Films(RuleBasedStateMachine):
    """A leader that may be lost, and helpers that are quick, late, lost, or cannot help."""

    template: Path

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="darkstream-films-")
        shutil.copy(self.template, self.directory)
        url = f"sqlite:///{self.directory}/{self.template.name}"
        self.catalog = Catalog(url, lease=LEASE)
        self.slots = alive(self.catalog, *NODES)
        self.leader = lead(self.catalog, PICTURES)
        self.disk: set[int] = set()
        """Chunks that lie beside each other at the destination."""
        self.known: set[int] = set()
        """Those that the leader knows of."""
        self.missing: tuple[int, ...] = ()
        self.helpers: list[DispatchId] = []
        self.leases: list[tuple[ChunkLease, str]] = []

    def teardown(self) -> None:
        try:
            self.finish_film()
        finally:
            self.catalog.close()
            shutil.rmtree(self.directory)

    @rule(works=st.booleans())
    def lead_on(self, *, works: bool) -> None:
        """The leader asks, takes what is there, and maybe encodes what it is given."""
        answer = turn(self.catalog, self.leader, sorted(self.known), self.missing)
        assert not set(answer.finished) & self.known
        assert answer.number not in self.known
        assert answer.number not in answer.elsewhere
        self.known |= set(answer.finished) & self.disk
        self.missing = tuple(sorted(set(answer.finished) - self.disk))
        if answer.number is not None and works:
            self.disk.add(answer.number)
            self.known.add(answer.number)

    @rule(number=st.integers(0, len(PICTURES) - 1))
    def lead_unasked(self, number: int) -> None:
        """The server was away: the leader encodes what somebody else may be at."""
        self.disk.add(number)
        self.known.add(number)

    @rule()
    def invite(self) -> None:
        self.helpers += [order.id for order in plan_help(self.catalog, self.slots)]
        assert len(self.helpers) <= 40

    @precondition(lambda self: self.helpers)
    @rule(which=PICK, node=st.sampled_from(NODES))
    def ask(self, which: int, node: str) -> None:
        helper = self.helpers[-1 - which % len(self.helpers)]
        claimed = take(self.catalog, helper, node)
        if claimed is not None:
            self.leases.append((lease_of(helper, claimed), node))

    @precondition(lambda self: self.leases)
    @rule(which=PICK, outcome=st.sampled_from(["done", "done", "failed", "unfit", "released"]))
    def end(self, which: int, outcome: str) -> None:
        lease, node = self.leases[-1 - which % len(self.leases)]
        if outcome == "done":
            self.disk.add(lease.number)
        finish(self.catalog, lease, outcome, node)  # type: ignore[arg-type]
        assert is_lost(self.catalog, lease, node)

    @precondition(lambda self: self.leases)
    @rule(which=PICK)
    def end_with_nothing_on_disk(self, which: int) -> None:
        """It wrote to another disk."""
        lease, node = self.leases[-1 - which % len(self.leases)]
        finish(self.catalog, lease, "done", node)

    @precondition(lambda self: self.helpers)
    @rule(which=PICK, how=st.sampled_from(["end", "lose", "cancel"]))
    def lose(self, which: int, how: str) -> None:
        helper = self.helpers[-1 - which % len(self.helpers)]
        if how == "end":
            self.catalog.dispatches.end(helper)
        elif how == "lose":
            self.catalog.dispatches.lose(helper, "it died")
        else:
            self.catalog.dispatches.cancel(helper)
        held = [(lease, node) for lease, node in self.leases if lease.dispatch == helper]
        assert all(is_lost(self.catalog, lease, node) for lease, node in held)
        assert take(self.catalog, helper) is None

    @rule()
    def silence(self) -> None:
        with self.catalog.database.write() as connection:
            connection.execute(
                text("UPDATE chunks SET lease_until = 0 WHERE lease_until IS NOT NULL")
            )
        assert self.catalog.leases.expire() == []

    @rule()
    def expire(self) -> None:
        """Nobody was silent."""
        live = [(lease, node) for lease, node in self.leases if not self._lost(lease, node)]
        self.catalog.leases.expire()
        assert not any(self._lost(lease, node) for lease, node in live)

    def _lost(self, lease: ChunkLease, node: str) -> bool:
        return is_lost(self.catalog, lease, node)

    @rule()
    def forget_what_was_put_off(self) -> None:
        with self.catalog.database.write() as connection:
            connection.execute(text("UPDATE films SET not_before = 0"))

    @rule()
    def lose_leader(self) -> None:
        """Another attempt leads, and finds what is on the disk."""
        former = self.leader
        with self.catalog.database.read() as connection:
            query = text("SELECT dispatch_id FROM jobs")
            number = DispatchId(connection.execute(query).scalar_one())
        self.catalog.dispatches.lose(number, "it died")
        assert all(is_lost(self.catalog, lease, node) for lease, node in self.leases)
        with pytest.raises(LeaseLost):
            turn(self.catalog, former)
        with self.catalog.database.write() as connection:
            connection.execute(text("UPDATE jobs SET not_before = NULL"))
        self.leader = claim(self.catalog, dispatch(self.catalog))
        self.known = set(self.disk)
        self.missing = ()
        request = OpenFilm(token=self.leader.token, film=SAME, done=tuple(sorted(self.known)))
        self.catalog.films.open(self.leader.job, request)

    @invariant()
    def one_holder(self) -> None:
        held = [lease for lease, node in self.leases[-4:] if not is_lost(self.catalog, lease, node)]
        numbers = [lease.number for lease in held]
        assert len(numbers) == len(set(numbers)), "a chunk has two holders"
        assert len({lease.dispatch for lease in held}) == len(held), "a helper has two chunks"

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.catalog.check() == []

    def finish_film(self) -> None:
        """Left alone, the leader brings the film to its end."""
        for helper in self.helpers:
            self.catalog.dispatches.lose(helper, "it died")
        for _ in range(4 * len(PICTURES)):
            self.lead_on(works=True)
        assert self.known == set(range(len(PICTURES)))


def test_no_chunk_has_two_holders_and_none_is_forgotten(template: Path) -> None:
    Films.template = template
    run_state_machine_as_test(
        Films,
        settings=settings(max_examples=25, stateful_step_count=20, deadline=None),
    )

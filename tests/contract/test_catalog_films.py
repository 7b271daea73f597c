"""Who encodes which chunk of a film: the leader's and the helpers' leases, on both databases."""

from __future__ import annotations

import pytest
from fixtures_catalog import beat, claim, dispatch, end, plan_report, start, submit
from fixtures_shared_films import (
    SAME,
    alive,
    finish,
    is_lost,
    lead,
    lease_of,
    plan_help,
    plan_of,
    take,
    turn,
)
from sqlalchemy import text, update

from darkstream.catalog import Catalog
from darkstream.catalog.schema import jobs
from darkstream.errors import Conflict, LeaseLost
from darkstream.model.base import DispatchId, JobId
from darkstream.model.film import OpenFilm
from darkstream.model.job import JobStatus
from darkstream.model.work import Work


def look_again(catalog: Catalog) -> None:
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE films SET not_before = 0"))


def _priority(catalog: Catalog, job: JobId, priority: int) -> None:
    with catalog.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job).values(priority=priority))


def _helper(catalog: Catalog, slots: dict[str, int]) -> DispatchId:
    (order,) = plan_help(catalog, slots)
    return order.id


def test_leader_and_helper_share_a_film_the_longest_chunk_first(catalog: Catalog) -> None:
    held = lead(catalog, (20, 50, 40, 30))
    assert turn(catalog, held).number == 1
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None and (claimed.number, claimed.film) == (2, SAME)
    assert (claimed.job, claimed.source, claimed.destination) == (
        held.job,
        b"/in/film.mkv",
        b"/out",
    )
    second = turn(catalog, held, done=[1])
    assert (second.number, second.elsewhere, second.finished) == (3, (2,), ())
    finish(catalog, lease_of(helper, claimed))
    third = turn(catalog, held, done=[1, 3])
    assert (third.number, third.elsewhere, third.finished) == (0, (), (2,))
    assert take(catalog, helper) is None
    assert turn(catalog, held, done=[0, 1, 2, 3]).number is None


def test_a_plan_without_chunks_is_not_shared(catalog: Catalog) -> None:
    held = start(catalog)
    with pytest.raises(Conflict, match="no chunks"):
        catalog.films.open(held.job, OpenFilm(token=held.token, film=SAME))


def test_only_the_leader_says_what_is_done(catalog: Catalog) -> None:
    held = lead(catalog, (20, 20))
    late = held.model_copy(update={"token": held.token + 1})
    with pytest.raises(LeaseLost):
        turn(catalog, late)
    with pytest.raises(LeaseLost):
        catalog.films.open(held.job, OpenFilm(token=late.token, film=SAME))


def test_an_answer_that_was_lost_is_given_again(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 30, 20))
    assert turn(catalog, held).number == turn(catalog, held).number == 0
    helper = _helper(catalog, alive(catalog, "node", "other"))
    first, again = take(catalog, helper, request="a"), take(catalog, helper, request="a")
    assert first is not None and first == again
    # Another request: what it held was abandoned, and is the leader's from now on.
    second = take(catalog, helper, request="b")
    assert second is not None and second.number == 2
    assert is_lost(catalog, lease_of(helper, first))
    assert turn(catalog, held, done=[0]).number == 1


def test_free_slots_help_and_no_more_than_there_is_work_for(catalog: Catalog) -> None:
    lead(catalog, (20, 20, 20, 20, 20))
    assert plan_help(catalog, {"node": 1}) == [], "the leader's own slot is taken"
    assert plan_help(catalog, alive(catalog, "node", "other"), batch_seconds=51.0) == []
    slots = alive(catalog, "node", *"abcdefgh")
    orders = plan_help(catalog, slots)
    assert [order.film for order in orders] == [1] * 4, "the fifth chunk is the leader's"
    assert {order.jobs for order in orders} == {()}
    assert plan_help(catalog, slots) == [], "they are on their way"
    for order in orders:
        catalog.dispatches.end(order.id)
    assert plan_help(catalog, slots) == [], "they were of no use: not at once"
    look_again(catalog)
    assert len(plan_help(catalog, slots, batch_seconds=30.0)) == 2
    assert len(catalog.films.plan_help(pool="cpu", batch_seconds=9.0, most=1, slots=slots)) == 1


def test_jobs_come_first(catalog: Catalog) -> None:
    lead(catalog, (20, 20, 20, 20))
    slots = alive(catalog, "node", "other", slots=2)
    helper, second, third = (order.id for order in plan_help(catalog, slots))
    first = take(catalog, helper)
    assert first is not None
    finish(catalog, lease_of(helper, first))
    submit(catalog, "b.mkv")
    assert take(catalog, helper) is None, "its slot is wanted"
    assert take(catalog, second) is None
    assert plan_help(catalog, slots) == []
    for each in (helper, second, third):
        catalog.dispatches.end(each)
    claim(catalog, dispatch(catalog))
    look_again(catalog)
    assert len(plan_help(catalog, slots)) == 2


def test_a_job_for_the_gpu_comes_first_where_a_slot_could_do_it(catalog: Catalog) -> None:
    lead(catalog, (20, 20, 20, 20))
    slots = alive(catalog, "node", "other", "third")
    first, second = (order.id for order in plan_help(catalog, slots))
    submit(catalog, "gpu.mkv", pool="gpu")
    assert take(catalog, first, pools=("cpu", "gpu", "control")) is None
    assert take(catalog, second, pools=("cpu", "control")) is not None
    catalog.dispatches.end(first)
    look_again(catalog)
    wish = {"pool": "cpu", "batch_seconds": 9.0, "most": 9, "slots": slots}
    assert catalog.films.plan_help(**wish, elsewhere=("other", "third")) == []  # type: ignore[arg-type]
    assert len(catalog.films.plan_help(**wish, elsewhere=("other",))) == 1  # type: ignore[arg-type]


def test_the_more_urgent_film_is_helped_first(catalog: Catalog) -> None:
    bulk = lead(catalog, (90, 90, 90, 90), "bulk.mkv")
    _priority(catalog, bulk.job, 5)
    slots = alive(catalog, "node", "b", "c")
    (first, *_) = plan_help(catalog, slots)
    urgent = lead(catalog, (20, 20, 20, 20), "urgent.mkv")
    _priority(catalog, urgent.job, 90)
    assert first.queue == "bulk"
    assert take(catalog, first.id) is None, "another film wants the slot"
    catalog.dispatches.end(first.id)
    films = [order.film for order in plan_help(catalog, alive(catalog, "node", *"bcdefgh"))]
    assert films == [urgent.job] * 3, "of bulk nobody was of use just now"


def test_a_node_that_cannot_help_is_not_asked_again(catalog: Catalog) -> None:
    lead(catalog, (20, 20, 20, 20))
    slots = alive(catalog, "node", "other", "third")
    first, second = (order.id for order in plan_help(catalog, slots))
    claimed = take(catalog, first)
    assert claimed is not None
    finish(catalog, lease_of(first, claimed), "unfit")
    catalog.dispatches.end(first)
    assert take(catalog, second) is None, "it came to the same node"
    assert take(catalog, second, node="third") is not None
    assert plan_help(catalog, slots) == [], "not at once"
    look_again(catalog)
    assert plan_help(catalog, slots) == [], "no other node is free"
    assert len(plan_help(catalog, slots | alive(catalog, "fourth"))) == 1


def test_a_chunk_that_a_helper_fails_at_is_the_leaders(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None and claimed.number == 0
    finish(catalog, lease_of(helper, claimed), "failed")
    assert take(catalog, helper) is None, "one broken node does not take all chunks"
    second = take(catalog, helper, node="third")
    assert second is not None and second.number == 1
    assert turn(catalog, held).number == 0


def test_one_that_is_given_back_is_anybodys(catalog: Catalog) -> None:
    lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None
    finish(catalog, lease_of(helper, claimed), "released")
    again = take(catalog, helper)
    assert again is not None
    assert (again.number, again.token) == (claimed.number, claimed.token + 1)
    finish(catalog, lease_of(helper, claimed))  # late: the token is an older one
    assert not is_lost(catalog, lease_of(helper, again))


def test_what_others_finished_and_is_not_there_is_the_leaders_alone(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20, 10))
    assert turn(catalog, held).number == 0
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None
    finish(catalog, lease_of(helper, claimed))
    assert turn(catalog, held, done=[0]).finished == (1,)
    assert turn(catalog, held, done=[0], missing=[1]).number == 2  # given before, and again
    assert turn(catalog, held, done=[0, 2]).number == 1
    assert take(catalog, helper) is None, "it writes elsewhere: nobody helps any more"
    assert plan_help(catalog, alive(catalog, "node", "other", "third")) == []


@pytest.mark.parametrize("how", ["silence", "loss", "cancel", "flow run"])
def test_a_lost_helpers_chunk_waits_again(catalog: Catalog, how: str) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None and not is_lost(catalog, lease_of(helper, claimed))
    if how == "silence":
        with catalog.database.write() as connection:
            silent = "UPDATE chunks SET lease_until = 0 WHERE lease_until IS NOT NULL"
            connection.execute(text(silent))
        assert catalog.leases.expire() == [], "no job is lost"
    elif how == "loss":
        catalog.dispatches.lose(helper, "it died")
    elif how == "cancel":
        catalog.dispatches.cancel(helper)
    else:
        catalog.dispatches.lose_flow_run(f"run-{helper}", "it died")
    assert is_lost(catalog, lease_of(helper, claimed))
    assert take(catalog, helper) is None, "its dispatch is over"
    assert plan_help(catalog, alive(catalog, "node", "other")) == [], "not at once"
    look_again(catalog)
    next_one = take(catalog, _helper(catalog, alive(catalog, "node", "other")))
    assert next_one is not None
    assert next_one.number == 1, "the one that was lost is the leader's: it may kill others too"
    assert turn(catalog, held).number == 0
    assert catalog.jobs.get(held.job).status is JobStatus.running


def test_a_server_that_was_away_gives_helpers_another_period(catalog: Catalog) -> None:
    lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE chunks SET lease_until = 0 WHERE lease_until IS NOT NULL"))
    catalog.leases.extend_all()
    catalog.leases.expire()
    assert not is_lost(catalog, lease_of(helper, claimed))


def test_what_the_leader_has_as_well_is_nobodys_lease(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None
    assert turn(catalog, held, done=[claimed.number]).elsewhere == ()
    assert is_lost(catalog, lease_of(helper, claimed))
    following = take(catalog, helper)
    assert following is not None
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE chunks SET lease_until = 0 WHERE state = 'done'"))
    catalog.leases.expire()
    assert not is_lost(catalog, lease_of(helper, following))
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE chunks SET lease_until = NULL WHERE state = 'done'"))


def test_opened_again_by_the_same_attempt_its_helpers_go_on(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None and claimed.number == 0
    catalog.films.open(held.job, OpenFilm(token=held.token, film=SAME, done=(1,)))
    assert not is_lost(catalog, lease_of(helper, claimed))
    assert turn(catalog, held, done=[1]).number == 2


def test_helpers_hear_of_the_end_of_the_job(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None
    catalog.results.commit(held.job, end(held, "failed"))
    assert is_lost(catalog, lease_of(helper, claimed))
    assert take(catalog, helper) is None
    catalog.dispatches.end(helper)
    catalog.leases.expire()
    with catalog.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM films")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM chunks")).scalar() == 0


def test_another_plan_ends_the_help_with_the_one_before(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    claimed = take(catalog, helper)
    assert claimed is not None
    report = plan_report(held, plan=plan_of((70, 30)).model_dump(mode="json"))
    catalog.results.report_plan(held.job, report)
    assert is_lost(catalog, lease_of(helper, claimed))
    assert take(catalog, helper) is None
    catalog.films.open(held.job, OpenFilm(token=held.token, film=SAME))
    assert turn(catalog, held).number == 0


def test_a_node_that_rests_does_not_help(catalog: Catalog) -> None:
    lead(catalog, (50, 40, 20))
    slots = alive(catalog, "node", "other")
    helper = _helper(catalog, slots)
    claimed = take(catalog, helper)
    assert claimed is not None
    catalog.nodes.pause("other", "soft")
    assert not is_lost(catalog, lease_of(helper, claimed)), "it goes on with its chunk"
    assert take(catalog, helper) is None


def test_helping_counts_as_work_of_a_node(catalog: Catalog) -> None:
    lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    assert catalog.nodes.get("other").running == 0
    assert take(catalog, helper) is not None
    assert catalog.nodes.get("other").running == 1


def test_what_others_helped_with_says_nothing_of_a_nodes_speed(catalog: Catalog) -> None:
    work = Work(codec="h264", encoder="libx264", speed="medium", size="hd", amount=1e9)
    known = []
    for name, helped in (("alone.mkv", False), ("helped.mkv", True)):
        held = lead(catalog, (50, 40, 20), name)
        with catalog.database.write() as connection:
            connection.execute(
                update(jobs).where(jobs.c.id == held.job).values(work=work.model_dump_json())
            )
        if helped:
            helper = _helper(catalog, alive(catalog, "node", "other"))
            assert take(catalog, helper) is not None
        catalog.results.commit(held.job, end(held, wall_s=100.0 if helped else 50.0))
        catalog.dispatches.end(DispatchId(len(known) + 1))
        known.append(catalog.speeds.of_nodes())
    assert known[0] and known[0] == known[1]


def test_a_helpers_dispatch_gets_no_jobs(catalog: Catalog) -> None:
    held = lead(catalog, (50, 40, 20))
    helper = _helper(catalog, alive(catalog, "node", "other"))
    assert catalog.leases.claim(helper, "other", f"run-{helper}") is None
    assert take(catalog, DispatchId(1)) is None, "a job's dispatch gets no chunks"
    assert beat(catalog, held) == (False, False)

"""Doing with replacements what was asked for, and what is due: on the machine of the files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from darkstream.errors import (
    DarkstreamError,
    ServiceError,
    SourceChanged,
    SourceError,
    StorageBusy,
)
from darkstream.model.paths import display
from darkstream.model.replacement import FileNow, Replacement, ReplacementAction, ReplacementState
from darkstream.model.wire import ReplacementEnd, ReplacementOrder
from darkstream.stages.patience import outlast
from darkstream.stages.replace import placed_file, restored_file
from darkstream.stages.toolbox import Toolbox
from darkstream.storage.quarantine import check_replaceable
from darkstream.storage.replace import Replacing

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many orders were carried out, and why others were not."""

    done: int = 0
    failed: tuple[str, ...] = ()


def settle(tools: Toolbox) -> Settled:
    """Carry out all orders of the server; raises ServiceError where it does not answer.

    One that fails is told and does not keep the others from being done.
    """
    done = 0
    failed: list[str] = []
    met: set[tuple[int, str]] = set()
    while order := _next(tools, met):
        met.add((order.job, order.action))
        if (end := carry_out(order, partial(_stands, tools, order))) is None:
            continue
        outlast(partial(tools.client.settle_replacement, order.job, end))
        if end.error:
            failed.append(f"job {order.job}: {end.error}")
        done += not end.error
    return Settled(done, tuple(failed))


def _next(tools: Toolbox, met: set[tuple[int, str]]) -> ReplacementOrder | None:
    """The oldest order that was not tried yet."""
    orders = outlast(tools.client.replacement_orders)
    return next((one for one in orders if (one.job, one.action) not in met), None)


def _stands(tools: Toolbox, order: ReplacementOrder) -> bool:
    """Whether an order still is one: asked while nobody else can be at these files."""
    return order in outlast(tools.client.replacement_orders)


def _always() -> bool:
    return True


def carry_out(
    order: ReplacementOrder, stands: Callable[[], bool] = _always
) -> ReplacementEnd | None:
    """Do one thing; None where another process is just at it, or it does not stand any more.

    Else somebody may have tried the job again meanwhile, and what is in place be of that.
    """
    try:
        with Replacing(order.root, order.quarantine) as it:
            if not stands():
                log.info("replacement_order_is_old", job=order.job, action=order.action)
                return None
            if order.replacement is not None:
                it.check_disk(order.replacement)
            end = _DOING[order.action](order, it)
    except StorageBusy:
        log.info("replacement_busy", job=order.job)
        return None
    except ServiceError:  # nobody can be told how it ended
        raise
    except (DarkstreamError, OSError) as error:  # of one disk: the next order goes on
        log.warning("not_settled", job=order.job, action=order.action, reason=str(error))
        return ReplacementEnd(action=order.action, error=str(error))
    log.info("settled", job=order.job, action=order.action, state=end.state)
    return end


def _approve(order: ReplacementOrder, it: Replacing) -> ReplacementEnd:
    known = order.replacement
    if it.is_finished or (
        it.journal is None and known and it.is_removed(known.source, known.target)
    ):
        it.discard()
        reason = "the result that waited is gone: its original had changed, or it was removed"
        return ReplacementEnd(action="approve", state=ReplacementState.kept, error=reason)
    try:
        what = _place(it)
    except SourceChanged as error:
        reason = f"{error}: the result of what it was is thrown away"
        return ReplacementEnd(action="approve", state=ReplacementState.kept, error=reason)
    return _placed(order, what)


def _place(it: Replacing) -> Replacement:
    """Place what waits, or go on with placing it where that was interrupted."""
    journal = it.present()
    if journal.goal == "place":
        return (it.recover() or journal).replacement
    what = journal.replacement
    source = os.path.join(what.root, what.source)
    if os.path.lexists(source):  # one that is gone has changed: `place` throws its result away
        check_replaceable(source, what.rule)
    return it.place(what).replacement


def _placed(order: ReplacementOrder, what: Replacement) -> ReplacementEnd:
    return ReplacementEnd(
        action=order.action,
        state=ReplacementState.placed,
        file=placed_file(what),
        replacement=what,
    )


def _keep(order: ReplacementOrder, it: Replacing) -> ReplacementEnd:
    what = _go_back(order, it)
    file = _found(what) if what is not None and it.is_untouched(what) else None
    return ReplacementEnd(action="keep", state=ReplacementState.kept, file=file)


def _undo(order: ReplacementOrder, it: Replacing) -> ReplacementEnd:
    what = _go_back(order, it)
    there = what is not None and it.has_original(what, surely=False)
    file = _found(what) if what is not None and there else None
    return ReplacementEnd(action="undo", state=ReplacementState.undone, file=file)


def _abandon(order: ReplacementOrder, it: Replacing) -> ReplacementEnd:
    """The job ended otherwise: everything is to be as it was."""
    _go_back(order, it)
    return ReplacementEnd(action="abandon", state=ReplacementState.undone)


def _go_back(order: ReplacementOrder, it: Replacing) -> Replacement | None:
    """Have everything as it was; it may be so already, and not have been told."""
    if it.journal is not None:
        what = it.journal.replacement
        it.restore(force=order.force)
        return what
    if not _is_back(order, it):
        it.present()  # says what is missing: its disk may be away
    it.discard()
    return order.replacement


def _is_back(order: ReplacementOrder, it: Replacing) -> bool:
    """Whether nothing is left to be put back, told where there is no journal.

    What is missing alone proves nothing, as its disk may be away.
    """
    what = order.replacement
    if what is None:  # nothing was about to be moved
        return it.exists or it.is_removed()
    if it.has_original(what, surely=True):
        return True
    if order.action != "undo":  # a changed original, and nothing that waits to replace it
        return it.is_finished or it.is_removed(what.source, what.target)
    return not what.same_name and it.is_removed(what.source) and not it.is_removed(what.target)


def _found(what: Replacement) -> FileNow | None:
    """The original under its name, for the next scan to know."""
    try:
        return restored_file(what)
    except SourceError:
        return None  # somebody was quicker: the next scan looks at what is there


def _expire(order: ReplacementOrder, it: Replacing) -> ReplacementEnd:
    """Nothing that is missing counts as done where its disk may be away."""
    if it.is_removed():
        it.discard()
        log.warning("original_removed", job=order.job, quarantine=display(order.quarantine))
    else:
        it.forget()
        if (what := order.replacement) is not None:
            source, size = display(what.source), what.original.size
            log.info("original_expired", job=order.job, file=source, bytes=size)
    return ReplacementEnd(action="expire", state=ReplacementState.expired)


_Doing = Callable[[ReplacementOrder, Replacing], ReplacementEnd]
_DOING: dict[ReplacementAction, _Doing] = {
    "approve": _approve,
    "keep": _keep,
    "undo": _undo,
    "expire": _expire,
    "abandon": _abandon,
}

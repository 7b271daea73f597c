"""The order in which a result and its original change places: pure, one step at a time.

Whoever was interrupted looks at what lies where and asks for the next step; so every moment between
two steps is one that recovery knows. At each of them the original or the result is whole under a
name that a user finds, and only `forget` takes an original that has no name any more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum

from darkstream.errors import Conflict, SourceChanged, StorageError, TargetExists
from darkstream.model.paths import display
from darkstream.model.replacement import Replacement
from darkstream.storage.journal import Goal
from darkstream.storage.known import Kind
from darkstream.storage.quarantine import kept_name


@dataclass(frozen=True, slots=True)
class Seen:
    """What lies where; `target` is `name` where the result gets the original's very name."""

    name: Kind
    """Under the original's name."""
    target: Kind
    """Under the name for the result."""
    held: Kind
    """In the quarantine, where a result waits."""
    quarantined: Kind
    """In the quarantine, where an original is kept."""


class Step(StrEnum):
    """One change of the file system, or the reason why there can be none."""

    swap_in = "swap_in"
    """The held result and the original change places at once (or the original gets a link)."""
    overwrite = "overwrite"
    """The held result is renamed over the original, which the quarantine has."""
    file_away = "file_away"
    """The original goes from where the result was held to where originals are kept."""
    swap_back = "swap_back"
    """What came out was not the original: it gets its name again."""
    publish = "publish"
    """The held result gets its name, over nothing."""
    take = "take"
    """The original leaves its name for the quarantine."""
    drop_name = "drop_name"
    """The original loses its name: it is in the quarantine already."""
    give_back = "give_back"
    """What is in the quarantine gets the original's name, over nothing."""
    swap_out = "swap_out"
    """The original in quarantine and what has its name change places (or that gets a link)."""
    overwrite_back = "overwrite_back"
    """The original is renamed over what has its name, which the quarantine has."""
    drop_target = "drop_target"
    """The result leaves its name for the quarantine, where nobody opens it any more, and goes."""
    drop_held = "drop_held"
    drop_quarantined = "drop_quarantined"

    changed = "changed"
    """The original is not what was encoded."""
    taken = "taken"
    """The result's name is taken by a stranger's file."""
    blocked = "blocked"
    """A stranger's file has the original's name."""
    altered = "altered"
    """The result was changed since it was put in place."""
    missing = "missing"
    """The result that waited is gone, or damaged."""
    unproved = "unproved"
    """The result is not, byte for byte, where it was put: the original may be all there is."""
    rewritten = "rewritten"
    """The original was written to in the quarantine."""
    strange = "strange"
    """Something is where nothing of the kind can be: hands off."""


REFUSALS = frozenset(
    {
        Step.changed,
        Step.taken,
        Step.blocked,
        Step.altered,
        Step.missing,
        Step.unproved,
        Step.rewritten,
        Step.strange,
    }
)

DROPS = frozenset(
    {
        Step.drop_name,
        Step.drop_target,
        Step.drop_held,
        Step.drop_quarantined,
        Step.overwrite_back,
    }
)
"""After these a file may be gone that is nowhere else."""


def next_step(
    goal: Goal, seen: Seen, *, same_name: bool, placed: bool = True, force: bool = False
) -> Step | None:
    """The next step towards a goal; None: it is reached.

    `placed`: the result may have got its name. Else what has that is somebody else's, whatever is
    in it, and what is held is the result, whatever became of it.
    """
    if goal == "hold":
        return None
    if goal == "forget":
        return _forget(seen)
    if goal == "place":
        return _place_over(seen) if same_name else _place_beside(seen)
    if not placed and seen.held == "other" and seen.quarantined == "none":
        return Step.drop_held  # a result that was damaged while it waited
    if same_name:
        return _restore_over(seen, force=force)
    return _restore_beside(seen if placed else replace(seen, target="other"))


def _place_over(seen: Seen) -> Step | None:
    if seen.name == "original":
        if seen.held != "result":
            return Step.missing
        over = {"none": Step.swap_in, "original": Step.overwrite}
        return over.get(seen.quarantined, Step.strange)
    if seen.name != "result":
        return _placed_and_altered(seen)
    if seen.quarantined == "original":
        return None if seen.held == "none" else _drop_copy(seen.held)
    if seen.quarantined != "none":
        return Step.strange
    out = {"original": Step.file_away, "other": Step.swap_back}
    return out.get(seen.held, Step.strange)


def _place_beside(seen: Seen) -> Step | None:
    if seen.target == "result":
        return _place_published(seen)
    if seen.name != "original":
        return _placed_and_altered(seen)
    if seen.held != "result":
        return Step.missing
    return Step.publish if seen.target == "none" else Step.taken


def _place_published(seen: Seen) -> Step | None:
    if seen.held == "result":
        return Step.drop_held
    if seen.held != "none":
        return _file_away(seen) if seen.held == "original" else Step.strange
    if seen.quarantined == "original":
        return Step.drop_name if seen.name == "original" else None
    if seen.name == "original":
        return Step.take if seen.quarantined == "none" else Step.strange
    wrong = seen.name == "none" and seen.quarantined == "other"
    return Step.give_back if wrong else Step.changed


def _placed_and_altered(seen: Seen) -> Step | None:
    """The result is nowhere: it was in place and somebody changed it, or it never was.

    Nothing is left to be done then; whether the original may go is for `forget` to find out.
    """
    if seen.held == "original":
        return _file_away(seen)
    return None if (seen.quarantined, seen.held) == ("original", "none") else Step.changed


def _restore_over(seen: Seen, *, force: bool) -> Step | None:
    if seen.name == "original":
        return _drop_all(seen, force=force)
    if seen.held == "original":
        return _file_away(seen)
    if seen.quarantined == "original":
        return _swap_back_in(seen, force=force)
    if force and seen.quarantined == "other" and seen.name in ("result", "none"):
        return _swap_back_in(seen, force=force)  # an original that was written to meanwhile
    if seen.name == "result":
        return Step.swap_back if seen.held == "other" else Step.strange
    # Somebody changed or took the original before it was replaced: what is there is theirs.
    return _drop_all(seen)


def _swap_back_in(seen: Seen, *, force: bool) -> Step:
    if seen.name == "none":
        return Step.give_back
    if seen.name == "other" and not force:
        return Step.altered
    return Step.swap_out if seen.held == "none" else Step.overwrite_back


def _drop_all(seen: Seen, *, force: bool = False) -> Step | None:
    if seen.held != "none":
        return _drop(Step.drop_held, seen.held, force=force)
    if seen.quarantined != "none":
        return _drop(Step.drop_quarantined, seen.quarantined, force=force)
    return None


def _restore_beside(seen: Seen) -> Step | None:
    if seen.held == "original" and seen.name != "original":
        return _file_away(seen)
    if seen.name == "none":  # else somebody took it away: a result in place is all there is
        mine = seen.quarantined in ("original", "other")
        return Step.give_back if mine else _drop_all(seen)
    if seen.quarantined == "original" and seen.name != "original":
        return Step.blocked
    if seen.quarantined == "none" and seen.target == "result":
        return Step.drop_target
    return _drop_all(seen)


def _file_away(seen: Seen) -> Step:
    """An original lies where results wait: it goes where originals are kept, if none is there."""
    way: dict[Kind, Step] = {"none": Step.file_away, "original": Step.drop_held}
    return way.get(seen.quarantined, Step.strange)


def _forget(seen: Seen) -> Step | None:
    if (seen.held, seen.quarantined) == ("none", "none"):
        return None  # what is gone needs no result any more
    if seen.target != "result":
        return Step.unproved
    if seen.held != "none":
        return _drop_copy(seen.held)
    return Step.drop_quarantined


def _drop_copy(held: Kind) -> Step:
    return Step.drop_held if held in ("original", "result") else Step.strange


def _drop(step: Step, kind: Kind, *, force: bool = False) -> Step:
    """Drop what is ours; what is not only where somebody forced that."""
    return step if kind in ("original", "result") or force else Step.strange


def refusal(step: Step, what: Replacement) -> Exception:
    """What to raise where there can be no step."""
    source, target = display(what.source), display(what.target)
    place = display(os.path.join(what.root, what.quarantine))
    if step is Step.changed:
        return SourceChanged(f"{source} changed since it was encoded")
    if step is Step.taken:
        return TargetExists(
            f"{display(os.path.join(what.root, what.target))} is there already and is not this "
            "job's; nothing was overwritten"
        )
    kept = os.path.join(what.root, what.quarantine, kept_name(what.source))
    if step is Step.rewritten:
        return Conflict(
            f"the original of {target} was written to since it was replaced, so it is neither "
            "removed nor put back by itself: undo it with --force to have it as it is now, or "
            f"remove {display(kept)} yourself"
        )
    if step is Step.unproved:
        return StorageError(
            f"the result is not where it was put ({target} is gone or was changed), so the "
            f"original is kept: undo it, or remove {display(kept)} yourself"
        )
    if step is Step.altered:
        return Conflict(
            f"{target} was changed since it was put in place: with --force the original comes back "
            "all the same"
        )
    reasons = {
        Step.blocked: f"another file is at {source} now: move it away, then undo again; the "
        f"original is safe in {place}",
        Step.missing: f"the result in {place} is gone or was changed, and the original is "
        "untouched: 'keep' throws the result away",
    }
    return StorageError(
        reasons.get(
            step,
            f"{place} holds something unexpected, and nothing was touched: look at it, remove what "
            "nobody needs, and ask again",
        )
    )

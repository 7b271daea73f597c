"""Replacing an original by its result, and taking that back: nothing is lost at any moment.

What is to come about is first written into a journal in the quarantine directory, durably; then
`exchange.next_step` is done until the goal is reached. Whoever finds a journal can go on.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from darkstream.errors import SourceChanged, StorageError, TargetExists
from darkstream.model.paths import display
from darkstream.model.replacement import CLIP, Replacement
from darkstream.observe.cancel import CancelToken
from darkstream.storage import quarantine
from darkstream.storage.destination import Destination, split, sync_directory
from darkstream.storage.disk import check_disk
from darkstream.storage.exchange import DROPS, REFUSALS, Seen, Step, next_step, refusal
from darkstream.storage.faults import storage_faults
from darkstream.storage.journal import (
    Journal,
    locked,
    read_journal,
    remove_journal,
    remove_lock,
    write_journal,
)
from darkstream.storage.known import Kind, Signature, is_untouched, kind_of, known_as, signature_of
from darkstream.storage.likeness import liken
from darkstream.storage.moves import drop, move, overwrite, swap
from darkstream.storage.parts import owner, remove
from darkstream.storage.rename import Place, exchange

_MOST_STEPS = 12
_Doing = Callable[[], None]


class Replacing:
    """One replacement on disk; a context that keeps other processes from it.

    Every method can be interrupted anywhere and called again. Raises StorageError where the disk
    is away, where somebody else is at it, and for what the system refuses.
    """

    def __init__(self, root: bytes, directory: bytes, cancel: CancelToken | None = None) -> None:
        self._root = root
        self._relative = directory
        self._cancel = cancel or CancelToken()
        self._stack = ExitStack()
        self._found: int | None = None
        self._seen: dict[Place, Signature | None] = {}
        self.journal: Journal | None = None

    def __enter__(self) -> Self:
        """Open and lock the quarantine directory, if it is there: none is made."""
        if not os.path.isdir(self._root):
            raise StorageError(
                f"{display(self._root)} is no directory here: is its disk mounted on this machine?"
            )
        with ExitStack() as stack, storage_faults(self._root):
            self._open = stack.enter_context(Destination(self._root, make=False))
            self._found = self._open.find(self._relative)
            if self._found is not None:
                self._lock = stack.enter_context(ExitStack())
                path = os.path.join(self._root, self._relative)
                self._lock.enter_context(locked(self._found, path))
                self.journal = read_journal(self._found)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close and unlock."""
        self._stack.close()

    def hold(self, replacement: Replacement) -> Journal:
        """Note what the result in the quarantine, which is whole and durable, is to replace."""
        return self._write(Journal(goal="hold", replacement=replacement))

    def place(self, replacement: Replacement) -> Journal:
        """Have the result take the original's place.

        Raises SourceChanged where the original is not what was encoded: then it has its name, and
        the result is gone. Raises TargetExists where the result's name is taken: then it waits for
        another one. Raises what `cancel` was given, before anything was moved, and StorageError for
        a result that was damaged while it waited.
        """
        try:
            self._check_original(replacement)
        except SourceChanged:
            self._give_up()
            raise
        self._cancel.check()
        held = self._held(replacement)
        with storage_faults(self._root):
            if self._kind(held, replacement, surely="result") != "result":
                raise refusal(Step.missing, replacement)
            liken(self._name(replacement), held, mtime=replacement.rule.mtime)
            found = os.lstat(held.name, dir_fd=held.directory)
        result = known_as(found, replacement.result.blake3)
        replacement = replacement.model_copy(update={"result": result})
        self._write(Journal(goal="place", replacement=replacement, placed=time.time()))
        return self._settle_place()

    def recover(self) -> Journal | None:
        """Go on with what was interrupted; None where nothing is left to be gone on with.

        Raises SourceChanged as `place` does.
        """
        if self.journal is None:
            self.discard()
            return None
        if self.journal.goal == "place":
            return self._settle_place()
        if self.journal.goal == "forget":
            self.forget()
            return None
        if self.journal.goal == "restore":
            self._settle()
            self.clear()
            return None
        return self.journal

    def restore(self, *, force: bool = False) -> None:
        """Give the original its name back, byte for byte, and drop the result.

        Raises Conflict where the result was changed since it was put in place, or the original in
        the quarantine, and not `force`: then what is there comes back.
        Where both have names of their own, a changed result stays.
        """
        journal = self.present()
        if journal.goal in ("place", "forget"):
            self._check_kept(journal.replacement, force=force)
        if not force:
            self._check_result(journal.replacement)
        placed = journal.placed if self._is_published(journal) else None
        self._write(
            journal.model_copy(update={"goal": "restore", "force": force, "placed": placed})
        )
        self._settle()
        self.clear()

    def forget(self) -> None:
        """Remove the original in quarantine: from now on it cannot be put back.

        Raises StorageError where its place is not taken by the very result: it may be all there is;
        Conflict where it was written to in the quarantine.
        """
        journal = self.present()
        if journal.goal != "forget":
            self._check_placed(journal)
            self._write(journal.model_copy(update={"goal": "forget", "force": False}))
        self._settle()
        self.clear()

    def discard(self) -> None:
        """Remove what was made here before there was a journal: nothing of an original is in it.

        Raises StorageError where something is: somebody removed the journal by hand.
        """
        if self._found is None:
            return
        with storage_faults(self._root):
            names = [os.fsencode(name) for name in os.listdir(self._inside)]
            if any(quarantine.is_kept(name) for name in names):
                raise StorageError(
                    f"{display(os.path.join(self._root, self._relative))} holds an original and no "
                    "journal of it: put it where it belongs by hand"
                )
            for name in names:
                ours = quarantine.is_held(name) or quarantine.is_clip(name)
                if ours or owner(name) is not None:
                    remove(name, dir_fd=self._inside)
        self.clear()

    def clear(self) -> None:
        """Remove the quarantine directory, which holds nothing that is needed any more."""
        with storage_faults(self._root):
            self._drop_clip()
            remove_journal(self._inside)
            self._lock.close()  # nothing is left that two could be at
            above, name = split(self._relative)
            parent = self._open.directory(above)
            with suppress(OSError):  # what a user put there stays
                remove_lock(self._inside)
                os.rmdir(name, dir_fd=parent)
                sync_directory(parent)
                grand, top = split(above)
                os.rmdir(top, dir_fd=self._open.directory(grand))
        self.journal = None

    def _drop_clip(self) -> None:
        """Nobody has to decide any more."""
        with suppress(FileNotFoundError):
            os.unlink(CLIP, dir_fd=self._inside)

    @property
    def exists(self) -> bool:
        """Whether the quarantine directory is there."""
        return self._found is not None

    @property
    def is_finished(self) -> bool:
        """Whether all was done and only the quarantine directory is left, as power went then."""
        if self._found is None or self.journal is not None:
            return False
        with storage_faults(self._root):
            names = [os.fsencode(name) for name in os.listdir(self._inside)]
        return not any(quarantine.is_kept(name) or quarantine.is_held(name) for name in names)

    def check_disk(self, what: Replacement) -> None:
        """Raise StorageError where what is missing here may be on another disk."""
        if self.journal is None and not self.is_finished:
            check_disk(self._open, what)

    def is_removed(self, *names: bytes) -> bool:
        """Whether there is no quarantine directory any more, though its disk is there.

        That is seen by a file of one of these names, without any by whatever lies where it lay.
        """
        if self._found is not None and not self.is_finished:
            return False
        with storage_faults(self._root):
            if names:
                return any(self._is_file(name) for name in names)
            if self._found is not None:
                return True
            around = self._open.find(os.path.dirname(os.path.dirname(self._relative)))
            return around is not None and bool(os.listdir(around))

    def _is_file(self, path: bytes) -> bool:
        above, name = split(path)
        directory = self._open.find(above)
        if directory is None:
            return False
        with suppress(FileNotFoundError):
            return stat.S_ISREG(os.lstat(name, dir_fd=directory).st_mode)
        return False

    def has_original(self, what: Replacement, *, surely: bool) -> bool:
        """Whether the original is under its own name; `surely`: told by its bytes."""
        return self._kind_at(what.source, what, surely="original" if surely else None) == "original"

    def is_untouched(self, what: Replacement) -> bool:
        """Whether the original is the very file that was encoded, and never was elsewhere."""
        try:
            self._check_original(what)
        except SourceChanged:
            return False
        return True

    # One step at a time

    def _settle_place(self) -> Journal:
        try:
            journal = self._settle()
            with storage_faults(self._root):
                self._drop_clip()
            return journal
        except TargetExists:
            self._write(self.present().model_copy(update={"goal": "hold", "placed": None}))
            raise
        except SourceChanged:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self._write(self.present().model_copy(update={"goal": "restore"}))
        self._settle()
        self.clear()

    def _settle(self) -> Journal:
        journal = self.present()
        for _ in range(_MOST_STEPS):
            step = self._next(journal)
            if step in DROPS:
                step = self._confirm(step, journal)
            if step is None:
                return journal
            if step in REFUSALS:
                raise refusal(step, journal.replacement)
            with storage_faults(self._root):
                self._do(step, journal.replacement)
        raise StorageError(f"{display(self._relative)}: its files change all the time")

    def _confirm(self, step: Step, journal: Journal) -> Step | None:
        """A step after which a result is gone for good: it is told by its bytes, not its times."""
        try:
            return self._next(journal, surely="result")
        except StorageError:
            if not journal.force:
                raise
            return step  # it cannot be read, and was told to go

    def _next(self, journal: Journal, *, surely: Kind | None = None) -> Step | None:
        what = journal.replacement
        seen = self._look(what, surely=surely)
        placed = journal.placed is not None
        return next_step(
            journal.goal, seen, same_name=what.same_name, placed=placed, force=journal.force
        )

    def _look(self, what: Replacement, *, surely: Kind | None = None) -> Seen:
        name = self._kind_at(what.source, what, surely=surely)
        same = what.same_name
        with storage_faults(self._root):
            target = name if same else self._kind_at(what.target, what, surely=surely)
            held = self._kind(self._held(what), what, surely=surely)
            quarantined = self._kind(self._quarantined(what), what, surely=surely)
            if not same and target == held == "result" and not self._is_one_file(what):
                target = "other"  # a stranger's file with the same bytes
        return Seen(name=name, target=target, held=held, quarantined=quarantined)

    def _is_published(self, journal: Journal) -> bool:
        """Whether the result got its name: a file with the same bytes may be a stranger's."""
        if journal.replacement.same_name:
            return True
        seen = self._look(journal.replacement)
        return seen.held != "result" or seen.target == "result"

    def _is_one_file(self, what: Replacement) -> bool:
        """Whether the result has both of its names, as it was about to get or lose one."""
        target, held = self._seen.get(self._target(what)), self._seen.get(self._held(what))
        return target is not None and held is not None and target[:2] == held[:2]

    def _kind_at(self, path: bytes, what: Replacement, *, surely: Kind | None = None) -> Kind:
        above, name = split(path)
        directory = self._open.find(above)
        if directory is None:
            return "none"
        with storage_faults(self._root):
            return self._kind(Place(directory, name), what, surely=surely)

    def _kind(self, place: Place, what: Replacement, *, surely: Kind | None = None) -> Kind:
        kind, self._seen[place] = kind_of(place, what, surely=surely)
        return kind

    def _do(self, step: Step, what: Replacement) -> None:
        name, target = self._name(what), self._target(what)
        held, kept = self._held(what), self._quarantined(what)
        doing: dict[Step, _Doing] = {
            Step.swap_in: lambda: swap(held, name, spare=kept),
            Step.overwrite: lambda: overwrite(held, name),
            Step.file_away: lambda: move(held, kept),
            Step.swap_back: lambda: exchange(held, name),
            Step.publish: lambda: _publish(held, target, what),
            Step.take: lambda: move(name, kept),
            Step.drop_name: lambda: self._drop(name),
            Step.give_back: lambda: move(kept, name),
            Step.swap_out: lambda: swap(kept, name, spare=held),
            Step.overwrite_back: lambda: self._overwrite(kept, name),
            Step.drop_target: lambda: self._withdraw(target, held, what),
            Step.drop_held: lambda: self._drop(held),
            Step.drop_quarantined: lambda: self._drop(kept),
        }
        doing[step]()
        for directory in dict.fromkeys((held.directory, name.directory, target.directory)):
            sync_directory(directory)

    def _is_as_seen(self, place: Place) -> bool:
        """Whether nobody wrote to a file since it was looked at; else it is looked at again."""
        return signature_of(place) == self._seen.get(place)

    def _drop(self, place: Place) -> None:
        if self._is_as_seen(place):
            drop(place)

    def _overwrite(self, inner: Place, name: Place) -> None:
        if self._is_as_seen(name):
            overwrite(inner, name)

    def _withdraw(self, target: Place, held: Place, what: Replacement) -> None:
        """Drop a result that has a name, once nobody can open it by that and it is read again."""
        if not self._is_as_seen(target):
            return
        if self._seen.get(held) is not None:  # the same file: its second name goes later
            drop(target)
            return
        move(target, held)
        sync_directory(held.directory)
        sync_directory(target.directory)
        try:
            kind = self._kind(held, what, surely="result")
            mine = kind == "result" and self._is_as_seen(held)
        except OSError:
            mine = self.present().force  # it cannot be read, and may have been told to go
            if not mine:
                move(held, target)
                raise
        if mine:
            drop(held)
        else:
            move(held, target)

    # What is where

    def _name(self, what: Replacement) -> Place:
        return self._at(what.source)

    def _target(self, what: Replacement) -> Place:
        return self._at(what.target)

    def _held(self, what: Replacement) -> Place:
        return Place(self._inside, quarantine.held_name(what.target))

    def _quarantined(self, what: Replacement) -> Place:
        return Place(self._inside, quarantine.kept_name(what.source))

    def _at(self, path: bytes) -> Place:
        directory, name = split(path)
        return Place(self._open.directory(directory), name)

    def present(self) -> Journal:
        """The journal; raises StorageError where there is none."""
        if self.journal is None:
            raise self._missing()
        return self.journal

    def _missing(self) -> StorageError:
        place, there = display(os.path.join(self._root, self._relative)), self._found is not None
        return StorageError(
            f"{place} {'holds no journal of a replacement' if there else 'is not there'}: is its "
            "disk mounted on this machine, or was it removed by hand? Nothing was touched"
        )

    @property
    def _inside(self) -> int:
        if self._found is None:
            raise self._missing()
        return self._found

    def _write(self, journal: Journal) -> Journal:
        with storage_faults(self._root):
            write_journal(self._inside, journal)
        self.journal = journal
        return journal

    def _check_original(self, what: Replacement) -> None:
        """Raise SourceChanged unless the original is the very file that was encoded.

        Raises StorageError where that cannot be seen: then the result goes on waiting.
        """
        above, name = split(what.source)
        directory = self._open.find(above)
        if directory is None or not is_untouched(Place(directory, name), what, self._cancel):
            raise refusal(Step.changed, what)

    def _check_kept(self, what: Replacement, *, force: bool) -> None:
        """Raise StorageError where the original is nowhere: then the result is all there is.

        Raises Conflict where it was written to in the quarantine and not `force`.
        """
        seen = self._look(what)
        if "original" in (seen.name, seen.held, seen.quarantined):
            return
        if seen.quarantined == "none":
            place = display(os.path.join(what.root, what.quarantine))
            raise StorageError(
                f"the original of {display(what.target)} is not in {place} any more: nothing was "
                "touched"
            )
        if not force:
            raise refusal(Step.rewritten, what)

    def _check_result(self, what: Replacement) -> None:
        """Raise Conflict where the result is in place and was changed there."""
        with storage_faults(self._root):
            if self._kind(self._held(what), what) != "none":
                return
        mine = ("result", "none", "original") if what.same_name else ("result", "none")
        if self._kind_at(what.target, what, surely="result") not in mine:
            raise refusal(Step.altered, what)

    def _check_placed(self, journal: Journal) -> None:
        """Raise StorageError unless placing came to its end; somebody may have tidied up since."""
        seen = self._look(journal.replacement)
        removed = seen.held == seen.quarantined == "none" and seen.name != "original"
        if journal.goal != "hold" and removed:
            return
        if seen.quarantined == "other":
            raise refusal(Step.rewritten, journal.replacement)
        if self._next(journal.model_copy(update={"goal": "place"})) is not None:
            raise StorageError("the result is not in place, so the original is kept")


def _publish(held: Place, target: Place, what: Replacement) -> None:
    try:
        move(held, target)
    except FileExistsError as error:
        raise refusal(Step.taken, what) from error

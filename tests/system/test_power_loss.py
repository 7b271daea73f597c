"""The kernel's own calls of replacing and undoing: each may fail, or be the last, and none loses.

What `tests/unit/test_storage_power.py` does at Python's calls is done here at those that `strace`
sees, in a process that really ends; so no call can have been forgotten. To fail each of them takes
long (`make test-long`); that each is known, and what must be durable before it, is tested always.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixtures_replacement import (
    NAMES,
    Case,
    Doing,
    check_settled,
    check_whole,
    new_case,
    prepared_for,
    recover,
)
from fixtures_strace import CHANGES, LOOKS, Call, Strace, Traced

DOINGS = ["convert", "approve", "keep", "undo", "force", "forget"]
NO_EXCHANGE = "renameat2:error=EINVAL"
NEEDS_ROOM = CHANGES - {"unlinkat", "rmdir", "fchmod", "fchown", "utimensat"}
"""Calls that a full disk may refuse."""


class Stage:
    """One thing that is done again and again from the start, with another fault each time."""

    def __init__(self, top: Path, strace: Strace, doing: str, name: str) -> None:
        self.top, self.strace, self.doing, self.name = top, strace, doing, name
        self.elsewhere: Path | None = None
        self.always: tuple[str, ...] = ()
        self._runs = 1000
        self.root = top
        """Of the library that was used last."""

    def calls(self) -> list[Call]:
        """What is called about the library when all goes well."""
        case, act = self._made()
        act(case)  # what is imported or remembered at its first use
        case, act = self._made()
        traced = self.strace.run(lambda: act(case), *self.always)
        assert not traced.killed and not traced.refused
        self._check(case)
        return traced.on(case.root)

    def fail(self, call: Call, fault: str) -> Traced:
        """Do it with one fault at one call, then recover."""
        case, act = self._made()
        traced = self.strace.run(
            lambda: act(case), *self.always, f"{call.name}:{fault}:when={call.number}"
        )
        assert traced.killed or traced.injected, call
        self._check(case)
        return traced

    def _made(self) -> tuple[Case, Doing]:
        self._runs += 1
        case = new_case(self.top / str(self._runs), NAMES[self.name], self.elsewhere)
        self.root = case.root
        return case, prepared_for(self.doing, case)

    def _check(self, case: Case) -> None:
        check_whole(case, self.doing)
        recover(case)
        check_whole(case, self.doing)
        check_settled(case, self.doing)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _fail_everywhere(stage: Stage) -> None:
    calls = [call for call in stage.calls() if call.changes]
    # With renameat2 failing always, no second fault can be told it.
    calls = [call for call in calls if not (stage.always and call.name == "renameat2")]
    assert len(calls) > 8
    tidied = False
    for call in calls:
        assert stage.fail(call, "signal=KILL").killed
        failed = stage.fail(call, "error=EIO")
        tidied = tidied or (call.name == "unlinkat" and '"journal"' in call.text)
        # What is not known to be durable is nothing to go on from.
        assert failed.refused or tidied or call.name != "fsync", call
        if call.name in NEEDS_ROOM:
            stage.fail(call, "error=ENOSPC")


@pytest.mark.slow
@pytest.mark.parametrize("doing", DOINGS)
def test_any_change_may_fail_or_be_the_last(
    tmp_path: Path, strace: Strace, doing: str, name: str
) -> None:
    _fail_everywhere(Stage(tmp_path, strace, doing, name))


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["approve", "undo"])
def test_so_it_may_where_files_cannot_be_exchanged(
    tmp_path: Path, strace: Strace, doing: str, name: str
) -> None:
    stage = Stage(tmp_path, strace, doing, name)
    stage.always = (NO_EXCHANGE,)
    _fail_everywhere(stage)


@pytest.mark.slow
def test_so_it_may_where_the_result_comes_from_another_file_system(
    tmp_path: Path, strace: Strace, elsewhere: Path
) -> None:
    stage = Stage(tmp_path, strace, "convert", "another name")
    stage.elsewhere = elsewhere
    assert {"copy_file_range", "write"} & {call.name for call in stage.calls()}
    _fail_everywhere(stage)


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["approve", "undo", "forget"])
def test_any_look_may_fail(tmp_path: Path, strace: Strace, doing: str, name: str) -> None:
    stage = Stage(tmp_path, strace, doing, name)
    for call in stage.calls():
        if not call.changes:
            stage.fail(call, "error=EIO")


@pytest.mark.parametrize("doing", DOINGS)
def test_every_call_is_known_for_a_look_or_a_change(
    tmp_path: Path, strace: Strace, doing: str, name: str
) -> None:
    """What is not known would be a call at which nobody tried a loss of power."""
    called = {call.name for call in Stage(tmp_path, strace, doing, name).calls()}
    assert called <= LOOKS | CHANGES
    assert called & CHANGES >= {"openat", "write", "fsync", "renameat", "unlinkat"} - (
        {"unlinkat"} if doing in ("convert", "approve") else set()
    )


_AT = re.compile(r'\d+<([^>]*)>, "([^"]*)"')
_FILE = re.compile(r"\d+<([^>]*)>")
_WRITES = {"write", "pwrite64", "fchmod", "fchown", "utimensat", "fsetxattr", "fremovexattr"}
_NAMES = {"renameat", "renameat2", "linkat", "unlinkat", "mkdirat"}


class Disk:
    """What of a file system is durable, told by the calls alone."""

    def __init__(self, root: Path) -> None:
        self.root = f"{root}/"
        self.files: set[str] = set()
        """With bytes or attributes that a crash may take."""
        self.directories: set[str] = set()
        """With names that a crash may take."""
        self.named = 0

    def take(self, call: Call) -> set[str]:
        """Note a call; what it relies on that is not durable."""
        if " = -1 " in call.text:
            return set()
        into = _FILE.findall(call.text)
        if call.name in ("fsync", "fdatasync"):
            self.files.discard(into[0])
            self.directories.discard(into[0])
        elif call.name in _WRITES:
            self.files.add(into[0])
        elif call.name == "copy_file_range":
            self.files.add(into[1])
        elif call.name in _NAMES:
            return self._name(_AT.findall(call.text))
        return set()

    def _name(self, places: list[tuple[str, str]]) -> set[str]:
        paths = [f"{above}/{name}" for above, name in places]
        if len(places) == 1 and ("journal" in places[0][1] or places[0][1] == "lock"):
            return set()  # their removal is the end: what the journal told of is done
        relies = self.directories | (self.files & {*paths})
        self.named += 1
        inside = {above for above, _ in places if f"{above}/".startswith(self.root)}
        if not paths[-1].endswith(".part"):  # nobody looks for a part file that is gone
            self.directories |= inside
        if places[0][0] not in inside:
            self.files.add(paths[-1])  # who made it elsewhere has not synced it
        return relies


@pytest.mark.parametrize("doing", DOINGS)
def test_nothing_is_relied_on_that_is_not_durable(
    tmp_path: Path, strace: Strace, doing: str, name: str
) -> None:
    """A killed process loses nothing of what it wrote, a machine does: so the order is looked at.

    Bytes and attributes are synced before the file gets another name, and each name before the
    next one changes.
    """
    stage = Stage(tmp_path, strace, doing, name)
    calls = stage.calls()
    disk = Disk(stage.root)
    broken = [(call.text, relies) for call in calls if (relies := disk.take(call))]
    assert broken == []
    assert disk.named >= {"convert": 6, "keep": 2, "forget": 2}.get(doing, 3)

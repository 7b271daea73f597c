"""`approve`, `keep` and `undo` of several jobs: each is asked for, whatever the others do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from darkstream.cli import judging, session
from darkstream.cli.main import main
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import JobId
from darkstream.model.job import Job, JobStatus
from darkstream.model.replacement import ReplacementInfo, ReplacementState

_ENDS = {"approve": ReplacementState.placed, "keep": ReplacementState.kept}


class _Server:
    """Knows the jobs 1 to 4; 2 cannot be asked for, 3 cannot be done, and nobody does 4."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def _ask(self, wish: str, job: int) -> Job:
        if job > 4:
            raise NotFound(f"there is no job {job}")
        if job == 2:
            raise Conflict("job 2: the original was put back already")
        self.asked.append((wish, job))
        return self.job(job)

    def approve_job(self, job: JobId) -> Job:
        return self._ask("approve", job)

    def keep_job(self, job: JobId) -> Job:
        return self._ask("keep", job)

    def undo_job(self, job: JobId, *, force: bool) -> Job:
        return self._ask("force" if force else "undo", job)

    def job(self, job: int) -> Job:
        wish = "approve" if job == 3 or not self.asked else self.asked[-1][0]
        what = ReplacementInfo(
            state=_ENDS.get(wish, ReplacementState.undone),
            requested="undo" if job == 4 else None,
            error="the disk is full" if job == 3 else "",
            quarantine="/q",
            original_bytes=2,
            result_bytes=1,
        )
        return Job(
            id=JobId(job),
            status=JobStatus.done,
            source="/films/a.mkv",
            preset="web",
            destination="/films",
            pool="cpu",
            queue="normal",
            priority=50,
            created=datetime.now(UTC),
            attempts=1,
            replacement=what,
        )


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> _Server:
    made = _Server()

    @contextmanager
    def connect(_settings: object) -> Iterator[_Server]:
        yield made

    monkeypatch.setattr(session, "connect", connect)
    monkeypatch.setattr(judging, "_PATIENCE_S", 0.0)
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err

    return _run


@pytest.mark.parametrize("wish", ["approve", "keep", "undo"])
def test_one_that_cannot_be_does_not_keep_the_others_from_it(
    server: _Server, run: Run, wish: str
) -> None:
    code, out, err = run(wish, "9", "2", "3", "1", "1")
    assert code == 3
    assert server.asked == [(wish, 3), (wish, 1)]
    assert out.startswith("job 1: the ") and len(out.splitlines()) == 1
    told = ("there is no job 9", "job 2: the original was put back already", "the disk is full")
    assert [word in line for word, line in zip(told, err.splitlines(), strict=True)] == [True] * 3


def test_all_well_is_0_and_all_refused_3(server: _Server, run: Run) -> None:
    assert run("undo", "1", "--force")[0] == 0 and server.asked == [("force", 1)]
    assert run("undo", "2", "9")[:2] == (3, "")


def test_without_waiting_what_was_refused_is_told_all_the_same(server: _Server, run: Run) -> None:
    code, out, err = run("keep", "1", "2", "--detach")
    assert code == 3 and out.startswith("keep of 1 jobs is under way") and "job 2" in err
    assert server.asked == [("keep", 1)]


def test_one_that_nobody_does_is_said_and_the_others_are_told(server: _Server, run: Run) -> None:
    code, out, err = run("undo", "4", "1")
    assert code == 3 and "job 4: no worker has done it yet" in err and out.startswith("job 1:")
    assert len(server.asked) == 2


def test_an_end_that_nobody_wished_is_no_success(
    server: _Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original's time was over just then."""
    monkeypatch.setitem(_ENDS, "undo", ReplacementState.expired)
    code, out, err = run("undo", "1")
    assert (code, out) == (3, "") and "in place for good" in err

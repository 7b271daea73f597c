"""The leader's side of a film that several workers encode, with the server's answers as given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import make_attempt
from fixtures_shared_films import KEY, plan_of

from darkstream.errors import (
    Cancelled,
    DarkstreamError,
    LeaseLost,
    NotFound,
    ServerUnreachable,
)
from darkstream.model.base import ContentId
from darkstream.model.encoded import EncodedChunk, StreamTally
from darkstream.model.film import ChunkTurn, NextChunk, OpenFilm
from darkstream.model.plan import Chunk
from darkstream.model.source import ChangeHint, Identity, SourceFile
from darkstream.stages import sharing as stages
from darkstream.stages.attempt import Attempt
from darkstream.stages.sharing import Sharing
from darkstream.storage.chunks import ChunkStore

_AWAY = ServerUnreachable("no server answers")


def made(number: int) -> EncodedChunk:
    tally = StreamTally(index=0, kind="video", packets=1, frames=1, errors=0)
    return EncodedChunk(index=number, files=(), source=tally, command="", wall_s=1, cpu_s=1)


class Server:
    """Answers as told, one after another; an error is raised."""

    def __init__(self, *answers: ChunkTurn | Exception, opens: bool = True) -> None:
        self.answers = list(answers)
        self.opens = opens
        self.opened: list[OpenFilm] = []
        self.asked: list[NextChunk] = []

    def open_film(self, _job: int, request: OpenFilm) -> None:
        if not self.opens:
            raise _AWAY
        self.opened.append(request)

    def next_chunk(self, _job: int, request: NextChunk) -> ChunkTurn:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing is open."""


class Store(ChunkStore):
    """What others laid there."""

    def __init__(self, directory: Path, *there: int) -> None:
        super().__init__(bytes(directory), KEY)
        self.there = set(there)

    def find(
        self, chunks: Sequence[Chunk], _renditions: int, _cancel: Any = None
    ) -> dict[int, EncodedChunk]:
        return {one.index: made(one.index) for one in chunks if one.index in self.there}


@pytest.fixture
def attempt() -> Attempt:
    one = make_attempt()
    hint = ChangeHint(size=3, mtime_ns=4, ctime_ns=5, inode=6)
    one.source = SourceFile(path=b"/films/a.avi", hint=hint)
    one.identity = Identity(sample="s", content=ContentId(KEY.content), seconds=0.0)
    one.key = KEY
    return one


def share(attempt: Attempt, server: Server, store: Store, *known: int) -> Sharing:
    attempt.tools.__dict__["client"] = server
    return Sharing(
        attempt, plan_of((30, 20, 50, 40)), store, {number: made(number) for number in known}
    )


def work(sharing: Sharing) -> list[int]:
    """Encode all that the leader is to encode; in this order."""
    order = []
    while (chunk := sharing.next()) is not None:
        sharing.found[chunk.index] = made(chunk.index)
        order.append(chunk.index)
    return order


def test_it_does_what_the_server_says_and_takes_what_others_did(
    attempt: Attempt, tmp_path: Path
) -> None:
    server = Server(
        ChunkTurn(number=2),
        ChunkTurn(number=0, finished=(3,), elsewhere=(1,)),
        ChunkTurn(elsewhere=(1,)),
        ChunkTurn(finished=(1,)),
    )
    store = Store(tmp_path, 1, 3)
    sharing = share(attempt, server, store)
    assert work(sharing) == [2, 0]
    assert sharing.helped == 2
    assert attempt.costs()["cpu_s"] >= 2.0, "theirs count as well"
    (opened,) = server.opened
    assert store.has_mark(opened.film.mark)
    assert (opened.film.hint.size, opened.film.hint.mtime_ns, opened.film.sample) == (3, 4, "s")
    assert [asked.done for asked in server.asked] == [(), (2,), (0, 2, 3), (0, 2, 3)]


def test_what_others_finished_and_is_not_there_is_asked_for(
    attempt: Attempt, tmp_path: Path
) -> None:
    server = Server(
        ChunkTurn(number=2, finished=(3,)),
        ChunkTurn(number=3),
        ChunkTurn(number=0),
        ChunkTurn(number=1),
    )
    sharing = share(attempt, server, Store(tmp_path))
    assert work(sharing) == [2, 3, 0, 1]
    assert [asked.missing for asked in server.asked] == [(), (3,), (), ()]
    assert sharing.helped == 0


@pytest.mark.parametrize("error", [_AWAY, NotFound("an older server"), DarkstreamError("a 500")])
def test_without_the_server_it_goes_on_with_the_longest(
    attempt: Attempt, tmp_path: Path, error: Exception
) -> None:
    sharing = share(attempt, Server(*[error] * 4), Store(tmp_path))
    assert work(sharing) == [2, 3, 0, 1]


def test_without_the_server_it_leaves_what_others_were_at_for_last(
    attempt: Attempt, tmp_path: Path
) -> None:
    store = Store(tmp_path, 3)
    server = Server(ChunkTurn(number=1, elsewhere=(2, 3)), *[_AWAY] * 3)
    assert work(share(attempt, server, store)) == [1, 0, 2], "one of them was through"


def test_a_server_that_was_away_at_the_begin_is_asked_again(
    attempt: Attempt, tmp_path: Path
) -> None:
    server = Server(*[ChunkTurn(number=number) for number in (3, 0, 1)], opens=False)
    sharing = share(attempt, server, Store(tmp_path))
    first = sharing.next()
    assert first is not None and first.index == 2
    sharing.found[2] = made(2)
    server.opens = True
    assert work(sharing) == [3, 0, 1]
    (opened,) = server.opened
    assert opened.done == (2,)


def test_what_lies_there_is_not_encoded_whatever_the_server_says(
    attempt: Attempt, tmp_path: Path
) -> None:
    answers = (ChunkTurn(number=number) for number in (2, 3, 0, 1))
    assert work(share(attempt, Server(*answers), Store(tmp_path, 3, 1))) == [2, 0]


def test_what_hangs_elsewhere_is_not_waited_for(
    attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(stages, "_LOOK_S", 0.01)
    answers = (
        *(ChunkTurn(number=number) for number in (2, 3, 0)),
        *[ChunkTurn(elsewhere=(1,))] * 9,
    )
    assert work(share(attempt, Server(*answers), Store(tmp_path))) == [2, 3, 0, 1]


def test_few_chunks_are_not_shared(attempt: Attempt, tmp_path: Path) -> None:
    server = Server()
    store = Store(tmp_path)
    assert work(share(attempt, server, store, 0, 1)) == [2, 3]
    assert server.opened == []
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_knows_nothing_of_is_encoded(attempt: Attempt, tmp_path: Path) -> None:
    server = Server(*[ChunkTurn()] * 4)
    assert work(share(attempt, server, Store(tmp_path))) == [2, 3, 0, 1]


def test_a_lost_lease_ends_it(attempt: Attempt, tmp_path: Path) -> None:
    sharing = share(attempt, Server(LeaseLost("no")), Store(tmp_path))
    with pytest.raises(LeaseLost):
        sharing.next()


def test_it_waits_no_longer_than_it_may(attempt: Attempt, tmp_path: Path) -> None:
    sharing = share(attempt, Server(ChunkTurn(elsewhere=(0, 1, 2, 3))), Store(tmp_path))
    attempt.cancel.cancel(Cancelled("the job was cancelled"))
    with pytest.raises(Cancelled):
        sharing.next()


def test_a_mark_is_known_where_it_was_left_only(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here, there = (ChunkStore(bytes(tmp_path / name), KEY) for name in ("here", "there"))
    mark = here.mark()
    there.mark()
    assert here.has_mark(mark)
    assert not there.has_mark(mark)
    assert not here.has_mark("../../../etc/passwd")
    assert not ChunkStore(bytes(tmp_path / "nowhere"), KEY).has_mark(mark)
    here.remove()
    assert not here.has_mark(mark)

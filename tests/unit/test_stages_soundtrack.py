"""The thread that encodes a film's sound beside its chunks: when it begins, and that it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from fixtures_flows import make_attempt
from fixtures_planning import audio_stream, media_info, proved, video_stream
from fixtures_shared_films import KEY

from darkstream.errors import Cancelled, IndexDiffers, NodePaused, StorageFull
from darkstream.library.identity import stat_hint
from darkstream.media.decoding import Decoder
from darkstream.media.sandbox import Sandbox
from darkstream.model.encoded import ChunkFile, EncodedSoundtrack, StreamTally
from darkstream.model.plan import EncodePlan
from darkstream.model.source import SourceFile
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.stages import soundtrack as stages
from darkstream.stages.attempt import Attempt
from darkstream.stages.soundtrack import soundtrack_beside
from darkstream.storage.chunks import ChunkStore

Encode = Callable[..., EncodedSoundtrack | None]


def plan_of(**sound: Any) -> EncodePlan:
    media = media_info(video_stream(codec="mpeg4"), audio_stream(codec="mp3", **sound))
    plan = make_plan(media, load_preset("web"), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    return plan


def encode(_plan: EncodePlan, _source: bytes, work: bytes, _decoder: Decoder) -> EncodedSoundtrack:
    directory = Path(work.decode())
    directory.mkdir()
    (directory / "sound.mp4").write_bytes(b"sound")
    file = ChunkFile(name="sound.mp4", size=5, blake3=blake3(b"sound").hexdigest())
    tally = StreamTally(index=1, kind="audio", packets=9, frames=9, errors=0)
    return EncodedSoundtrack(
        files=(file,), sources=(tally,), gains=(), command="ffmpeg", wall_s=1, cpu_s=1
    )


class Film:
    """An attempt at a film, its store, and how often its sound was encoded."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.source = bytes(directory / "film.avi")
        (directory / "film.avi").write_bytes(b"film")
        (directory / "work").mkdir()
        self.store = ChunkStore(bytes(directory / "out"), KEY)
        self.attempt = self.begin()
        self.encoded = 0
        self.how: Encode = encode
        monkeypatch.setattr(stages, "encode_soundtrack", self._encode)

    def begin(self) -> Attempt:
        attempt = make_attempt()
        attempt.tools.__dict__["capabilities"] = proved()
        attempt.tools.__dict__["sandbox"] = Sandbox("rlimits")
        hint = stat_hint(self.source)
        attempt.source = SourceFile(path=self.source, hint=hint)
        return attempt

    def beside(self, plan: EncodePlan | None = None) -> Any:
        work = bytes(self.directory / "work")
        return soundtrack_beside(self.attempt, plan or plan_of(), self.store, self.source, work)

    def _encode(self, *given: Any) -> EncodedSoundtrack | None:
        self.encoded += 1
        return self.how(*given)


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Film:
    return Film(tmp_path, monkeypatch)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("soundtrack")]


def test_sound_is_encoded_once_for_all_attempts(film: Film) -> None:
    with film.beside() as waits:
        first = waits()
    film.attempt = film.begin()
    with film.beside() as waits:
        second = waits()
    assert first == second and first is not None
    assert Path(first.path.decode()).read_bytes() == b"sound"
    assert film.encoded == 1
    assert list((film.directory / "work").iterdir()) == [], "it is kept with the chunks"


def test_sound_of_a_film_that_fails_meanwhile_ends_with_it(film: Film) -> None:
    begun = threading.Event()

    def never_end(*given: Any) -> None:
        begun.set()
        token = given[3].cancel
        assert token.wait(60), "nobody ended it"
        token.check()

    film.how = never_end
    with pytest.raises(IndexDiffers, match="other pictures"), film.beside():
        assert begun.wait(10)
        raise IndexDiffers("other pictures")
    assert threads() == []
    assert not film.attempt.cancel.cancelled, "the attempt goes on: in one piece"


def test_an_attempt_that_ends_ends_its_sound(film: Film) -> None:
    def wait(*given: Any) -> None:
        given[3].cancel.wait(60)
        given[3].cancel.check()

    film.how = wait
    with film.beside() as waits:
        film.attempt.cancel.cancel(NodePaused("the node rests"))
        with pytest.raises(NodePaused, match="the node rests"):
            waits()
    with pytest.raises(NodePaused), film.beside() as waits:
        waits()
    assert threads() == []


def test_sound_that_is_damaged_is_left_to_the_rest(film: Film) -> None:
    film.how = lambda *_: None
    with film.beside() as waits:
        assert waits() is None
    assert film.store.find_soundtrack({1}, 1) is None


def test_what_went_wrong_is_heard_by_who_waits(film: Film) -> None:
    def fill(*_: Any) -> None:
        raise StorageFull("no space is left")

    film.how = fill
    with film.beside() as waits, pytest.raises(StorageFull, match="no space"):
        waits()


def test_a_film_without_sound_to_encode_has_no_thread(film: Film) -> None:
    plan = plan_of()
    copied = plan.audio[0].model_copy(update={"encoder": None})
    with film.beside(plan.model_copy(update={"audio": (copied,)})) as waits:
        assert threads() == [] and waits() is None
    assert film.encoded == 0


def test_a_cancelled_attempt_has_no_sound(film: Film) -> None:
    film.attempt.cancel.cancel()
    with film.beside() as waits, pytest.raises(Cancelled):
        waits()

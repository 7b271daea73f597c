"""The thread that encodes a film's sound beside its chunks: when it begins, and that it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import make_attempt
from fixtures_planning import audio_stream, media_info, proved, video_stream
from fixtures_server import wait_until
from fixtures_shared_films import KEY, soundtrack_in

from darkstream.errors import Cancelled, IndexDiffers, NodePaused, StorageFull
from darkstream.library.identity import stat_hint
from darkstream.media.sandbox import Sandbox
from darkstream.model.encoded import EncodedSoundtrack, Gain
from darkstream.model.plan import EncodePlan
from darkstream.model.source import SourceFile
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.stages import soundtrack as stages
from darkstream.stages.attempt import Attempt
from darkstream.stages.soundtrack import SoundBeside, clear_sound
from darkstream.storage.chunks import ChunkStore

Encode = Callable[..., EncodedSoundtrack | None]


def plan_of(**sound: Any) -> EncodePlan:
    media = media_info(video_stream(codec="mpeg4"), audio_stream(codec="mp3", **sound))
    plan = make_plan(media, load_preset("web"), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    return plan


def encode(_plan: EncodePlan, _source: bytes, work: bytes, _decoder: Any) -> EncodedSoundtrack:
    return soundtrack_in(Path(work.decode()))


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

    def beside(self, plan: EncodePlan | None = None) -> SoundBeside:
        work = bytes(self.directory / "work")
        return SoundBeside(self.attempt, plan or plan_of(), self.store, self.source, work)

    def _encode(self, *given: Any) -> EncodedSoundtrack | None:
        self.encoded += 1
        return self.how(*given)


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Film:
    return Film(tmp_path, monkeypatch)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("soundtrack")]


def test_sound_is_encoded_once_for_all_attempts(film: Film) -> None:
    with film.beside() as sound:
        first = sound.take()
    film.attempt = film.begin()
    clear_sound(bytes(film.directory / "work"))
    with film.beside() as sound:
        second = sound.take()
    assert first is not None and second is not None
    assert first.made == second.made and (first.found, second.found) == (False, True)
    assert Path(second.path.decode()).read_bytes() == b"sound"
    assert film.encoded == 1
    clear_sound(bytes(film.directory / "work"))
    assert list((film.directory / "work").iterdir()) == []


@pytest.mark.parametrize(
    "unfit",
    [
        {"tracks": (1,)},
        {"packets": (0,)},
        {"packets": (9, 9)},
        {"sources": ()},
        {"gains": (None,)},
        {"gains": (Gain(integrated=-9, true_peak=0, gain_db=9),)},
    ],
    ids=["other", "empty", "more", "unread", "loudness", "gain"],
)
def test_sound_of_another_plan_is_not_believed(film: Film, unfit: dict[str, object]) -> None:
    work = film.directory / "work"
    film.store.keep(bytes(work), encode(plan_of(), b"", bytes(work), None).model_copy(update=unfit))
    with film.beside() as sound:
        made = sound.take()
    assert made is not None and not made.found and film.encoded == 1


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
    with film.beside() as sound:
        film.attempt.cancel.cancel(NodePaused("the node rests"))
        with pytest.raises(NodePaused, match="the node rests"):
            sound.take()
    with pytest.raises(NodePaused), film.beside() as sound:
        sound.take()
    assert threads() == []


def test_sound_that_is_damaged_is_left_to_the_rest(film: Film) -> None:
    film.how = lambda *_: None
    with film.beside() as sound:
        assert sound.take() is None
    assert not Path(film.store.path.decode()).exists(), "nothing of it is kept"


def test_what_went_wrong_is_heard_by_who_waits(film: Film) -> None:
    def fill(*_: Any) -> None:
        raise StorageFull("no space is left")

    film.how = fill
    with film.beside() as sound, pytest.raises(StorageFull, match="no space"):
        sound.take()
    with pytest.raises(StorageFull, match="no space"), film.beside() as sound:
        wait_until(lambda: sound.check() or False, "the failure")


def test_a_failure_that_nobody_waits_for_is_logged(
    film: Film, caplog: pytest.LogCaptureFixture
) -> None:
    ready = threading.Event()

    def fill(*_: Any) -> None:
        ready.set()
        raise StorageFull("no space is left")

    film.how = fill
    with film.beside():
        ready.wait(10)
    assert "soundtrack_failed" in caplog.text


def test_a_film_without_sound_to_encode_has_no_thread(film: Film) -> None:
    plan = plan_of()
    copied = plan.audio[0].model_copy(update={"encoder": None})
    with film.beside(plan.model_copy(update={"audio": (copied,)})) as sound:
        assert threads() == [] and sound.take() is None
    assert film.encoded == 0


def test_a_cancelled_attempt_has_no_sound(film: Film) -> None:
    film.attempt.cancel.cancel()
    with film.beside() as sound, pytest.raises(Cancelled):
        sound.take()

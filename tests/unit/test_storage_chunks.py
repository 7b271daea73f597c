from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from blake3 import blake3
from fixtures_shared_films import soundtrack_in
from pydantic import ValidationError

from darkstream.errors import Cancelled, StorageError, StorageFull
from darkstream.model.base import ContentId, Fingerprint
from darkstream.model.encoded import ChunkFile, EncodedChunk, EncodedSoundtrack, StreamTally
from darkstream.model.job import ContentKey
from darkstream.model.plan import Chunk
from darkstream.observe.cancel import CancelToken
from darkstream.storage import chunks
from darkstream.storage.chunks import HOME, ChunkStore, reap_chunks
from darkstream.storage.destination import Destination

CHUNKS = [Chunk(index=n, pictures=1, begin=n, end=n + 1, seek=None) for n in range(4)]
KEY = ContentKey(content=ContentId("c" * 64), fingerprint=Fingerprint("f" * 64))


def chunk(directory: Path, index: int, data: bytes = b"pictures") -> EncodedChunk:
    directory.mkdir(exist_ok=True)
    (directory / "0.mp4").write_bytes(data)
    file = ChunkFile(name="0.mp4", size=len(data), blake3=blake3(data).hexdigest())
    tally = StreamTally(index=0, kind="video", packets=1, frames=1, errors=0)
    return EncodedChunk(
        index=index, files=(file,), source=tally, command="ffmpeg", wall_s=1.0, cpu_s=1.0
    )


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(os.fsencode(tmp_path / "out"), KEY)


def found(store: ChunkStore) -> dict[int, EncodedChunk]:
    return store.find(CHUNKS, 1)


def keep(store: ChunkStore, work: Path, index: int) -> EncodedChunk:
    return store.keep(os.fsencode(work), chunk(work, index))


def test_what_was_kept_is_found_by_whoever_looks(store: ChunkStore, tmp_path: Path) -> None:
    assert found(store) == {}
    kept = [keep(store, tmp_path / "work", index) for index in (3, 1)]
    assert found(store) == {3: kept[0], 1: kept[1]}
    (path,) = store.paths(kept[0])
    assert Path(os.fsdecode(path)).read_bytes() == b"pictures"
    other = ContentKey(content=KEY.content, fingerprint=Fingerprint("0" * 64))
    assert found(ChunkStore(os.fsencode(tmp_path / "out"), other)) == {}


def test_two_workers_may_keep_the_same_chunk(store: ChunkStore, tmp_path: Path) -> None:
    kept = [keep(store, tmp_path / "work", 1) for _ in range(2)]
    assert kept[0].files != kept[1].files
    assert found(store)[1] in kept


@pytest.mark.parametrize("harm", ["shorter", "other", "gone", "no record", "half a record"])
def test_a_chunk_that_is_not_whole_is_none(store: ChunkStore, tmp_path: Path, harm: str) -> None:
    kept = keep(store, tmp_path / "work", 1)
    path = Path(os.fsdecode(store.paths(kept)[0]))
    (record,) = path.parent.glob("*.json")
    if harm == "shorter":
        path.write_bytes(b"pict")
    elif harm == "other":
        path.write_bytes(b"PICTURES")
    elif harm == "gone":
        path.unlink()
    elif harm == "no record":
        record.unlink()
    else:
        record.write_bytes(record.read_bytes()[:40])
    assert found(store) == {}


def test_a_disk_that_does_not_keep_what_is_written_is_told(
    store: ChunkStore, tmp_path: Path
) -> None:
    lying = chunk(tmp_path / "work", 1)
    (tmp_path / "work" / "0.mp4").write_bytes(b"something")
    with pytest.raises(StorageError, match="not what was written"):
        store.keep(os.fsencode(tmp_path / "work"), lying)
    assert found(store) == {}


def test_a_destination_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    store = ChunkStore(os.fsencode(tmp_path / "out"), KEY)
    with pytest.raises(StorageError, match="something of that name is in the way"):
        keep(store, tmp_path / "work", 1)


def test_looking_ends_when_the_job_is_cancelled(store: ChunkStore, tmp_path: Path) -> None:
    keep(store, tmp_path / "work", 1)
    token = CancelToken()
    token.cancel(Cancelled("enough"))
    with pytest.raises(Cancelled):
        store.find(CHUNKS, 1, token)


def test_nothing_stays_of_what_is_removed(store: ChunkStore, tmp_path: Path) -> None:
    keep(store, tmp_path / "work", 1)
    store.remove()
    assert os.listdir(tmp_path / "out") == []
    store.remove()


def test_the_reaper_takes_what_nobody_added_to(store: ChunkStore, tmp_path: Path) -> None:
    destination = os.fsencode(tmp_path / "out")
    assert reap_chunks(destination, 60) == ()
    keep(store, tmp_path / "work", 1)
    assert reap_chunks(destination, 60) == ()
    long_ago = time.time() - 3600
    os.utime(store.path, (long_ago, long_ago))
    assert reap_chunks(destination, 60) == (store.path,)
    assert not (tmp_path / "out" / os.fsdecode(HOME)).exists()


@pytest.mark.parametrize("harm", ["fifo", "large", "other chunk", "more files", "more pictures"])
def test_of_a_record_only_what_the_plan_expects_is_believed(
    store: ChunkStore, tmp_path: Path, harm: str
) -> None:
    kept = keep(store, tmp_path / "work", 1)
    path = Path(os.fsdecode(store.path)) / "0000000000000000.json"
    (record,) = path.parent.glob("*.json")
    record.unlink()
    tally = kept.source.model_copy(update={"frames": 9})
    changes: dict[str, dict[str, object]] = {
        "other chunk": {"index": 99},
        "more files": {"files": kept.files * 2},
        "more pictures": {"source": tally},
    }
    if harm == "fifo":
        os.mkfifo(path)
    elif harm == "large":
        path.write_text(kept.model_dump_json() + " " * 300_000)
    else:
        path.write_text(kept.model_copy(update=changes[harm]).model_dump_json())
    assert found(store) == {}


@pytest.mark.parametrize("name", ["/etc/hostname", "../../x", "..", "", "a/b"])
def test_a_file_of_a_chunk_lies_beside_its_record(name: str) -> None:
    with pytest.raises(ValidationError):
        ChunkFile(name=name, size=1, blake3="0")


def test_links_are_not_followed(store: ChunkStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    precious = victim / ("0" * 16 + "-" + "0" * 16)
    precious.mkdir(parents=True)
    os.utime(precious, (1, 1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / os.fsdecode(HOME)).symlink_to(victim)
    assert reap_chunks(os.fsencode(tmp_path / "out"), 60) == ()
    store.remove()
    with pytest.raises(StorageError, match="link"):
        keep(store, tmp_path / "work", 1)
    with pytest.raises(StorageError, match="link"):
        found(store)
    assert precious.is_dir() and os.listdir(victim) == [precious.name]


def test_the_reaper_leaves_what_is_not_ours(store: ChunkStore, tmp_path: Path) -> None:
    keep(store, tmp_path / "work", 1)
    other = tmp_path / "out" / os.fsdecode(HOME) / "notes"
    other.mkdir()
    for path in (other, Path(os.fsdecode(store.path))):
        os.utime(path, (1, 1))
    assert reap_chunks(os.fsencode(tmp_path / "out"), 60) == (store.path,)
    assert other.is_dir()


def test_who_looks_into_a_store_keeps_it(store: ChunkStore, tmp_path: Path) -> None:
    keep(store, tmp_path / "work", 1)
    os.utime(store.path, (1, 1))
    assert list(found(store)) == [1]
    assert reap_chunks(os.fsencode(tmp_path / "out"), 60) == ()


def test_what_cannot_be_kept_leaves_nothing(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(chunks, "copy_range", full)
    with pytest.raises(StorageFull, match="no space left"):
        keep(store, tmp_path / "work", 1)
    assert os.listdir(store.path) == []


def test_a_home_that_another_film_removes_is_made_again(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Destination.directory, []

    def vanish(opened: Destination, relative: bytes) -> int:
        if relative == os.path.join(HOME, os.path.basename(store.path)) and not seen:
            seen.append(relative)
            raise StorageError("it is gone") from FileNotFoundError()
        return real(opened, relative)

    monkeypatch.setattr(Destination, "directory", vanish)
    assert found_after(store, tmp_path) == [1] and seen


def found_after(store: ChunkStore, tmp_path: Path) -> list[int]:
    keep(store, tmp_path / "work", 1)
    return list(found(store))


def fetch(store: ChunkStore, to: Path, fits: bool = True) -> EncodedSoundtrack | None:
    return store.fetch_soundtrack(os.fsencode(to), lambda _: fits)


def test_the_sound_of_a_film_is_kept_beside_its_chunks(store: ChunkStore, tmp_path: Path) -> None:
    assert fetch(store, tmp_path / "mine") is None
    kept = store.keep(os.fsencode(tmp_path / "work"), soundtrack_in(tmp_path / "work"))
    one = keep(store, tmp_path / "work", 1)
    assert fetch(store, tmp_path / "mine") == kept
    assert (tmp_path / "mine").read_bytes() == b"sound"
    assert found(store) == {1: one}, "each is looked for alone"
    assert fetch(store, tmp_path / "mine", fits=False) is None
    store.remove()
    assert fetch(store, tmp_path / "mine") is None


@pytest.mark.parametrize("harm", ["cut", "gone", "link", "directory", "record"])
def test_sound_that_is_not_whole_is_none(store: ChunkStore, tmp_path: Path, harm: str) -> None:
    kept = store.keep(os.fsencode(tmp_path / "work"), soundtrack_in(tmp_path / "work"))
    path = Path(os.fsdecode(store.path)) / kept.files[0].name
    if harm == "cut":
        path.write_bytes(b"soun")
    elif harm == "record":
        (record,) = path.parent.glob("sound-*.json")
        record.write_text('{"files": []}')
    else:
        path.unlink()
    if harm == "link":
        (tmp_path / "other").write_bytes(b"sound")
        path.symlink_to(tmp_path / "other")
    elif harm == "directory":
        path.mkdir()
    assert fetch(store, tmp_path / "mine") is None


def test_of_two_soundtracks_the_one_that_is_whole_is_taken(
    store: ChunkStore, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    kept = [store.keep(os.fsencode(work), soundtrack_in(work)) for _ in range(2)]
    first = min((one.files[0].name, one) for one in kept)[1]
    (Path(os.fsdecode(store.path)) / first.files[0].name).unlink()
    got = fetch(store, tmp_path / "mine")
    assert got in kept and got != first


def break_copies(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(chunks, "copy_range", fail)


def test_a_full_work_directory_is_told_when_sound_is_fetched(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep(os.fsencode(tmp_path / "work"), soundtrack_in(tmp_path / "work"))
    (tmp_path / "mine").mkdir()
    break_copies(monkeypatch, errno.ENOSPC)
    with pytest.raises(StorageFull, match="/mine"):
        fetch(store, tmp_path / "mine" / "sound.mp4")


def test_sound_that_a_dying_disk_does_not_give_is_encoded_anew(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep(os.fsencode(tmp_path / "work"), soundtrack_in(tmp_path / "work"))
    break_copies(monkeypatch, errno.EIO)
    assert fetch(store, tmp_path / "mine") is None


def test_a_work_directory_that_is_gone_is_told(store: ChunkStore, tmp_path: Path) -> None:
    store.keep(os.fsencode(tmp_path / "work"), soundtrack_in(tmp_path / "work"))
    with pytest.raises(StorageError, match="gone"):
        fetch(store, tmp_path / "gone" / "mine")

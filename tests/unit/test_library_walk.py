"""The walk: order, digests, what is met and what is left out with which reason."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from fixtures_library import count_opens, scan_order

from darkstream.errors import Cancelled, NoSuchPath, SourceUnreadable
from darkstream.library import directory as directory_module
from darkstream.library.identity import stat_hint
from darkstream.library.irregular import Irregular
from darkstream.library.walk import Differs, Same, Walk
from darkstream.model.library import DirectoryDigest, ScanOrder
from darkstream.observe.cancel import CancelToken


def touch(path: Path | bytes, content: bytes = b"x") -> None:
    parent = os.path.dirname(os.fsencode(path))
    os.makedirs(parent, exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def entries(order: ScanOrder) -> list[bytes]:
    return [
        os.path.join(met.listing.path, entry.name)
        for met in Walk(order)
        if isinstance(met, Differs)
        for entry in met.listing.entries
    ]


def reasons(order: ScanOrder) -> dict[bytes, str]:
    return {met.path: met.reason for met in Walk(order) if isinstance(met, Irregular)}


def digests(order: ScanOrder) -> list[DirectoryDigest]:
    return [
        DirectoryDigest(path=met.listing.path, digest=met.listing.digest)
        for met in Walk(order)
        if isinstance(met, Differs)
    ]


def test_directories_come_in_path_order_and_entries_in_name_order(root: Path) -> None:
    for name in ("b.mkv", "a.mkv", "a-c/1.mkv", "a/b/2.mkv", "a/1.mkv", "a0/3.mkv"):
        touch(root / name)
    found = entries(scan_order(root))
    assert found == [
        b"a.mkv",
        b"b.mkv",
        b"a-c/1.mkv",
        b"a/1.mkv",
        b"a/b/2.mkv",
        b"a0/3.mkv",
    ]


def test_counts_and_hints(root: Path) -> None:
    touch(root / "film.mkv", b"12345")
    touch(root / "notes.txt")
    touch(root / ".hidden.mkv")
    touch(root / ".darkstream-1-2-0.part")
    touch(root / ".git" / "a.mkv")
    walk = Walk(scan_order(root))
    (met,) = list(walk)
    assert isinstance(met, Differs)
    (entry,) = met.listing.entries
    stat = (root / "film.mkv").stat()
    assert entry.name == b"film.mkv"
    assert entry.hint.size == 5
    assert entry.hint.mtime_ns == stat.st_mtime_ns
    assert entry.hint.ctime_ns == stat.st_ctime_ns
    assert entry.hint.inode == stat.st_ino
    assert (walk.met, walk.ignored, walk.unchanged) == (1, 3, 0)


def test_an_unchanged_library_is_the_same(root: Path) -> None:
    for name in ("a.mkv", "one/b.mkv", "one/two/c.mkv", "empty/notes.txt"):
        touch(root / name)
    known = digests(scan_order(root))
    walk = Walk(scan_order(root, known=known))
    met = list(walk)
    assert met == [Same(b"", 1), Same(b"empty", 0), Same(b"one", 1), Same(b"one/two", 1)]
    assert (walk.met, walk.unchanged, walk.vanished) == (3, 3, ())


@pytest.mark.parametrize("change", ["add", "remove", "write", "rename", "replace", "chmod"])
def test_a_touched_directory_differs_and_no_other(root: Path, change: str) -> None:
    touch(root / "still" / "a.mkv")
    touch(root / "touched" / "a.mkv")
    touch(root / "touched" / "b.mkv")
    known = digests(scan_order(root))
    target = root / "touched" / "a.mkv"
    match change:
        case "add":
            touch(root / "touched" / "c.mkv")
        case "remove":
            target.unlink()
        case "write":
            target.write_bytes(b"y")
        case "rename":
            target.rename(root / "touched" / "0.mkv")
        case "replace":
            touch(root / "new.txt")
            os.utime(root / "new.txt", ns=(target.stat().st_atime_ns, target.stat().st_mtime_ns))
            (root / "new.txt").rename(target)
        case "chmod":
            target.chmod(0o600)
    met = list(Walk(scan_order(root, known=known)))
    assert [one.listing.path for one in met if isinstance(one, Differs)] == [b"touched"]
    assert [one.path for one in met if isinstance(one, Same)] == [b"", b"still"]


def test_files_that_the_filters_leave_out_do_not_change_the_digest(root: Path) -> None:
    touch(root / "a.mkv")
    known = digests(scan_order(root))
    touch(root / "a.nfo")
    assert list(Walk(scan_order(root, known=known))) == [Same(b"", 1)]


def test_directories_that_are_gone_are_named(root: Path) -> None:
    for name in ("a/1.mkv", "a/b/1.mkv", "c/1.mkv"):
        touch(root / name)
    known = digests(scan_order(root))
    shutil.rmtree(root / "a")
    walk = Walk(scan_order(root, known=known))
    list(walk)
    assert walk.vanished == (b"a", b"a/b")


def test_a_directory_that_became_empty_differs(root: Path) -> None:
    touch(root / "a" / "1.mkv")
    touch(root / "b.mkv")
    known = digests(scan_order(root))
    (root / "a" / "1.mkv").unlink()
    met = list(Walk(scan_order(root, known=known)))
    (differs,) = (one for one in met if isinstance(one, Differs))
    assert differs.listing.path == b"a"
    assert differs.listing.entries == ()


def test_special_files_and_links_get_a_reason(root: Path, tmp_path: Path) -> None:
    touch(root / "film.mkv")
    touch(root / "in.mp4" / "inner.mkv")
    touch(root / ".store" / "object.mkv")
    touch(tmp_path / "elsewhere.mkv")
    (tmp_path / "outside").mkdir()
    os.mkfifo(root / "pipe.mkv")
    os.mkfifo(root / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.getcwd()
        os.chdir(root)
        try:
            unix.bind("socket.mkv")
        finally:
            os.chdir(here)
    links = {
        "dangling.mkv": "nowhere.mkv",
        "dangling.txt": "nowhere.txt",
        "loop.mkv": "loop.mkv",
        "out.mkv": str(tmp_path / "elsewhere.mkv"),
        "up.mkv": "../elsewhere.mkv",
        "in.mkv": "film.mkv",
        "text.mkv": ".store/object.mkv",
        "topipe.mkv": "pipe.mkv",
        "more": str(tmp_path / "outside"),
    }
    for name, target in links.items():
        os.symlink(target, root / name)
    found = reasons(scan_order(root))
    expected = {
        b"pipe.mkv": "a named pipe",
        b"socket.mkv": "a socket",
        b"in.mp4": "a directory, though",
        b"dangling.mkv": "a link to nowhere.mkv, which does not exist",
        b"loop.mkv": "leads back to itself",
        b"out.mkv": "outside the library",
        b"up.mkv": "outside the library",
        b"in.mkv": "a link to film.mkv, which is converted under its own name",
        b"text.mkv": "which the library leaves out",
        b"topipe.mkv": "a link to a named pipe",
        b"more": "links to directories are not followed",
    }
    assert set(found) == set(expected)
    for name, words in expected.items():
        assert words in found[name]
    assert entries(scan_order(root)) == [b"film.mkv", b"in.mp4/inner.mkv"]
    assert list(found) == sorted(found)


def test_devices_get_a_reason(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    os.mknod(root / "null.mkv", 0o600 | 0o020000, os.makedev(1, 3))
    assert "a character device" in reasons(scan_order(root))[b"null.mkv"]


def test_a_line_of_an_entry_without_a_valid_name(root: Path) -> None:
    name = b"bad\xff.mkv"
    os.mkfifo(os.fsencode(root) + b"/" + name)
    os.mkfifo(root / "two\nlines.mkv")
    bad, lines = (met for met in Walk(scan_order(root)) if isinstance(met, Irregular))
    line = bad.line()
    assert line.source == "bad\\xff.mkv"
    assert line.source_b64 is not None
    assert base64.b64decode(line.source_b64) == name
    assert (line.decision, line.status, line.job) == ("skip", "skipped", None)
    assert lines.line().source == "two\nlines.mkv"
    assert lines.line().source_b64 is None


def test_odd_names_are_met(root: Path) -> None:
    names = [b"\xff\xfe.mkv", b"new\nline.mkv", b"x" * 251 + b".mkv", b"-rf.mkv", b"a'b\"c $x.mkv"]
    for name in names:
        touch(os.fsencode(root) + b"/d\xe9/" + name)
    assert entries(scan_order(root)) == sorted(b"d\xe9/" + name for name in names)


def test_a_tree_deeper_than_a_path_may_be(root: Path) -> None:
    """Every directory is walked; a file beyond the limit is a line that says so."""
    component = b"d" * 200
    depth = 30
    descriptor = os.open(root, os.O_RDONLY)
    try:
        for level in range(depth):
            os.mkdir(component, dir_fd=descriptor)
            below = os.open(component, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            os.close(os.open(b"%02d.mkv" % level, os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        walk = Walk(scan_order(root))
        met = list(walk)
    finally:
        os.close(descriptor)
        shutil.rmtree(root)
    too_long = [one for one in met if isinstance(one, Irregular)]
    assert len([one for one in met if isinstance(one, Differs)]) == depth + 1
    assert walk.met + len(too_long) == depth
    assert too_long
    assert all("4095" in one.reason and one.unreadable for one in too_long)
    assert min(len(os.fsencode(root) + b"/" + one.path) for one in too_long) > 4095


def test_the_destination_in_the_library_holds_no_sources(root: Path) -> None:
    touch(root / "film.mkv")
    touch(root / "out" / "film.mp4")
    os.symlink("out/film.mp4", root / "link.mp4")
    order = scan_order(root, root / "out")
    assert entries(order) == [b"film.mkv"]
    assert "which the library leaves out" in reasons(order)[b"link.mp4"]


def test_the_destination_is_known_by_any_name(root: Path, tmp_path: Path) -> None:
    touch(root / "film.mkv")
    touch(root / "out" / "film.mp4")
    os.symlink(root / "out", tmp_path / "alias")
    assert entries(scan_order(root, tmp_path / "alias")) == [b"film.mkv"]


def test_a_library_may_be_its_own_destination(root: Path) -> None:
    touch(root / "film.mkv")
    assert entries(scan_order(root, root)) == [b"film.mkv"]


def test_a_root_that_is_a_link_is_followed(root: Path, tmp_path: Path) -> None:
    touch(root / "film.mkv")
    os.symlink("film.mkv", root / "same.mkv")
    os.symlink(root, tmp_path / "alias")
    order = scan_order(tmp_path / "alias")
    assert entries(order) == [b"film.mkv"]
    assert "converted under its own name" in reasons(order)[b"same.mkv"]


def test_excluded_trees_are_not_read(root: Path) -> None:
    touch(root / "samples" / "deep" / "a.mkv")
    touch(root / "b.mkv")
    walk = Walk(scan_order(root, exclude=("samples/**",)))
    assert [met.listing.path for met in walk if isinstance(met, Differs)] == [b""]


def test_an_unreadable_directory_is_a_line_and_has_not_vanished(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(root / "shut" / "a.mkv")
    touch(root / "shut" / "inner" / "b.mkv")
    touch(root / "z.mkv")
    touch(root / "zz" / "y.mkv")
    known = digests(scan_order(root))
    real = directory_module.open_directory

    def refuse(top: int, path: bytes) -> int:
        if path == b"shut":
            raise PermissionError(13, "Permission denied")
        return real(top, path)

    monkeypatch.setattr("darkstream.library.walk.open_directory", refuse)
    walk = Walk(scan_order(root, known=known))
    met = list(walk)
    (line,) = (one for one in met if isinstance(one, Irregular))
    assert line.path == b"shut"
    assert "permission denied; give the user that runs the worker read access" in line.reason
    assert [one.path for one in met if isinstance(one, Same)] == [b"", b"zz"]
    assert walk.vanished == ()


def test_an_unreadable_directory_for_nobody(root: Path) -> None:
    """The same with the kernel's own refusal, in a child that is nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    touch(root / "shut" / "a.mkv")
    touch(root / "z.mkv")
    for path in (root, *root.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    (root / "shut").chmod(0o700)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            walk = Walk(scan_order(root))
            said = "\n".join(one.reason for one in walk if isinstance(one, Irregular))
            os.write(writer, f"{walk.met} {said}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert said.startswith("1 the directory cannot be read: permission denied")


def test_a_directory_that_vanishes_in_the_middle_is_only_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(root / "a" / "1.mkv")
    touch(root / "b" / "1.mkv")
    known = digests(scan_order(root))
    walk = Walk(scan_order(root, known=known))
    met = iter(walk)
    assert next(met) == Same(b"", 0)
    shutil.rmtree(root / "b")
    assert [one.path for one in met if isinstance(one, Same)] == [b"a"]
    assert walk.vanished == (b"b",)


def test_a_file_that_vanishes_between_listing_and_stat_is_a_line(root: Path) -> None:
    contents = directory_module.Contents()

    class Gone:
        name = "film.mkv"

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            return False

        def is_file(self, *, follow_symlinks: bool) -> bool:
            return True

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise FileNotFoundError(2, "No such file or directory")

    admit = Walk(scan_order(root))._filter
    directory_module._sort_in(contents, Gone(), b"", admit)  # type: ignore[arg-type]
    assert contents.rows == []
    assert contents.gone == [b"film.mkv"]


def test_no_file_is_opened(root: Path) -> None:
    touch(root / "film.mkv")
    touch(root / "series" / "1.mkv")
    os.mkfifo(root / "pipe.mkv")
    with count_opens(root) as opened:
        known = digests(scan_order(root))
        list(Walk(scan_order(root, known=known)))
    assert opened == []
    with count_opens(root) as opened:
        (root / "series" / "1.mkv").read_bytes()
    assert opened == [b"1.mkv"]  # the counter counts


@pytest.mark.parametrize("seconds", [-1, 0, 13_569_465_600])
def test_a_time_of_any_age_is_a_time(root: Path, seconds: int) -> None:
    """Of 1969, of 1970, of 2400: more nanoseconds than fit into 63 bits."""
    touch(root / "film.mkv")
    os.utime(root / "film.mkv", ns=(0, seconds * 10**9))
    (listing,) = (met.listing for met in Walk(scan_order(root)) if isinstance(met, Differs))
    hint = listing.entries[0].hint
    assert hint == stat_hint(os.fsencode(root / "film.mkv"))
    assert -(2**63) <= hint.mtime_ns < 2**63
    known = [DirectoryDigest(path=b"", digest=listing.digest)]
    assert list(Walk(scan_order(root, known=known))) == [Same(b"", 1)]


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPath, match="is its disk mounted"):
        list(Walk(scan_order(tmp_path / "nowhere")))


def test_a_root_that_lost_everything_has_not_vanished(root: Path) -> None:
    known = [DirectoryDigest(path=b"films", digest="0" * 32)]
    with pytest.raises(SourceUnreadable, match="is its disk mounted"):
        list(Walk(scan_order(root, known=known)))


def test_cancel_ends_the_walk(root: Path) -> None:
    touch(root / "a" / "1.mkv")
    cancel = CancelToken()
    walk = iter(Walk(scan_order(root), cancel))
    next(walk)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(walk)

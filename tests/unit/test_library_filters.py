"""What the include and exclude globs let through."""

from __future__ import annotations

import pytest

from darkstream.errors import UsageError
from darkstream.library.filters import Filter
from darkstream.model.library import MEDIA_PATTERNS


@pytest.mark.parametrize(
    ("pattern", "directory", "name", "admitted"),
    [
        ("*.mp4", b"", "a.mp4", True),
        ("*.mp4", b"deep/er", "A.MP4", True),
        ("*.MP4", b"", "a.mp4", True),
        ("*.mp4", b"", "a.mp4.txt", False),
        ("*.mp4", b"", "mp4", False),
        ("*", b"x", "anything", True),
        ("film?.*", b"", "film1.mkv", True),
        ("film?.*", b"", "film12.mkv", False),
        ("film[0-9].mkv", b"", "film7.mkv", True),
        ("film[!0-9].mkv", b"", "film7.mkv", False),
        ("film[!0-9].mkv", b"", "filmx.mkv", True),
        ("[odd.mkv", b"", "[odd.mkv", True),
        ("a+b(c).mkv", b"", "a+b(c).mkv", True),
        ("Extras/*.mkv", b"extras", "a.mkv", True),
        ("extras/*.mkv", b"", "a.mkv", False),
        ("extras/*.mkv", b"extras/more", "a.mkv", False),
        ("extras/**", b"extras/more", "a.mkv", True),
        ("/extras/**", b"extras", "a.mkv", True),
        ("./extras/", b"extras/more", "a.mkv", True),
        ("**/extras/*.mkv", b"extras", "a.mkv", True),
        ("**/extras/*.mkv", b"films/one/extras", "a.mkv", True),
        ("**/extras/*.mkv", b"films/one/extras/two", "a.mkv", False),
        ("films/**/cut.mkv", b"films", "cut.mkv", True),
        ("films/**/cut.mkv", b"films/a/b", "cut.mkv", True),
        ("ünïcode*.mkv", b"", "ÜNÏCODE 1.mkv", True),
        ("*.mkv", b"\xff\xfe", "bad\udcff.mkv", True),
        ("\udcff*", b"", "\udcff.mkv", True),
        ("**/x.mkv", b"\xff\xfe", "x.mkv", True),
        ("*.mkv", b"", "new\nline.mkv", True),
        ("new*", b"", "new\nline.mkv", True),
    ],
)
def test_include(pattern: str, directory: bytes, name: str, admitted: bool) -> None:
    assert Filter([pattern]).admits(name, directory) is admitted


def test_exclude_wins() -> None:
    admit = Filter(MEDIA_PATTERNS, ["*-trailer.*", "samples/**"])
    assert admit.admits("film.mkv", b"films")
    assert not admit.admits("film-trailer.mkv", b"films")
    assert not admit.admits("film.mkv", b"Samples/deep")
    assert not admit.admits("notes.txt")


def test_excluded_trees_need_not_be_read() -> None:
    admit = Filter(MEDIA_PATTERNS, ["samples/**", "**/extras/**"])
    assert admit.closes(b"Samples")
    assert admit.closes(b"films/extras")
    assert admit.closes(b"extras")
    assert not admit.closes(b"films")
    assert not Filter(MEDIA_PATTERNS, ["samples/*.mkv"]).closes(b"samples")


def test_a_pattern_that_cannot_be_read_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"\[z-a\]"):
        Filter(["film[z-a].mkv"])

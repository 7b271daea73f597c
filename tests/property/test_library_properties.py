"""What must hold for any name and any tree."""

from __future__ import annotations

import fnmatch
import os
import tempfile

from fixtures_library import scan_order
from hypothesis import given, settings
from hypothesis import strategies as st

from darkstream.library.directory import Row, digest
from darkstream.library.filters import Filter
from darkstream.library.walk import Differs, Same, Walk
from darkstream.model.job import ReportLine
from darkstream.model.library import DirectoryDigest
from darkstream.model.source import fit

NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"/" not in name and b"\0" not in name and not name.startswith(b".")
)
NUMBERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
ROWS = st.lists(st.tuples(NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=8)


@given(st.text("abAB.*?[]!x", max_size=8), st.text("abAB.x", min_size=1, max_size=8))
def test_a_pattern_without_double_stars_is_what_fnmatch_says(pattern: str, name: str) -> None:
    if "**" in pattern or "[" in pattern or not pattern:
        return
    assert Filter([pattern]).admits(name) == fnmatch.fnmatchcase(name.lower(), pattern.lower())


@given(ROWS, ROWS)
def test_equal_digests_mean_equal_rows(one: list[Row], other: list[Row]) -> None:
    one.sort()
    other.sort()
    assert (digest(one) == digest(other)) is (one == other)


@given(st.integers(min_value=-(2**64), max_value=2**64))
def test_any_number_of_stat_fits_into_a_database(number: int) -> None:
    kept = fit(number)
    assert -(2**63) <= kept < 2**63
    assert (kept - number) % 2**64 == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=4).map(b"/".join), max_size=12))
def test_a_walk_meets_every_file_once_in_path_order_and_then_nothing(paths: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = os.fsencode(temporary)
        made = set()
        for path in paths:
            try:
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "xb"):
                    made.add(path)
            except OSError:
                continue  # a file is where the directory should be, or the other way round
        order = scan_order(root, include=("**",))
        listings = [met.listing for met in Walk(order) if isinstance(met, Differs)]
        directories = [one.path + b"/" for one in listings if one.path]
        assert directories == sorted(directories)
        met = [os.path.join(one.path, entry.name) for one in listings for entry in one.entries]
        assert len(met) == len(set(met))
        assert set(met) == made
        known = [DirectoryDigest(path=one.path, digest=one.digest) for one in listings]
        again = list(Walk(scan_order(root, include=("**",), known=known)))
        # A directory that is called like a film is told each time.
        assert all(isinstance(one, Same | ReportLine) for one in again)

"""Which level of validation sees which damage: the table of docs/validation.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fixtures_damage import CONTAINERS, DAMAGES, damaged
from fixtures_planning import LIMITS, Clips, Walker

from darkstream.errors import SourceRejected
from darkstream.media.decoding import Decoder
from darkstream.media.soundness import check
from darkstream.model.survey import Level
from darkstream.planning import validate

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation.md"
LEVELS: tuple[Level, ...] = ("headers", "quick", "normal", "full")
_REJECTED = "rejected"


def findings(walker: Walker, path: Path, level: Level) -> list[str]:
    """The codes that a level finds in a file."""
    source = os.fsencode(path)
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    try:
        media = walker.prober.probe(source)
        _, found = check(media, source, level, prober=walker.prober, decoder=decoder)
    except SourceRejected:
        return [_REJECTED]
    return [finding.code for finding in (*validate(media).findings, *found)]


def row(walker: Walker, clips: Clips, damage: str, container: str) -> str:
    """A row of the table: what each level finds that those before did not."""
    path = damaged(clips, damage, container)
    if path is None:
        return f"| {damage} | {container} | not possible | | | |"
    seen: set[str] = set()
    cells = []
    for level in LEVELS:
        found = dict.fromkeys(findings(walker, path, level))
        cells.append(", ".join(code for code in found if code not in seen))
        seen |= found.keys()
        if _REJECTED in seen:
            break
    cells += [""] * (len(LEVELS) - len(cells))
    return f"| {damage} | {container} | {' | '.join(cells)} |"


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_level_finds_what_its_documentation_says(
    walker: Walker, clips: Clips, damage: str, container: str
) -> None:
    assert row(walker, clips, damage, container) in DOCUMENT.read_text("utf-8").splitlines()

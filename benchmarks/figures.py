"""Figures as rows of one table: ours, a named peer's, their ratio, and what is wanted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import describe_machine

_COLUMNS = ("", "ours", "peer", "ratio", "noise", "wanted", "met")


@dataclass(frozen=True)
class Figure:
    """One measurement of ours, beside a peer's in the same run where there is one.

    `ratio` is ours to the peer's where less is better, else the same: `at_most` and `at_least` are
    for the ratio, or for `ours` where no peer was named. None: not measured; `note` says why.
    `noise`: half of what lies between the highest and the lowest ratio of the rounds.
    """

    what: str
    ours: float | None
    unit: str
    peer: str = ""
    theirs: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    of: Literal["ratio", "ours"] = "ratio"
    note: str = ""
    noise: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        if self.ours is None or not self.theirs:
            return None
        return self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether it is as wanted; None where nothing is, or nothing was measured."""
        found = self.ratio if self.of == "ratio" else self.ours
        if found is None or (self.at_most is None and self.at_least is None):
            return None
        low = self.at_least is None or found >= self.at_least
        return low and (self.at_most is None or found <= self.at_most)

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        met = {True: "yes", False: "NO", None: ""}[self.met]
        theirs = _amount(self.theirs, self.unit)
        return (
            self.what,
            _amount(self.ours, self.unit),
            f"{theirs} {self.peer}".strip() if self.peer else "",
            "" if self.ratio is None else f"{self.ratio:.3f}",
            "" if self.noise is None else f"±{self.noise:.3f}",
            self._wanted(),
            met or ("missing" if self.ours is None or (self.peer and not self.theirs) else ""),
        )

    def _wanted(self) -> str:
        for sign, limit in (("<=", self.at_most), (">=", self.at_least)):
            if limit is not None:
                return f"{sign} {limit:g}" + (f" {self.unit}" if self.of == "ours" else "")
        return ""


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f} {unit}"


def table(figures: Sequence[Figure]) -> str:
    """All figures, a line each, and what is to be said of them."""
    rows = [_COLUMNS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = []
    for row, note in zip(rows, ["", *(figure.note for figure in figures)], strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"{cells}  {note}".rstrip())
    return "\n".join(lines)


def describe(figures: Sequence[Figure], machine: dict[str, object]) -> dict[str, Any]:
    """The same as JSON, with the machine."""
    rows = [
        {
            **{name: value for name, value in vars(figure).items() if value not in (None, "")},
            "ratio": figure.ratio,
            "met": figure.met,
        }
        for figure in figures
    ]
    return {"machine": machine, "figures": rows}


def run(
    about: str,
    measure: Callable[[argparse.Namespace], list[Figure]],
    add_options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> None:
    """The command line that every benchmark has: measure, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures say little")
    parser.add_argument("--json", type=Path, help="write the figures and the machine there")
    add_options(parser)
    options = parser.parse_args()
    machine = describe_machine()
    figures = measure(options)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(describe(figures, machine), indent=1) + "\n")

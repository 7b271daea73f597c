"""The size budget: a reader takes a file in at once, and a function at a glance."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for room in ("darkstream", "flows", "blocks", "benchmarks")
    for path in (ROOT / room).rglob("*.py")
    if "migrations" not in path.parts  # lists of statements, as long as the schema
)


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def _functions(path: Path) -> dict[str, int]:
    """Lines of each function, without those of its docstring."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                first = node.body[0]
                size -= (first.end_lineno or first.lineno) - first.lineno + 1
            found[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = size
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_and_no_function_is_too_long(path: Path) -> None:
    assert _lines(path) <= 500
    assert {name: size for name, size in _functions(path).items() if size > 60} == {}


def test_most_are_short() -> None:
    assert median(map(_lines, FILES)) <= 150
    assert median(size for path in FILES for size in _functions(path).values()) <= 10


def test_names_say_what_is_in_there() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert [path for path in FILES if vague & set(path.stem.split("_"))] == []

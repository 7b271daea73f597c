"""Which files belong to a library: include and exclude globs, compiled once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from darkstream.errors import UsageError

_PLAIN_SUFFIX = re.compile(r"\*\.([A-Za-z0-9_]+)")


class Filter:
    """Decides by name and path alone, without regard to case.

    A pattern without a slash is held against the name, any other against the path relative to the
    library's root; `**` crosses directories. Names are text as `os.fsdecode` makes it. Raises
    UsageError for a pattern that cannot be read.
    """

    def __init__(self, include: Iterable[str], exclude: Iterable[str] = ()) -> None:
        excluded = tuple(exclude)
        self._include = _Patterns.compile(include)
        self._exclude = _Patterns.compile(excluded)
        whole = (pattern for pattern in map(_anchor, excluded) if pattern.endswith("/**"))
        self._closed = _join([_translate(pattern[:-3].lstrip("/")) for pattern in whole])

    def admits(self, name: str, directory: bytes = b"") -> bool:
        """Whether a file of that name in that directory (relative, '' the root) belongs."""
        return self._include.match(name, directory) and not self._exclude.match(name, directory)

    def closes(self, directory: bytes) -> bool:
        """Whether nothing below that directory can belong, so that it need not be read."""
        return self._closed is not None and bool(self._closed.fullmatch(os.fsdecode(directory)))

    def names(self, name: str) -> bool:
        """Whether an extension that the include patterns spell out ends the name."""
        return _suffix(name) in self._include.suffixes


@dataclass(frozen=True, slots=True)
class _Patterns:
    suffixes: frozenset[str]
    name: re.Pattern[str] | None
    path: re.Pattern[str] | None

    @classmethod
    def compile(cls, patterns: Iterable[str]) -> _Patterns:
        suffixes: set[str] = set()
        names: list[str] = []
        paths: list[str] = []
        for pattern in map(_anchor, patterns):
            if plain := _PLAIN_SUFFIX.fullmatch(pattern):
                suffixes.add(plain[1].lower())
            elif "/" in pattern:
                paths.append(_translate(pattern.lstrip("/")))
            else:
                names.append(_translate(pattern))
        return cls(frozenset(suffixes), _join(names), _join(paths))

    def match(self, name: str, directory: bytes) -> bool:
        if _suffix(name) in self.suffixes:
            return True
        if self.name is not None and self.name.fullmatch(name):
            return True
        if self.path is None:
            return False
        path = f"{os.fsdecode(directory)}/{name}" if directory else name
        return bool(self.path.fullmatch(path))


def _suffix(name: str) -> str | None:
    _, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot else None


def _anchor(pattern: str) -> str:
    pattern = pattern.removeprefix("./")
    return f"{pattern}**" if pattern.endswith("/") else pattern


def _join(expressions: list[str]) -> re.Pattern[str] | None:
    if not expressions:
        return None
    return re.compile("|".join(f"(?:{one})" for one in expressions), re.IGNORECASE | re.DOTALL)


def _translate(glob: str) -> str:
    """A glob as a regular expression."""
    parts: list[str] = []
    rest = glob
    while rest:
        part, rest = _first(rest)
        parts.append(part)
    expression = "".join(parts)
    try:
        re.compile(expression)
    except re.error as error:
        raise UsageError(f"the pattern {glob!r} cannot be read: {error}") from error
    return expression


def _first(glob: str) -> tuple[str, str]:
    """The first element of a glob as a regular expression, and the rest of the glob."""
    if glob.startswith("**/"):
        return "(?:.*/)?", glob[3:]
    if glob.startswith("**"):
        return ".*", glob[2:]
    if glob[0] == "*":
        return "[^/]*", glob[1:]
    if glob[0] == "?":
        return "[^/]", glob[1:]
    end = glob.find("]", 3 if glob.startswith("[!") else 2)
    if glob[0] == "[" and end > 0:
        return _character_set(glob[1:end]), glob[end + 1 :]
    return re.escape(glob[0]), glob[1:]


def _character_set(members: str) -> str:
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members.removeprefix("!"))
    return f"(?!/)[{'^' if members.startswith('!') else ''}{escaped}]"

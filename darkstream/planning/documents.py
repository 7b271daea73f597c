"""Preset documents before they are presets: inheritance, variables, single fields, differences.

All of it works on plain YAML values, and knows no field of a preset.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from darkstream.errors import InvalidPreset, UsageError

Document = dict[str, Any]
Place = Literal["shipped", "yours", "saved"]
"""Whose a preset is: ours, of a directory of yours, or of the catalog."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FIELD = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class Text:
    """One preset file: what is in it, what it is called in errors, and whose it is.

    `trouble` is why it cannot be read.
    """

    text: str
    origin: str
    place: Place
    trouble: str | None = None

    def read(self) -> str:
        """What is in it; raises InvalidPreset."""
        if self.trouble is not None:
            raise InvalidPreset(f"{self.origin}: cannot be read: {self.trouble}")
        return self.text


@dataclass(frozen=True)
class Difference:
    """A field, dotted, with its two values; None: it is not there."""

    field: str
    before: object
    after: object


def read_document(file: Text) -> Document:
    """A YAML mapping; raises InvalidPreset with the line."""
    text, origin = file.read(), file.origin
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise InvalidPreset(f"{origin}:{where} is not YAML: {problem}") from error
    if not isinstance(found, dict):
        raise InvalidPreset(f"{origin}: a preset is a mapping of fields, such as 'name: web'")
    return found


def inherit(
    document: Document, origin: str, known: Mapping[str, Sequence[Text]], line: tuple[Text, ...]
) -> Document:
    """The document over what it `extends`, and so on; `line` are the texts met on the way.

    A preset may extend one of its own name: that is the next one in `known`. Raises InvalidPreset
    for a parent that is unknown, cannot be read, or extends its own child.
    """
    if "extends" not in document:
        return document
    own = {key: value for key, value in document.items() if key != "extends"}
    name = document["extends"]
    if not isinstance(name, str) or name not in known:
        raise InvalidPreset(f"{origin}: extends: {explain_unknown(str(name), sorted(known))}")
    parent = next((text for text in known[name] if text not in line), None)
    if parent is None:
        raise InvalidPreset(f"{origin}: extends: {name} extends this preset itself, in a circle")
    base = inherit(read_document(parent), parent.origin, known, (*line, parent))
    return merge(base, own)


def merge(base: Document, over: Document) -> Document:
    """`over` wins; mappings are merged field by field, lists and single values replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = merge(below, value) if both and below is not None else value
    return merged


def set_fields(document: Document, changes: Sequence[str]) -> Document:
    """The document with `field.of.group=value` set, the values read as YAML; raises UsageError."""
    for change in changes:
        field, separator, text = change.partition("=")
        if not separator or not _FIELD.fullmatch(field):
            raise UsageError(f"{change!r} is no FIELD=VALUE: write for example video.quality=20")
        try:
            value: object = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"{change!r}: the value is not YAML") from error
        for key in reversed(field.split(".")):
            value = {key: value}
        document = merge(document, value if isinstance(value, dict) else {})
    return document


def substitute(document: Document, origin: str) -> Document:
    """The document without `vars`, its `${name}` replaced; raises InvalidPreset.

    A text that is one variable and nothing else takes the variable's type.
    """
    variables = document.get("vars") or {}
    if not isinstance(variables, dict) or any(
        not isinstance(value, str | int | float | bool) for value in variables.values()
    ):
        raise InvalidPreset(f"{origin}: vars: is a mapping of names to single values")
    rest = {key: value for key, value in document.items() if key != "vars"}
    return {key: _replace(value, variables, f"{origin}: {key}") for key, value in rest.items()}


def _replace(value: object, variables: Mapping[str, Any], place: str) -> Any:  # noqa: ANN401 - YAML
    if isinstance(value, dict):
        return {key: _replace(one, variables, f"{place}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_replace(one, variables, f"{place}.{n}") for n, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in variables:
            known = sorted(map(str, variables))
            raise InvalidPreset(f"{place}: {explain_unknown(name, known, 'variable')}")
    if alone := _VARIABLE.fullmatch(value):
        return variables[alone.group(1)]
    return _VARIABLE.sub(lambda found: str(variables[found.group(1)]), value)


def compare(before: Document, after: Document, above: str = "") -> list[Difference]:
    """Every field that differs, in the order of the first document."""
    found: list[Difference] = []
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += compare(old, new, f"{above}{key}.")
        elif old != new:
            found.append(Difference(f"{above}{key}", old, new))
    return found


def explain_unknown(name: str, known: Sequence[str], what: str = "preset") -> str:
    """A sentence that names the nearest, or all."""
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    there = f"there are: {', '.join(known)}" if known else "there are none"
    hint = f"did you mean {' or '.join(near)}?" if near else there
    return f"no {what} is called {name!r}; {hint}"

"""docs/presets.md: how presets are written, the shipped ones, every field."""

from __future__ import annotations

from typing import Any

from darkstream.planning.presets import list_presets, preset_schema

_HEAD = """\
# Presets

A preset says what files become. It is a YAML file named after it, in the directory of
`DARKSTREAM_PRESETS`, or saved with the server (`darkstream preset import`). Made by
`python -m darkstream.planning.reference`.

```yaml
name: tiny                # tiny.yaml
description: As web, but smaller
extends: web              # every field of web that is not named here
vars: {crf: 27}           # values by name ...
video:
  quality: ${crf}         # ... used anywhere, also by presets that extend this one
  max_height: 720
```

Mappings are merged with those of the parent field by field; lists and single values replace them.
A preset may extend one of its own name: the shipped `web` can so be changed for everything that
asks for it. Saved presets come before those of your directory, and these before the shipped ones.
A job keeps the preset it was queued with; a library keeps its own, as it was when it was added:
`darkstream library add … --replace` takes the new one.

```
darkstream preset list                        # all there are
darkstream preset show tiny                   # with all it inherits; --source: as written
darkstream preset new tiny --extends web --set video.quality=27
darkstream preset validate tiny.yaml
darkstream preset diff web tiny               # the fields that differ
darkstream preset import tiny.yaml            # save it with the server; remove forgets it
darkstream preset export tiny --to all.yaml   # one file that needs no other
darkstream preset schema                      # JSON schema, for your editor
darkstream library add films ~/Films --preset web --set video.quality=20 --to ~/Converted
```

`export --block NAME` and `import --block NAME` exchange presets with Prefect blocks.
"""


def describe_presets() -> str:
    """The whole document."""
    shipped = [f"| `{one.name}` | {one.description} |" for one in list_presets()]
    schema = preset_schema()
    groups = {"Preset": schema, **schema["$defs"]}
    tables = [_table(name, one, schema) for name, one in groups.items()]
    return "\n".join(
        [
            _HEAD,
            "## Shipped",
            "",
            "| preset | what it makes |",
            "| --- | --- |",
            *shipped,
            "",
            *tables,
        ]
    )


def _table(name: str, described: dict[str, Any], schema: dict[str, Any]) -> str:
    rows = [
        f"| `{field}` | {_kind(one, schema)} | {_default(one)} | {one.get('description', '')} |"
        for field, one in described["properties"].items()
    ]
    about = described.get("description", "")
    head = ["| field | value | default | what it does |", "| --- | --- | --- | --- |"]
    return "\n".join([f"## {name}", "", about, "", *head, *rows, ""])


def _default(one: dict[str, Any]) -> str:
    if "default" not in one:
        return ""
    value = one["default"]
    return "" if isinstance(value, dict) else f"`{'null' if value is None else value}`"


def _kind(one: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in one:
        return f"[{_name(one)}](#{_name(one).lower()})"
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if options := one.get("anyOf") or one.get("oneOf"):
        kinds = (_kind(option, schema) for option in options if not _is_variable(option))
        return " or ".join(dict.fromkeys(kinds))
    if one.get("type") == "array":
        return f"list of {_kind(one['items'], schema)}" if "items" in one else "list"
    return f"{one.get('type', 'text')}{_limits(one)}"


def _name(one: dict[str, Any]) -> str:
    return str(one["$ref"]).rsplit("/", 1)[-1]


def _is_variable(option: dict[str, Any]) -> bool:
    return str(option.get("pattern", "")).startswith(r"^\$\{")


def _limits(one: dict[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum", one.get("exclusiveMaximum"))
    if low is None and high is None:
        return ""
    return f" {'' if low is None else low}…{'' if high is None else high}"


if __name__ == "__main__":
    import sys

    sys.stdout.write(describe_presets())

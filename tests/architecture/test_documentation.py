"""The documents say what the code does."""

from __future__ import annotations

from pathlib import Path

from darkstream.cli.main import COMMANDS
from darkstream.planning.presets import preset_schema
from darkstream.planning.reference import describe_presets
from darkstream.settings import Settings, describe_settings

ROOT = Path(__file__).parents[2]


def test_every_setting_is_documented() -> None:
    """Regenerate with: python -m darkstream.settings > docs/settings.md"""
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == describe_settings()
    assert "DARKSTREAM_SERVER__PORT" in describe_settings()
    assert Settings.model_config["env_prefix"] == "DARKSTREAM_"


def test_every_field_of_a_preset_is_documented() -> None:
    """Regenerate with: python -m darkstream.planning.reference > docs/presets.md"""
    assert (ROOT / "docs" / "presets.md").read_text("utf-8") == describe_presets()
    assert "`max_bit_rate`" in describe_presets()


def test_the_readme_names_only_commands_there_are() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    lines = [line.split() for line in text.splitlines() if line.startswith("darkstream ")]
    assert lines
    assert {line[1] for line in lines} <= set(COMMANDS)


def test_make_targets_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    targets = {line.split()[1] for line in text.splitlines() if line.startswith("make ")}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert targets == {"demo", "test"}
    assert all(f"\n{target}:" in makefile for target in targets)


def test_every_preset_field_is_described() -> None:
    schema = preset_schema()
    objects = {"Preset": schema, **schema["$defs"]}
    bare = [
        f"{name}.{field}"
        for name, found in objects.items()
        for field, one in found.get("properties", {}).items()
        if not one.get("description") and "$ref" not in str(one)
    ]
    assert bare == []

"""`darkstream presets`: what files can become."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.preset import Preset
    from darkstream.settings import Settings


@click.command("presets")
@click.argument("name", required=False)
@click.option("--schema", is_flag=True, help="Print the JSON schema of preset files.")
def command(name: str | None, schema: bool) -> None:
    """List the presets, or print one as YAML."""
    import json

    import yaml

    from darkstream.cli.session import read_settings
    from darkstream.cli.tables import print_table
    from darkstream.planning.presets import preset_names, preset_schema

    settings = read_settings()
    if schema:
        click.echo(json.dumps(preset_schema(), indent=2))
    elif name is None:
        print_table(("preset", "what it makes"), preset_names(settings.presets).items())
    else:
        preset = find_preset(name, settings)
        click.echo(yaml.safe_dump(preset.model_dump(mode="json"), sort_keys=False), nl=False)


def find_preset(name: str, settings: Settings) -> Preset:
    """The preset of that name, or of that YAML file; raises UnknownPreset or InvalidPreset."""
    from darkstream.planning.presets import load_preset, parse_preset

    if name.endswith((".yaml", ".yml")) and os.path.isfile(name):
        with open(name, encoding="utf-8") as stream:
            return parse_preset(stream.read(), name)
    return load_preset(name, settings.presets)

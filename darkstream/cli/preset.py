"""`darkstream preset`: what files can become, and templates of one's own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from darkstream.errors import NoSuchPath, ServerUnreachable, UsageError

if TYPE_CHECKING:
    from darkstream.model.preset import Preset
    from darkstream.planning.presets import Shelf
    from darkstream.settings import Settings

CHANGES = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field of the preset: video.quality=20 (again for more).",
)


@click.group("preset")
def command() -> None:
    """List, show, make, check and save presets.

    A preset is a name, or a YAML file. Your own are the files of DARKSTREAM_PRESETS; saved ones are
    kept by the server.
    """


@command.command("list")
def list_all() -> None:
    """List the presets, with what each makes."""
    from darkstream.cli.session import read_settings
    from darkstream.cli.tables import print_table
    from darkstream.planning.presets import list_presets

    rows = [
        (one.name, one.place, one.description if one.problem is None else f"! {one.problem}")
        for one in list_presets(find_shelf(read_settings()))
    ]
    print_table(("preset", "whose", "what it makes"), rows)


@command.command()
@click.argument("name")
@CHANGES
@click.option("--source", is_flag=True, help="As it was written, without what it inherits.")
def show(name: str, changes: tuple[str, ...], source: bool) -> None:
    """Print the preset NAME with all it inherits, as YAML."""
    from darkstream.cli.session import read_settings

    settings = read_settings()
    shelf = find_shelf(settings)
    preset = find_preset(name, shelf, changes)
    if source:
        click.echo(_source_of(name, shelf), nl=False)
    else:
        click.echo(_write(preset), nl=False)


@command.command()
@click.argument("name")
@click.option("--extends", default="web", show_default=True, help="The preset it is like.")
@CHANGES
@click.option(
    "--to", "path", type=click.Path(path_type=Path), help="The file.  [default: NAME.yaml]"
)
def new(name: str, extends: str, changes: tuple[str, ...], path: Path | None) -> None:
    """Write a preset NAME into a file that is not there yet."""
    import yaml

    from darkstream.cli.session import read_settings
    from darkstream.planning.documents import set_fields
    from darkstream.planning.presets import parse_preset

    settings = read_settings()
    document = set_fields({"name": name, "description": "", "extends": extends}, changes)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    parse_preset(text, f"preset {name}", find_shelf(settings))
    target = path or (settings.presets or Path()) / f"{name}.yaml"
    _write_new(target, f"# All fields: darkstream preset show {extends}\n{text}")
    click.echo(f"{target} is written: darkstream preset validate {target}")


@command.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_context
def validate(context: click.Context, names: tuple[str, ...]) -> None:
    """Check presets, by name or file; exit code 2 where one cannot be used."""
    from darkstream.cli.session import read_settings

    shelf = find_shelf(read_settings())
    wrong = 0
    for name in names:
        try:
            find_preset(name, shelf)
        except UsageError as error:
            click.echo(f"{name}: {error}", err=True)
            wrong += 1
        else:
            click.echo(f"{name}: good")
    context.exit(UsageError.exit_code if wrong else 0)


@command.command()
@click.argument("before")
@click.argument("after")
def diff(before: str, after: str) -> None:
    """Print the fields in which two presets differ."""
    from darkstream.cli.session import read_settings
    from darkstream.cli.tables import print_table
    from darkstream.planning.documents import compare

    shelf = find_shelf(read_settings())
    old, new = (
        find_preset(name, shelf).model_dump(mode="json", exclude={"name", "description"})
        for name in (before, after)
    )
    rows = [(one.field, _show(one.before), _show(one.after)) for one in compare(old, new)]
    if rows:
        print_table(("field", before, after), rows)
    else:
        click.echo("They make the same.")


@command.command("export")
@click.argument("name")
@click.option("--to", "path", type=click.Path(path_type=Path), help="A new file.  [default: print]")
@click.option("--block", help="Save it as the Prefect block of this name instead.")
def export_one(name: str, path: Path | None, block: str | None) -> None:
    """Write the preset NAME with all it inherits: it needs no other preset where it goes."""
    from darkstream.cli.session import read_settings

    settings = read_settings()
    preset = find_preset(name, find_shelf(settings))
    if block is not None:
        _save_block(preset, block, settings)
        click.echo(f"the block darkstream-preset/{block} is saved")
    elif path is not None:
        _write_new(path, _write(preset))
        click.echo(f"{path} is written")
    else:
        click.echo(_write(preset), nl=False)


@command.command("import")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--block", help="The Prefect block of this name.")
@click.option("--replace", is_flag=True, help="Also where one of that name is saved.")
def import_some(files: tuple[Path, ...], block: str | None, replace: bool) -> None:
    """Save presets with the server, from files or a Prefect block: everybody can use them."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.wire import SavePreset

    settings = read_settings()
    if bool(files) == (block is not None):
        raise UsageError("give FILES, or --block")
    texts = {path.stem: _read(path) for path in files}
    if block is not None:
        texts[block] = _write(_load_block(block, settings))
    with connect(settings) as client:
        for name, text in texts.items():
            client.save_preset(name, SavePreset(text=text, replace=replace))
            click.echo(f"the preset {name} is saved")


@command.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget the saved preset NAME; queued jobs keep theirs."""
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        client.remove_preset(name)
    click.echo(f"the preset {name} is forgotten")


@command.command()
def schema() -> None:
    """Print the JSON schema of preset files, for editors."""
    import json

    from darkstream.planning.presets import preset_schema

    click.echo(json.dumps(preset_schema(), indent=2))


def find_shelf(settings: Settings) -> Shelf:
    """All presets there are: with those the server keeps, where one answers."""
    from darkstream.client.api import Client
    from darkstream.planning.presets import Shelf

    saved: dict[str, str] = {}
    with suppress(ServerUnreachable), Client(settings.server_url) as client:
        saved = {one.name: one.text for one in client.presets() if one.place == "saved"}
    return Shelf(settings.presets, saved)


def find_preset(name: str, shelf: Shelf, changes: tuple[str, ...] = ()) -> Preset:
    """The preset of that name, or of that YAML file; raises UnknownPreset or InvalidPreset."""
    from darkstream.planning.presets import load_preset, parse_preset

    if _is_file(name):
        return parse_preset(_read(Path(name)), name, shelf, changes)
    return load_preset(name, shelf, changes)


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and os.path.isfile(name)


def _source_of(name: str, shelf: Shelf) -> str:
    return _read(Path(name)) if _is_file(name) else shelf.texts()[name][0].read()


def _read(path: Path) -> str:
    from darkstream.planning.presets import read_text

    if not path.exists():
        raise NoSuchPath(f"there is no file {path}")
    return read_text(path).read()


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already: choose another name with --to") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _write(preset: Preset) -> str:
    import yaml

    return str(yaml.safe_dump(preset.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _show(value: Any) -> str:  # noqa: ANN401 - any value of YAML
    import yaml

    return (
        str(yaml.safe_dump(value, default_flow_style=True, width=1000))
        .removesuffix("...\n")
        .strip()
    )


def _save_block(preset: Preset, name: str, settings: Settings) -> None:
    os.environ.setdefault("PREFECT_API_URL", settings.prefect_api_url)
    from blocks.preset import save_preset

    save_preset(preset, name)


def _load_block(name: str, settings: Settings) -> Preset:
    os.environ.setdefault("PREFECT_API_URL", settings.prefect_api_url)
    from blocks.preset import load_preset

    return load_preset(name)

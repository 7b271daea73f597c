"""`darkstream library`: named folders, what belongs to them, what they should become."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from darkstream.errors import NoSuchPath, UsageError

if TYPE_CHECKING:
    from darkstream.model.preset import Preset
    from darkstream.model.wire import AddLibrary


@click.group("library")
def command() -> None:
    """Add, list and remove libraries."""


@command.command("add")
@click.argument("name")
@click.argument("root", type=click.Path(path_type=bytes), required=False)
@click.option("--preset", default=None, help="What the files should become.")
@click.option("--to", "destination", type=click.Path(path_type=bytes), help="Where results go.")
@click.option("--include", multiple=True, help="Only files that match this glob (again for more).")
@click.option("--exclude", multiple=True, help="No files that match this glob (again for more).")
@click.option("--schedule", help="Scan at these times: cron, five fields.")
@click.option("--priority", type=click.IntRange(0, 100), help="Of its jobs.  [default: 50]")
@click.option("--block", help="Take all of it from the Prefect block of this name.")
@click.option("--replace", is_flag=True, help="Change the library of that name if there is one.")
def add(
    name: str,
    root: bytes | None,
    preset: str | None,
    destination: bytes | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    schedule: str | None,
    priority: int | None,
    block: str | None,
    replace: bool,
) -> None:
    """Remember the folder ROOT as library NAME."""
    from darkstream.cli.presets import find_preset
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.paths import display

    settings = read_settings()
    if block is not None:
        if root or preset or destination or include or exclude:
            raise UsageError(
                "--block says it all: only --schedule, --priority and --replace go with it"
            )
        body = _from_block(name, block, settings.prefect_api_url)
    elif root is None or preset is None or destination is None:
        raise UsageError("give ROOT, --preset and --to, or --block")
    else:
        path = os.path.abspath(root)
        if not os.path.isdir(path):
            raise NoSuchPath(f"{display(path)} is not a directory")
        wanted = find_preset(preset, settings)
        body = describe_library(name, path, os.path.abspath(destination), wanted, include, exclude)
    update: dict[str, object] = {"replace": replace}
    update |= {} if schedule is None else {"schedule": schedule}
    update |= {} if priority is None else {"priority": priority}
    with connect(settings) as client:
        library = client.add_library(body.model_copy(update=update))
        click.echo(
            f"library {library.name}: {display(library.root)} -> {display(library.destination)}"
        )


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_libraries(as_json: bool) -> None:
    """List the libraries."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json, print_table
    from darkstream.model.paths import display

    with connect(read_settings()) as client:
        libraries = client.libraries()
    if as_json:
        print_json(libraries)
        return
    print_table(
        ("library", "root", "to", "preset", "schedule"),
        (
            (one.name, display(one.root), display(one.destination), one.preset, one.schedule or "-")
            for one in libraries
        ),
    )


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget the library NAME; no file is touched."""
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        client.remove_library(name)
    click.echo(f"library {name} forgotten; its files and results stay where they are")


def describe_library(
    name: str,
    root: bytes,
    destination: bytes,
    preset: object,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> AddLibrary:
    """The request that adds a library; paths go as text where they are, else as base64."""
    from pydantic import ValidationError

    from darkstream.model.paths import display, split_exact
    from darkstream.model.wire import AddLibrary

    (text, text_b64), (to, to_b64) = split_exact(root), split_exact(destination)
    try:
        return AddLibrary(
            name=name,
            root=text or display(root),
            root_b64=text_b64,
            destination=to or display(destination),
            destination_b64=to_b64,
            preset=_as_preset(preset),
            include=include or None,
            exclude=exclude,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][0]}: {first['msg']} ({name!r})") from error


def _as_preset(preset: object) -> Preset:
    from darkstream.model.preset import Preset

    return Preset.model_validate(preset)


def _from_block(name: str, block: str, api_url: str) -> AddLibrary:
    os.environ.setdefault("PREFECT_API_URL", api_url)
    from blocks.library import load_library

    return load_library(block).to_request(name)

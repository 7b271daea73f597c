"""`darkstream library`: named folders, what belongs to them, what they should become."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from darkstream.cli.preset import CHANGES
from darkstream.errors import NoSuchPath, UsageError

if TYPE_CHECKING:
    from darkstream.model.library import Library
    from darkstream.model.preset import Preset
    from darkstream.model.replacement import InPlace
    from darkstream.model.wire import AddLibrary


@click.group("library")
def command() -> None:
    """Add, list, show and remove libraries."""


@command.command("add")
@click.argument("name")
@click.argument("root", type=click.Path(path_type=bytes), required=False)
@click.option("--preset", default=None, help="What the files should become.")
@CHANGES
@click.option("--to", "destination", type=click.Path(path_type=bytes), help="Where results go.")
@click.option("--include", multiple=True, help="Only files that match this glob (again for more).")
@click.option("--exclude", multiple=True, help="No files that match this glob (again for more).")
@click.option("--schedule", help="Scan at these times: cron, five fields.")
@click.option("--priority", type=click.IntRange(0, 100), help="Of its jobs.  [default: 50]")
@click.option(
    "--in-place",
    is_flag=True,
    help="Have results take the place of their originals, which are kept aside for a while.",
)
@click.option(
    "--approve",
    type=click.Choice(["auto", "ask"]),
    help="With --in-place: ask: each result waits for 'approve' or 'keep'.  [default: auto]",
)
@click.option(
    "--keep-originals",
    metavar="DAYS",
    type=click.IntRange(1, 36_500),
    help="With --in-place: so long an original can be put back.  [default: 30]",
)
@click.option(
    "--hard-links",
    type=click.Choice(["skip", "replace"]),
    help="With --in-place: what is done with files that have other names.  [default: skip]",
)
@click.option(
    "--open-files",
    type=click.Choice(["skip", "replace"]),
    help="With --in-place: and with files that another program holds open.  [default: skip]",
)
@click.option(
    "--mtime",
    type=click.Choice(["keep", "now"]),
    help="With --in-place: the time of a result's last change.  [default: keep]",
)
@click.option("--block", help="Take all of it from the Prefect block of this name.")
@click.option("--replace", is_flag=True, help="Change the library of that name if there is one.")
def add(
    name: str,
    root: bytes | None,
    preset: str | None,
    changes: tuple[str, ...],
    destination: bytes | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    schedule: str | None,
    priority: int | None,
    block: str | None,
    replace: bool,
    **in_place: object,
) -> None:
    """Remember the folder ROOT as library NAME.

    Without --in-place no original is ever touched.
    """
    from darkstream.cli.preset import find_preset, find_shelf
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.paths import display

    settings = read_settings()
    if block is not None:
        if root or preset or changes or destination or include or exclude or any(in_place.values()):
            raise UsageError(
                "--block says it all: only --schedule, --priority and --replace go with it"
            )
        body = _from_block(name, block, settings.prefect_api_url)
    elif root is None or preset is None or bool(destination) == bool(in_place["in_place"]):
        raise UsageError(
            "give ROOT, --preset and --to (or --in-place, to have results take the place of their "
            "originals), or --block"
        )
    else:
        path = os.path.abspath(root)
        if not os.path.isdir(path):
            raise NoSuchPath(f"{display(path)} is not a directory")
        wanted = find_preset(preset, find_shelf(settings), changes)
        to = None if destination is None else os.path.abspath(destination)
        body = describe_library(name, path, to, wanted, include, exclude)
        body = body.model_copy(update={"in_place": _read_rule(in_place)})
    update: dict[str, object] = {"replace": replace}
    update |= {} if schedule is None else {"schedule": schedule}
    update |= {} if priority is None else {"priority": priority}
    with connect(settings) as client:
        library = client.add_library(body.model_copy(update=update))
        click.echo(f"library {library.name}: {display(library.root)} -> {_describe_to(library)}")


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
            (one.name, display(one.root), _describe_to(one), one.preset, one.schedule or "-")
            for one in libraries
        ),
    )


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show the library NAME, and what its originals in quarantine take."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json

    with connect(read_settings()) as client:
        found = client.library(name)
    if as_json:
        print_json([found])
        return
    for title, value in _describe_library(found):
        click.echo(f"{title + ':':<16}{value}")


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
    destination: bytes | None,
    preset: Preset,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> AddLibrary:
    """The request that adds a library; paths go as text where they are, else as base64."""
    from pydantic import ValidationError

    from darkstream.model.paths import display, split_exact
    from darkstream.model.wire import AddLibrary

    text, text_b64 = split_exact(root)
    to, to_b64 = (None, None) if destination is None else split_exact(destination)
    shown = None if destination is None else display(destination)
    try:
        return AddLibrary(
            name=name,
            root=text or display(root),
            root_b64=text_b64,
            destination=to or shown,
            destination_b64=to_b64,
            preset=preset,
            include=include or None,
            exclude=exclude,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][0]}: {first['msg']} ({name!r})") from error


def _read_rule(given: dict[str, object]) -> InPlace | None:
    """What the options around --in-place say; raises UsageError for some of them without it."""
    from darkstream.model.replacement import InPlace

    rule = {name: value for name, value in given.items() if value is not None}
    if not rule.pop("in_place"):
        if rule:
            name = next(iter(rule)).replace("_", "-")
            raise UsageError(f"--{name} is for a library with --in-place")
        return None
    if "keep_originals" in rule:
        rule["keep_originals_days"] = rule.pop("keep_originals")
    return InPlace.model_validate(rule)


def _describe_to(library: Library) -> str:
    from darkstream.model.paths import display

    if library.in_place is None:
        return display(library.destination)
    asks = ", asks first" if library.in_place.approve == "ask" else ""
    return f"in place of the originals, kept {library.in_place.keep_originals_days} days{asks}"


def _describe_library(library: Library) -> list[tuple[str, str]]:
    from darkstream.cli.tables import format_bytes
    from darkstream.model.paths import display

    rule = library.in_place
    lines: list[tuple[str, str | None]] = [
        ("library", library.name),
        ("root", display(library.root)),
        ("results", _describe_to(library)),
        ("preset", library.preset),
        ("include", " ".join(library.include)),
        ("exclude", " ".join(library.exclude)),
        ("schedule", library.schedule),
        ("priority", str(library.priority)),
        ("hard links", None if rule is None else rule.hard_links),
        ("open files", None if rule is None else rule.open_files),
        ("mtime", None if rule is None else rule.mtime),
        ("in quarantine", format_bytes(library.quarantined_bytes)),
        ("to approve", _describe_waiting(library)),
    ]
    return [(title, value) for title, value in lines if value]


def _describe_waiting(library: Library) -> str | None:
    if not library.waiting:
        return None
    return f"{library.waiting} results: 'darkstream jobs --replacement pending' lists them"


def _from_block(name: str, block: str, api_url: str) -> AddLibrary:
    os.environ.setdefault("PREFECT_API_URL", api_url)
    from blocks.library import load_library

    return load_library(block).to_request(name)

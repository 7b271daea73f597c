"""`darkstream analyze PATH…`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from darkstream.errors import Cancelled, DarkstreamError, NoSuchPath, UsageError

if TYPE_CHECKING:
    from darkstream.model.analysis import Analysis, Depth
    from darkstream.model.survey import Level

_PATH = click.Path(path_type=bytes)


@click.command("analyze")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=_PATH)
@click.option("--headers", is_flag=True, help="Only what headers and first packets say: quick.")
@click.option("--loudness", is_flag=True, help="Measure the loudness of all sound (EBU R 128).")
@click.option(
    "--level",
    type=click.Choice(["headers", "quick", "normal", "full"]),
    default="headers",
    show_default=True,
    help="Look for damage in headers alone, all packets, key frames and sound, or everything.",
)
@click.option(
    "--server",
    "by_server",
    is_flag=True,
    help="Have it done by a worker of the server, and wait; paths are those of its machine.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
@click.option("--plain", is_flag=True, help="One property a line, everything there is to say.")
def command(
    paths: tuple[bytes, ...],
    headers: bool,
    loudness: bool,
    level: Level,
    by_server: bool,
    as_json: bool,
    plain: bool,
) -> int:
    """Say what is in files and folders, and measure it; nothing is written.

    It is done here, without a server, unless --server is given. Bars and interlacing are measured
    at up to ten places of each video. Exit code 3 when some files or folders could not be read.
    """
    from darkstream.model.analysis import Depth

    if headers and (loudness or level != "headers"):
        raise UsageError("--headers measures nothing: leave it out to have --loudness or --level")
    if as_json and plain:
        raise UsageError("--json and --plain are two forms of the same: give one")
    depth = Depth(pictures=not headers, loudness=loudness, level=level)
    found = (_analyse_there if by_server else _analyse_here)(paths, depth)
    show = _print_json if as_json else _print_plain if plain else _print_table
    return 3 if "failed" in show(found) else 0


def _analyse_here(paths: tuple[bytes, ...], depth: Depth) -> Iterator[Analysis]:
    from darkstream.cli.session import read_settings
    from darkstream.model.paths import display
    from darkstream.observe.logs import configure_once
    from darkstream.stages.analyse import analyse, find_files
    from darkstream.stages.toolbox import Toolbox

    for path in paths:
        if not os.path.lexists(path):
            raise NoSuchPath(f"{display(path)} is not there")
    settings = read_settings()
    configure_once(settings)
    with Toolbox(settings, flow_run="") as tools:
        for path in paths:
            for one in find_files(os.path.abspath(path)):
                yield analyse(tools, one, depth) if isinstance(one, bytes) else one


def _analyse_there(paths: tuple[bytes, ...], depth: Depth) -> Iterator[Analysis]:
    """What a worker finds, once it is through; raises DarkstreamError after what there is of it."""
    from darkstream.cli.follow import follow_analysis
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.analyses import MOST_PATHS, StartAnalysis
    from darkstream.model.paths import split_exact

    if len(paths) > MOST_PATHS:
        raise UsageError(f"these are more than {MOST_PATHS} paths: name the folders they are in")
    places = [split_exact(os.path.abspath(path)) for path in paths]
    request = StartAnalysis(
        **dict(depth),
        paths=tuple(text for text, _ in places if text is not None),
        paths_b64=tuple(exact for _, exact in places if exact is not None),
    )
    with connect(read_settings()) as client:
        number = client.start_analysis(request).id
        try:
            run = follow_analysis(client, number)
        except KeyboardInterrupt:
            client.remove_analysis(number)
            raise
        yield from client.analysis_results(number)
    if run.status == "cancelled":
        raise Cancelled(f"the analysis was cancelled: {run.reason}")
    if run.status == "failed":
        raise DarkstreamError(f"the analysis was not completed: {run.reason}")


def _print_json(found: Iterable[Analysis]) -> set[str]:
    """Print each file as soon as it is analysed; returns how they ended."""
    ends: set[str] = set()
    for one in found:
        click.echo(one.model_dump_json())
        ends.add(one.status)
    return ends


def _print_plain(found: Iterable[Analysis]) -> set[str]:
    from darkstream.cli.analysis import describe_analysis

    ends: set[str] = set()
    for one in found:
        if ends:
            click.echo()
        for name, value in describe_analysis(one):
            click.echo(f"{name + ':':<13}{value}")
        ends.add(one.status)
    return ends


def _print_table(found: Iterable[Analysis]) -> set[str]:
    from darkstream.cli.analysis import HEADERS, analysis_row
    from darkstream.cli.tables import print_table

    files: list[Analysis] = []

    def show() -> None:
        above = _shared_directory([one.source for one in files])
        print_table(HEADERS, (analysis_row(one, above) for one in files))

    try:
        files.extend(found)
    except DarkstreamError:
        if files:
            show()
        raise
    show()
    return {one.status for one in files}


def _shared_directory(names: Sequence[str]) -> str:
    """What all names begin with, up to a slash: nobody needs to read it in every row."""
    return os.path.dirname(names[0]) if len(names) == 1 else os.path.commonpath(names or [""])

"""`darkstream run`: scan a folder, convert it, report, stop."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING

import click

from darkstream.cli.preset import CHANGES
from darkstream.errors import DarkstreamError, NoSuchPath

if TYPE_CHECKING:
    from pathlib import Path

    from darkstream.cli.supervisor import Supervisor
    from darkstream.client.api import Client
    from darkstream.model.library import Scan
    from darkstream.model.preset import Preset
    from darkstream.settings import Settings

_POLL_S = 0.3


@click.command("run")
@click.argument("directory", type=click.Path(path_type=bytes))
@click.option("--preset", required=True, help="Name of a preset, or a YAML file.")
@CHANGES
@click.option(
    "--to", "destination", required=True, type=click.Path(path_type=bytes), help="Where results go."
)
@click.option("--report", type=click.Path(dir_okay=False), help="Write a report (JSON Lines) here.")
@click.option("--jobs", type=click.IntRange(min=1), help="Jobs at once (default: by the cores).")
@click.option("--include", multiple=True, help="Only files that match this glob (again for more).")
@click.option("--exclude", multiple=True, help="No files that match this glob (again for more).")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and why; do nothing.")
def command(
    directory: bytes,
    preset: str,
    changes: tuple[str, ...],
    destination: bytes,
    report: str | None,
    jobs: int | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
) -> int:
    """Convert the videos of DIRECTORY, wait, report; originals are never touched.

    Uses the DarkStream server that is up, or starts one for the time of the run. Exit code 0 when
    no job failed (a rejected file is no failure), 3 when some did.
    """
    from darkstream.cli.preset import find_preset, find_shelf
    from darkstream.cli.session import read_settings
    from darkstream.cli.tables import print_report, write_report
    from darkstream.model.paths import display

    settings = read_settings()
    root, target = os.path.abspath(directory), os.path.abspath(destination)
    _check_directories(root, target, report)
    wanted = find_preset(preset, find_shelf(settings), changes)
    with _server(settings, jobs) as (client, supervisor):
        scan = _convert(client, supervisor, root, target, wanted, include, exclude, dry_run)
        if supervisor is not None and supervisor.stopping:
            click.echo("Interrupted: what is done is kept, the next run goes on.", err=True)
            return 130
        if scan.status != "done":
            raise DarkstreamError(f"the scan {scan.status}: {scan.reason}")
        lines = list(client.scan_report(scan.id))
        address = (
            settings.prefect_ui_url if settings.prefect.api_url else f"{client.base_url}/prefect"
        )
    print_report(lines)
    if report:
        write_report(lines, report)
    click.echo(f"Results: {display(target)}" + (f"   Report: {report}" if report else ""))
    click.echo(f"Runs, graphs and logs: {address} (while 'darkstream up' runs)")
    return 3 if any(line.status == "failed" for line in lines) else 0


def _check_directories(root: bytes, target: bytes, report: str | None) -> None:
    from darkstream.cli.tables import check_report
    from darkstream.model.paths import display

    if not os.path.isdir(root):
        what = "is not a directory" if os.path.exists(root) else "does not exist"
        raise NoSuchPath(f"{display(root)} {what}: give the folder that holds the videos")
    if not os.access(root, os.R_OK | os.X_OK):
        raise NoSuchPath(f"{display(root)} cannot be read: give this user access to it")
    if os.path.lexists(target) and not os.path.isdir(target):
        raise NoSuchPath(f"{display(target)} is not a directory: name one for --to")
    if report and not os.path.isdir(os.path.dirname(os.path.abspath(report))):
        raise NoSuchPath(f"the directory of the report {report} does not exist")
    if report:
        check_report(report)


@contextmanager
def _server(settings: Settings, jobs: int | None) -> Iterator[tuple[Client, Supervisor | None]]:
    from darkstream.cli.session import answers
    from darkstream.client.api import Client

    with ExitStack() as stack:
        turn = None if settings.server.url else stack.enter_context(_turn(settings.home))
        client = stack.enter_context(Client(settings.server_url))
        if answers(client):
            if jobs is not None:
                click.echo("--jobs counts only where no server is up: its workers decide", err=True)
            if turn is not None:
                turn.close()  # the server is that of 'darkstream up', which many may use
            yield client, None
            return
        if settings.server.url:
            from darkstream.errors import ServerUnreachable

            raise ServerUnreachable(f"no DarkStream server answers at {settings.server_url}")
        yield stack.enter_context(_embedded(settings, jobs))


@contextmanager
def _turn(home: Path) -> Iterator[IO[bytes]]:
    """Wait while another run has a server of its own in this home: it ends with that run.

    The turn is over when the file is closed.
    """
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "run.lock", "ab") as file:
        told = False
        while not _take(file):
            if not told:
                click.echo(f"Waiting for another 'darkstream run' to end in {home} …", err=True)
            told = True
            time.sleep(_POLL_S)
        yield file


def _take(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _embedded(settings: Settings, jobs: int | None) -> Iterator[tuple[Client, Supervisor]]:
    from darkstream.cli.supervisor import Supervisor
    from darkstream.client.api import Client

    port = _free_port(settings)
    own = settings.model_copy(update={"server": settings.server.model_copy(update={"port": port})})
    environment = {"DARKSTREAM_SERVER__PORT": str(port), "DARKSTREAM_LOG_LEVEL": "warning"}
    if jobs is not None:
        environment["DARKSTREAM_WORKER__SLOTS"] = str(jobs)
    settings.home.mkdir(parents=True, exist_ok=True)
    log_path = settings.home / "run.log"
    with open(log_path, "ab") as log:
        supervisor = Supervisor(own, environment=environment, log=log)
        supervisor.stop_on_signals()
        try:
            supervisor.start()
            click.echo("Starting DarkStream (the first start takes longer) …", err=True)
            supervisor.wait_ready()
            with Client(own.server_url) as client:
                yield client, supervisor
        except DarkstreamError as error:
            error.add_note(f"(details: {log_path})")
            raise
        finally:
            supervisor.stop()


def _free_port(settings: Settings) -> int:
    for port in (settings.server.port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.server.host, port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise DarkstreamError(f"no free port on {settings.server.host}")


def _convert(
    client: Client,
    supervisor: Supervisor | None,
    root: bytes,
    target: bytes,
    preset: Preset,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
) -> Scan:
    from darkstream.cli.follow import follow_library
    from darkstream.cli.library import describe_library
    from darkstream.model.wire import StartScan

    name = "run-" + hashlib.sha256(b"\0".join((root, target))).hexdigest()[:12]
    library = describe_library(name, root, target, preset, include, exclude)
    client.add_library(library.model_copy(update={"replace": True}))
    scan = client.start_scan(
        name, StartScan(dry_run=dry_run, check_outputs=True, retry_failed=True)
    )

    def stopping() -> bool:
        if supervisor is None:
            return False
        supervisor.watch()
        return supervisor.stopping

    return follow_library(client, name, scan.id, stopping)

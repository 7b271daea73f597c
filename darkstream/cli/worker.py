"""`darkstream worker`: a worker alone."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.wire import NodeReport
    from darkstream.settings import Settings


@click.command("worker")
def command() -> None:
    """Run a worker for the pools cpu, gpu and control (DARKSTREAM_WORKER__POOLS)."""
    from darkstream.cli.session import read_settings
    from darkstream.observe.logs import configure
    from darkstream.worker.main import serve

    settings = read_settings()
    configure(settings)
    serve(settings, report=lambda: describe_node(settings))


def describe_node(settings: Settings) -> NodeReport:
    """What this node tells the server of itself; the capabilities are proved once per binary."""
    from darkstream import __version__
    from darkstream.media.capabilities import detect_capabilities
    from darkstream.model.wire import NodeReport
    from darkstream.worker.slots import count_slots

    settings.work_directory.mkdir(parents=True, exist_ok=True)
    return NodeReport(
        capabilities=detect_capabilities(settings.media, settings.home / "capabilities"),
        pools=settings.worker.pools,
        slots=count_slots(settings.worker),
        cores=os.cpu_count() or 1,
        version=__version__,
        work_free_bytes=shutil.disk_usage(settings.work_directory).free,
    )

"""`darkstream worker`: a worker alone."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.node import Hours
    from darkstream.model.wire import NodeReport
    from darkstream.settings import Settings, WorkerSettings


@click.command("worker")
def command() -> None:
    """Run a worker for the pools cpu, gpu and control (DARKSTREAM_WORKER__POOLS)."""
    from darkstream.observe.heap import use_one_heap

    use_one_heap()
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
    from darkstream.media.devices import count_sessions
    from darkstream.media.telemetry import read_gpus
    from darkstream.model.wire import NodeReport
    from darkstream.worker.slots import count_slots

    settings.work_directory.mkdir(parents=True, exist_ok=True)
    found = detect_capabilities(settings.media, settings.home / "capabilities")
    return NodeReport(
        capabilities=found,
        pools=settings.worker.pools,
        slots=count_slots(settings.worker),
        cores=os.cpu_count() or 1,
        version=__version__,
        gpus=read_gpus(),
        gpu_sessions=count_sessions(found.gpu, settings.media.gpu_sessions),
        work_free_bytes=shutil.disk_usage(settings.work_directory).free,
        hours=_read_hours(settings.worker),
    )


def _read_hours(worker: WorkerSettings) -> Hours | None:
    from darkstream.model.node import Hours, parse_windows
    from darkstream.worker.zone import machine_zone

    if worker.windows is None:
        return None
    zone = worker.time_zone or machine_zone()
    return Hours(windows=parse_windows(worker.windows), zone=zone)

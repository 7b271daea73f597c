"""All benchmarks, one table: `python -m benchmarks [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable

from benchmarks import (
    batch,
    chunks,
    hosts,
    job_start,
    ladder,
    memory,
    one_file,
    overhead,
    per_title,
    quality,
    resume,
    scan,
    start,
    validation,
    worker_start,
)
from benchmarks.figures import Figure, run

Measure = Callable[[argparse.Namespace], list[Figure]]
AddOptions = Callable[[argparse.ArgumentParser], None]
ALL: dict[str, tuple[Measure, AddOptions]] = {
    "start": (start.measure, lambda _: None),
    "scan": (scan.measure, scan.add_options),
    "job_start": (job_start.measure, job_start.add_options),
    "worker_start": (worker_start.measure_all, worker_start.add_options),
    "batch": (batch.measure, batch.add_options),
    "chunks": (chunks.measure, chunks.add_options),
    "ladder": (ladder.measure, ladder.add_options),
    "per_title": (per_title.measure, lambda _: None),
    "one_file": (one_file.measure, one_file.add_options),
    "resume": (resume.measure, resume.add_options),
    "hosts": (hosts.measure, hosts.add_options),
    "overhead": (overhead.measure, overhead.add_options),
    "memory": (memory.measure, memory.add_options),
    "validation": (validation.measure, lambda _: None),
    "quality": (quality.measure, quality.add_options),
}


def measure(options: argparse.Namespace) -> list[Figure]:
    """Each benchmark as it comes; one that fails is a row that says so."""
    figures: list[Figure] = []
    for name, (one, add_options) in ALL.items():
        print(f"{name} …", file=sys.stderr)
        parser = argparse.ArgumentParser()
        add_options(parser)
        defaults = parser.parse_args([])
        defaults.quick = options.quick
        try:
            figures += one(defaults)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the others are measured still
            traceback.print_exc()
            figures.append(Figure(name, None, "", note=f"failed: {error}"))
    return figures


if __name__ == "__main__":
    run(__doc__ or "", measure)

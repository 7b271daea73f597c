"""`darkstream scan LIBRARY`."""

from __future__ import annotations

import click

from darkstream.errors import DarkstreamError


@click.command("scan")
@click.argument("library")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and why; do nothing.")
@click.option("--retry-failed", is_flag=True, help="Convert again what failed before.")
@click.option("--check-outputs", is_flag=True, help="Convert again what lost its results.")
@click.option("--report", type=click.Path(dir_okay=False), help="Write a report (JSON Lines) here.")
@click.option("--detach", is_flag=True, help="Do not wait.")
def command(
    library: str,
    dry_run: bool,
    retry_failed: bool,
    check_outputs: bool,
    report: str | None,
    detach: bool,
) -> int:
    """Look over LIBRARY and convert what needs it; exit code 3 when some jobs failed."""
    from darkstream.cli.follow import follow_library
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import check_report, print_report, write_report
    from darkstream.model.wire import StartScan

    if report:
        check_report(report)
    request = StartScan(dry_run=dry_run, retry_failed=retry_failed, check_outputs=check_outputs)
    with connect(read_settings()) as client:
        scan = client.start_scan(library, request)
        if detach:
            click.echo(f"scan {scan.id} of {library} started")
            return 0
        try:
            scan = follow_library(client, library, scan.id)
        except KeyboardInterrupt:
            click.echo(f"\nscan {scan.id} goes on; 'darkstream jobs' shows its jobs", err=True)
            raise
        if scan.status != "done":
            raise DarkstreamError(f"the scan {scan.status}: {scan.reason}")
        lines = list(client.scan_report(scan.id))
    print_report(lines)
    if report:
        write_report(lines, report)
    return 3 if any(line.status == "failed" for line in lines) else 0

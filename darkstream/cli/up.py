"""`darkstream up`: everything on one machine, in the foreground."""

from __future__ import annotations

import time

import click

from darkstream.errors import Conflict


@click.command("up")
@click.option("--jobs", type=click.IntRange(min=1), help="Jobs at once (default: by the cores).")
def command(jobs: int | None) -> None:
    """Start server, workers and deployments; Ctrl-C or SIGTERM stops everything cleanly."""
    from darkstream.cli.session import is_up, read_settings
    from darkstream.cli.supervisor import Supervisor

    settings = read_settings()
    if is_up(settings):
        raise Conflict(
            f"DarkStream is up already at {settings.server_url}: use it, or stop it first"
        )
    environment = {} if jobs is None else {"DARKSTREAM_WORKER__SLOTS": str(jobs)}
    supervisor = Supervisor(settings, environment=environment, log=None)
    supervisor.stop_on_signals()
    try:
        supervisor.start()
        click.echo(f"DarkStream starts on {settings.server_url} (state in {settings.home}) …")
        supervisor.wait_ready()
        if not supervisor.stopping:
            click.echo(f"Ready. Prefect's page: {settings.prefect_ui_url}")
            click.echo(
                f"For Prefect's own commands: export PREFECT_API_URL={settings.prefect_api_url} "
                f"PREFECT_UI_URL={settings.prefect_ui_url}"
            )
            click.echo("Ctrl-C stops everything; jobs go on at the next start.")
        while not supervisor.stopping:
            supervisor.watch()
            time.sleep(0.5)
    finally:
        supervisor.stop()

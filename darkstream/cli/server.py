"""`darkstream server`: the server alone."""

from __future__ import annotations

import click


@click.command("server")
def command() -> None:
    """Run the server alone (`darkstream up` runs a worker beside it)."""
    from darkstream.observe.heap import use_one_heap

    use_one_heap()
    from darkstream.cli.session import read_settings
    from darkstream.observe.logs import configure
    from darkstream.server.app import serve

    settings = read_settings()
    configure(settings)
    serve(settings)

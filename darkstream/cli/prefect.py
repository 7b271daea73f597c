"""`darkstream prefect`: for people who run their own Prefect server."""

from __future__ import annotations

import asyncio

import click


@click.group("prefect")
def command() -> None:
    """Prepare a Prefect server for DarkStream."""


@command.command("setup")
def setup() -> None:
    """Make work pools, queues, deployments and block types; running it again changes nothing."""
    from darkstream.cli.session import read_settings
    from darkstream.dispatch import PrefectDispatcher

    settings = read_settings()

    async def prepare() -> None:
        async with PrefectDispatcher(settings.prefect_api_url) as dispatcher:
            await dispatcher.setup()

    asyncio.run(prepare())
    click.echo(f"Prefect at {settings.prefect_api_url} is ready for DarkStream")

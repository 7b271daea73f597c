"""What every command starts with: the settings, and a client of the server."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from darkstream.errors import ServerUnreachable, SettingsError

if TYPE_CHECKING:
    from darkstream.client.api import Client
    from darkstream.settings import Settings


def read_settings() -> Settings:
    """Read the settings once; raises SettingsError naming the variable that is wrong.

    A variable that is no setting is told only: Kubernetes, for one, makes some of our prefix.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError as Unreadable

    from darkstream.settings import Settings, find_unknown

    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "DARKSTREAM_" + "__".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"the setting {name} cannot be used: {first['msg']}") from error
    except Unreadable as error:
        raise SettingsError(
            f"a setting cannot be read ({error}): see docs/settings.md for how each is written"
        ) from error
    for name, near in find_unknown(os.environ).items():
        hint = "docs/settings.md lists them" if near is None else f"did you mean {near}?"
        click.echo(f"Warning: {name} is no setting and is ignored; {hint}", err=True)
    return settings


_LOOK_S = 5.0


@contextmanager
def connect(settings: Settings) -> Iterator[Client]:
    """A client of a server that answers; raises ServerUnreachable with what to do."""
    from darkstream.client.api import Client

    with Client(settings.server_url) as client:
        if not answers(client):
            raise ServerUnreachable(
                f"no DarkStream server answers at {settings.server_url}: start one with "
                "'darkstream up', or set DARKSTREAM_SERVER__URL to where it runs"
            )
        yield client


def is_up(settings: Settings) -> bool:
    """Whether a DarkStream server is at the address of the settings.

    Where nobody listens nothing is imported to ask with: a start would wait half a second for it.
    """
    address = urlsplit(settings.server_url)
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname, port), timeout=_LOOK_S).close()
    except OSError:
        return False
    from darkstream.client.api import Client

    with Client(settings.server_url) as client:
        return answers(client)


def answers(client: Client) -> bool:
    """Whether a DarkStream server is there."""
    try:
        client.health()
    except ServerUnreachable:
        return False
    return True

"""What every command starts with: the settings, and a client of the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from darkstream.errors import ServerUnreachable, SettingsError

if TYPE_CHECKING:
    from darkstream.client.api import Client
    from darkstream.settings import Settings


def read_settings() -> Settings:
    """Read the settings once; raises SettingsError naming the variable that is wrong."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError as Unreadable

    from darkstream.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "DARKSTREAM_" + "__".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"the setting {name} cannot be used: {first['msg']}") from error
    except Unreadable as error:
        raise SettingsError(
            f"a setting cannot be read ({error}): see docs/settings.md for how each is written"
        ) from error


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


def answers(client: Client) -> bool:
    """Whether a DarkStream server is there."""
    try:
        client.health()
    except ServerUnreachable:
        return False
    return True

"""Prefect's SQLite without 'database is locked': its transactions take turns.

Prefect begins them DEFERRED, reads, then writes. SQLite refuses the write at once, whatever the
timeout, when another writer came in between (https://www.sqlite.org/rescode.html#busy_snapshot):
requests then end with 503, and services with a traceback. A transaction that is IMMEDIATE waits.

It must not wait inside SQLite for another one of the same event loop, or the loop may stand still
until the timeout: a connection that waits holds its mutex, and a cursor of it that is collected as
garbage, in the loop's thread, waits for that mutex to reset its statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import set_database_config
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class _Turn:
    """Whose turn it is in one event loop; a task that has it may begin again."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[object] | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        if self._holder is task:
            yield
            return
        async with self._lock:
            self._holder = task
            try:
                yield
            finally:
                self._holder = None


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()


class TurnTakingSqlite(AioSqliteConfiguration):
    """Transactions follow one another within an event loop, and wait for those of others."""

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = False,  # noqa: ARG002 - every transaction is for update
    ) -> AsyncIterator[AsyncSessionTransaction]:
        """Begin once it is this transaction's turn."""
        turn = _turns.setdefault(asyncio.get_running_loop(), _Turn())
        async with (
            turn.taken(),
            super().begin_transaction(session, with_for_update=True) as transaction,
        ):
            yield transaction


def take_turns() -> None:
    """Let Prefect's server use it on SQLite; call it before the server is made."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if url is not None and url.startswith("sqlite"):
        set_database_config(TurnTakingSqlite(connection_url=url))

"""Presets that were saved as templates: their YAML by name."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.schema import presets
from darkstream.errors import NotFound


class Presets:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, str]:
        """The text of each by its name."""
        with self._database.read() as connection:
            rows = connection.execute(select(presets).order_by(presets.c.name)).all()
        return {row.name: row.text for row in rows}

    def save(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""
        with self._database.write() as connection:
            values = {"text": text, "saved": self._database.now(connection)}
            known = update(presets).where(presets.c.name == name).values(**values)
            if not connection.execute(known).rowcount:
                connection.execute(insert(presets).values(name=name, **values))

    def remove(self, name: str) -> None:
        """Forget it; raises NotFound."""
        with self._database.write() as connection:
            if not connection.execute(delete(presets).where(presets.c.name == name)).rowcount:
                raise NotFound(f"no saved preset is called {name!r}")

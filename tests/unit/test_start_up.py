"""What a start imports: all that takes long and is not needed for the first answer comes later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from darkstream.catalog import Catalog
from darkstream.cli.supervisor import Supervisor
from darkstream.settings import LeaseSettings, Settings

_LATER = ("prefect", "alembic", "sqlalchemy.orm", "httpx", "standardwebhooks")
_SERVER = """
from darkstream.cli.session import read_settings
from darkstream.server.app import create_app
create_app(read_settings())
"""
_UP = """
from darkstream.cli import supervisor, up
from darkstream.cli.session import is_up, read_settings
assert not is_up(read_settings())
"""


def _imported(code: str, home: Path) -> set[str]:
    code += f"import sys\nprint(*(name for name in {_LATER!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"DARKSTREAM_HOME": str(home), "DARKSTREAM_SERVER__PORT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_server_with_a_known_catalog_imports_what_it_answers_with(tmp_path: Path) -> None:
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}", lease=LeaseSettings())
    catalog.migrate()
    catalog.close()
    assert _imported(_SERVER, tmp_path) == set()


def test_up_starts_the_server_before_it_imports_what_it_asks_it_with(tmp_path: Path) -> None:
    assert _imported(_UP, tmp_path) == set()


def test_the_server_starts_alone_and_has_the_cores(tmp_path: Path) -> None:
    class Noting(Supervisor):
        def _spawn(self, role: str) -> None:
            spawned.append(role)

    spawned: list[str] = []
    Noting(Settings(home=tmp_path), environment={}, log=None).start()
    assert spawned == ["server"]

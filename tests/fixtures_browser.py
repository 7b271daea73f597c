"""Headless Chromium, players at fixed versions, and a server on loopback that shows a directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

HERE = Path(__file__).parent / "browser"
CACHE = HERE.parents[1] / ".cache" / "players"
SCRIPTS = {
    "hls": "node_modules/hls.js/dist/hls.min.js",
    "dash": "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
    "shaka": "node_modules/shaka-player/dist/shaka-player.compiled.js",
}


def skip(why: str) -> None:
    """What could be installed and is not is a skip, and fails under CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def players() -> Path:
    """The players at their locked versions, whose hashes npm checks."""
    lock = HERE / "players" / "package-lock.json"
    noted = CACHE / "package-lock.json"
    complete = all((CACHE / script).exists() for script in SCRIPTS.values())
    if complete and noted.exists() and noted.read_bytes() == lock.read_bytes():
        return CACHE
    if shutil.which("npm") is None:
        skip("npm is missing: run make install-system")
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / "players" / name, CACHE / name)
    argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(argv, cwd=CACHE, capture_output=True, timeout=240, check=False)
    if done.returncode:
        noted.unlink()
        skip(f"the players cannot be fetched: {done.stderr.decode(errors='replace')[-300:]}")
    return CACHE


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for each module: Playwright's event loop runs in this thread until it is closed."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        skip("chromium is missing: run make install-system")
    with sync_playwright() as tool:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = tool.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()


class Quiet(SimpleHTTPRequestHandler):
    """Serves the directory, and says nothing."""

    extensions_map: ClassVar[dict[str, str]] = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".m3u8": "application/vnd.apple.mpegurl",
        ".mpd": "application/dash+xml",
        ".vtt": "text/vtt",
        ".m4s": "video/iso.segment",
    }

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def handle(self) -> None:
        """A player that no longer wants a segment hangs up."""
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()


def lay_out(root: Path, players: Path) -> None:
    """The page, and the script of each player beside it."""
    shutil.copyfile(HERE / "players" / "play.html", root / "play.html")
    for kind, script in SCRIPTS.items():
        shutil.copyfile(players / script, root / f"{kind}.js")


@contextmanager
def served(root: Path, handler: type[Quiet] = Quiet) -> Iterator[str]:
    """Show a directory on loopback; the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def reach(page: Any, condition: str) -> None:
    """Wait for it; with what the player said where it does not come."""
    from playwright.sync_api import TimeoutError as TooLate

    try:
        page.wait_for_function(f"() => errors.length || ({condition})", timeout=20_000)
    except TooLate:
        pytest.fail(f"{condition} was not reached: {page.evaluate('state()')}")
    assert page.evaluate("errors") == []

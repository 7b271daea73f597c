"""`darkstream doctor`: what works here, and what to do about the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from darkstream.errors import DarkstreamError

if TYPE_CHECKING:
    from darkstream.settings import Settings


@click.command("doctor")
def command() -> int:
    """Check ffmpeg, encoders, sandbox, disk, server and workers; exit code 1 if one is bad."""
    from darkstream.cli.session import read_settings

    settings = read_settings()
    sound = True
    for name, check in (("media", _check_media), ("disk", _check_disk), ("server", _check_server)):
        for ok, text in _run(name, check, settings):
            click.echo(f"{'ok ' if ok else 'BAD'}  {text}")
            sound = sound and ok
    return 0 if sound else 1


Check = Callable[["Settings"], Iterator[tuple[bool, str]]]


def _run(name: str, check: Check, settings: Settings) -> Iterator[tuple[bool, str]]:
    try:
        yield from check(settings)
    except (DarkstreamError, OSError) as error:
        yield False, f"{name}: {error}"


def _check_media(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.media.capabilities import detect_capabilities

    found = detect_capabilities(settings.media, settings.home / "capabilities")
    yield True, f"ffmpeg {found.version} at {found.ffmpeg}"
    names = ", ".join(f"{one.name} ({one.codec})" for one in found.encoders)
    yield bool(found.encoders), f"encoders proved: {names or 'none'}"
    yield True, f"GPU: {found.gpu or 'no hardware encoder proved; encoding is done by the CPU'}"
    caged = found.sandbox == "bubblewrap"
    advice = "" if caged else "; install bubblewrap, so that a hostile file can reach nothing"
    yield True, f"sandbox: {found.sandbox}{advice}"


def _check_disk(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.cli.tables import format_bytes

    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    yield (
        free > 2_000_000_000,
        f"disk: {format_bytes(free)} free for state and work in {settings.home}",
    )


def _check_server(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.cli.session import connect

    with connect(settings) as client:
        state = client.ready()
        said = "ready" if state.ready else "; ".join(state.reasons)
        yield state.ready, f"server: {settings.server_url}: {said}"
        nodes = [node for node in client.nodes() if node.live]
        yield (
            bool(nodes),
            f"workers: {', '.join(str(node.name) for node in nodes) or 'none reports'}",
        )

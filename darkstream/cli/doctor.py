"""`darkstream doctor`: what works here, and what to do about the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from darkstream.errors import DarkstreamError

if TYPE_CHECKING:
    from darkstream.model.capabilities import Capabilities, Gpu
    from darkstream.settings import Settings


@click.command("doctor")
def command() -> int:
    """Check ffmpeg, encoders, sandbox, disk, keys, server, workers; exit code 1 if one is bad."""
    from darkstream.cli.session import read_settings

    settings = read_settings()
    sound = True
    for name, check in _CHECKS:
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
    from darkstream.media.telemetry import read_gpus
    from darkstream.planning.words import listed, spoken

    found = detect_capabilities(settings.media, settings.home / "capabilities")
    yield True, f"ffmpeg {found.version} at {found.ffmpeg}"
    software = [one for one in found.encoders if not one.hardware]
    names = ", ".join(f"{one.name} ({one.codec})" for one in software)
    yield bool(found.encoders), f"encoders proved: {names or 'none'}"
    keep = [
        f"{one.name} ({listed([spoken(kind) for kind in one.dynamic_hdr])})"
        for one in found.encoders
        if one.dynamic_hdr
    ]
    yield True, f"keep data of HDR for single scenes: {', '.join(keep) or 'none'}"
    yield from ((True, line) for line in _tell_hardware(found))
    yield from ((True, f"GPU now: {_tell_gpu(gpu)}") for gpu in read_gpus())
    caged = found.sandbox == "bubblewrap"
    advice = "" if caged else "; install bubblewrap, so that a hostile file can reach nothing"
    yield True, f"sandbox: {found.sandbox}{advice}"


def _tell_hardware(found: Capabilities) -> Iterator[str]:
    """What was proved of hardware, a line an encoder."""
    yield f"GPU: {found.gpu or 'no hardware encoder proved; encoding is done by the CPU'}"
    for one in found.encoders:
        if one.hardware:
            depths = " and ".join(map(str, one.bits))
            can = [f"{depths} bits"]
            can += [text for text, yes in (("ladders", one.rungs), ("HDR10", one.hdr10)) if yes]
            place = "" if one.device is None else f" on {one.device}"
            yield f"hardware encoder proved: {one.name}{place} ({', '.join(can)})"
    for decoder in found.hardware_decoders:
        place = "" if decoder.device is None else f" on {decoder.device}"
        used = (
            ""
            if decoder.is_used
            else "; not used: "
            + ("its scaler makes other pictures" if not decoder.scales else "software is as fast")
        )
        yield (
            f"hardware decoder proved: {decoder.codec} with {decoder.bits} bits by {decoder.family}"
            f"{place}: decodes and scales 1080p {decoder.speed:g} times as fast as software,"
            f" {decoder.psnr:g} dB alike{used}"
        )


def _tell_gpu(gpu: Gpu) -> str:
    """A GPU's state in a line; what it does not tell is left out."""
    told = (
        (gpu.busy, "{} % busy"),
        (gpu.encoder_busy, "encoder {} %"),
        (gpu.decoder_busy, "decoder {} %"),
        (gpu.sessions, "{} encoding sessions"),
        (gpu.memory_used_mib, f"{{}} of {gpu.memory_mib} MiB"),
        (gpu.temperature_c, "{} °C"),
    )
    seen = [text.format(value) for value, text in told if value is not None]
    return f"{gpu.name}, driver {gpu.driver}: {', '.join(seen) or 'it tells nothing'}"


def _check_limits(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.media.cgroup import find_systemd
    from darkstream.media.lifeline import find_missing

    worker = settings.worker
    wanted = [
        f"niceness {worker.nice}" if worker.nice else "",
        f"disk {worker.ionice}" if worker.ionice else "",
        f"{worker.threads} threads" if worker.threads else "",
        f"{worker.cpus:g} cores" if worker.cpus else "",
    ]
    told = ", ".join(filter(None, wanted)) or "none but its memory"
    missing = find_missing(nice=bool(worker.nice), ionice=bool(worker.ionice))
    _, _, reason = (None, None, "") if worker.cpus is None else find_systemd()
    problems = [*(f"there is no {name} here" for name in missing), *filter(None, [reason])]
    yield not problems, f"limits of ffmpeg: {'; '.join((told, *problems))}"


def _check_disk(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.cli.tables import format_bytes

    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    yield (
        free > 2_000_000_000,
        f"disk: {format_bytes(free)} free for state and work in {settings.home}",
    )


def _check_server(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.cli.node import describe_state
    from darkstream.cli.session import connect

    with connect(settings) as client:
        state = client.ready()
        said = "ready" if state.ready else "; ".join(state.reasons)
        yield state.ready, f"server: {settings.server_url}: {said}"
        nodes = [node for node in client.nodes() if node.live]
        told = ", ".join(f"{node.name} ({describe_state(node)})" for node in nodes)
        yield bool(nodes), f"workers: {told or 'none reports'}"
        for node in nodes:
            yield from ((True, f"GPU of {node.name}: {_tell_gpu(gpu)}") for gpu in node.gpus)


def _check_keys(settings: Settings) -> Iterator[tuple[bool, str]]:
    from darkstream.keys.directory import DirectoryKeys

    if settings.keys.directory is not None:
        DirectoryKeys(settings.keys.directory).require()
        yield True, f"keys: in {settings.keys.directory}"


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("media", _check_media),
    ("limits", _check_limits),
    ("disk", _check_disk),
    ("keys", _check_keys),
    ("server", _check_server),
)

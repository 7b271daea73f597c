"""`darkstream node`: the machines that work, and whether they rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.node import PauseKind
    from darkstream.model.wire import Node


@click.group("node")
def command() -> None:
    """List the machines that work, let them rest, and let them work again."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_nodes(as_json: bool) -> None:
    """List the machines that ever worked, and what they do now."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json, print_table

    with connect(read_settings()) as client:
        nodes = client.nodes()
    if as_json:
        print_json(nodes)
        return
    print_table(
        ("node", "state", "jobs", "pools", "cores", "hours", "gpu"),
        (
            (
                node.name,
                describe_state(node),
                f"{node.running} of {node.slots}",
                " ".join(node.pools),
                str(node.cores),
                str(node.hours or "always"),
                describe_gpus(node),
            )
            for node in nodes
        ),
    )


@command.command("pause")
@click.argument("name")
@click.option("--hard", is_flag=True, help="Give back what is running; no attempt is counted.")
def pause(name: str, hard: bool) -> None:
    """Let the machine NAME rest: it takes no new job, and finishes those it has begun.

    Scans go on. It rests until it is resumed, also after a restart.
    """
    _pause(name, "hard" if hard else "soft")


@command.command("drain")
@click.argument("name")
def drain(name: str) -> None:
    """Let the machine NAME finish its jobs and take nothing more, no scans either."""
    _pause(name, "drain")


@command.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """Let the machine NAME work again; its hours hold as before."""
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        _say(client.resume_node(name))


def describe_gpus(node: Node) -> str:
    """Its GPUs and how busy they are; else the one that was proved to encode."""
    told = [gpu.name if gpu.busy is None else f"{gpu.name} {gpu.busy} % busy" for gpu in node.gpus]
    return ", ".join(told) or node.capabilities.gpu or "-"


def describe_state(node: Node) -> str:
    """What a node does now, and until when."""
    if not node.live:
        return "gone"
    if node.pause == "drain":
        return "draining" if node.running else "drained"
    if node.pause is not None:
        return "paused" if node.pause == "soft" else "paused (hard)"
    until = ""
    if node.changes is not None:
        until = f" until {node.changes.astimezone():%a %H:%M}"
    return f"outside its hours{until}" if node.rest is not None else f"works{until}"


def _pause(name: str, kind: PauseKind) -> None:
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        _say(client.pause_node(name, kind))


def _say(node: Node) -> None:
    jobs = "1 job" if node.running == 1 else f"{node.running} jobs"
    click.echo(f"{node.name}: {describe_state(node)}; {jobs} running")

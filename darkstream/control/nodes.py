"""Which nodes there are, and which pool a job goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from darkstream.control.wing import Wing
from darkstream.errors import Conflict
from darkstream.model.preset import Preset
from darkstream.model.wire import Node, NodeReport

Pool = Literal["cpu", "gpu"]


def report_node(wing: Wing, name: str, report: NodeReport) -> None:
    """Remember what a node says of itself."""
    wing.catalog.nodes.report(name, report)


def list_nodes(wing: Wing) -> list[Node]:
    """All nodes that ever reported."""
    return wing.catalog.nodes.all()


def choose_pool(preset: Preset, nodes: Sequence[Node]) -> Pool:
    """Where jobs of a preset go; raises Conflict where it demands a GPU that nobody proved."""
    wish = "never" if preset.video is None else preset.video.hardware
    if wish == "never":
        return "cpu"
    if any(_serves_gpu(node) for node in nodes):
        return "gpu"
    if wish == "prefer":
        return "cpu"
    raise Conflict(
        f"the preset {preset.name!r} demands a hardware encoder and {_why_not(nodes)}: start a "
        "worker on a machine with a GPU (darkstream doctor shows what is proved), or set "
        "video.hardware to prefer"
    )


def count_slots(nodes: Sequence[Node], pool: Pool) -> int:
    """Jobs that the live nodes of a pool do at once."""
    return sum(node.slots for node in nodes if node.live and pool in node.pools)


def _serves_gpu(node: Node) -> bool:
    return node.live and "gpu" in node.pools and node.capabilities.gpu is not None


def _why_not(nodes: Sequence[Node]) -> str:
    live = [node for node in nodes if node.live]
    if not live:
        return "no worker is alive"
    names = ", ".join(sorted(node.name for node in live))
    return f"no live worker ({names}) has proved one in the pool 'gpu'"

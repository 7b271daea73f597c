"""Which nodes there are, and which pool a job goes to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from darkstream.control.wing import Wing
from darkstream.errors import Conflict
from darkstream.model.preset import Preset
from darkstream.model.wire import Node, NodeReport

Pool = Literal["cpu", "gpu"]


_HEARD_S = 30.0
"""A server that is up for so long has heard of every node that is alive."""


def report_node(wing: Wing, name: str, report: NodeReport) -> None:
    """Remember what a node says of itself; jobs that waited for such a node go to it."""
    before = any(map(_serves_gpu, wing.catalog.nodes.all()))
    wing.catalog.nodes.report(name, report)
    nodes = wing.catalog.nodes.all()
    if not before and any(map(_serves_gpu, nodes)):
        choose_again(wing, "cpu", nodes)
        wing.jobs_wake.set()


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


def choose_again(wing: Wing, pool: Pool, nodes: Sequence[Node]) -> None:
    """Choose the pool of those that wait for one anew: nodes came or went since they came."""

    def choose(preset: Preset) -> Pool:
        try:
            return choose_pool(preset, nodes)
        except Conflict:  # it was promised a GPU, and waits until there is one again
            return "gpu"

    wing.catalog.dispatches.choose_pools(pool, choose)


def is_gpu_gone(wing: Wing, nodes: Sequence[Node]) -> bool:
    """Whether it is certain that no live node has proved a GPU."""
    return not any(map(_serves_gpu, nodes)) and time.monotonic() - wing.started > _HEARD_S


def pools_served(nodes: Sequence[Node]) -> tuple[Pool, ...]:
    """Where jobs may be dispatched to: what waits for a GPU is not, while nobody has proved one."""
    return ("cpu", "gpu") if any(map(_serves_gpu, nodes)) else ("cpu",)


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

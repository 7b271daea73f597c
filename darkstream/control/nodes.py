"""Which nodes there are, and which pool a job goes to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from darkstream.control.wing import Wing
from darkstream.errors import Conflict
from darkstream.model.node import NodeOrders, PauseKind
from darkstream.model.preset import Preset
from darkstream.model.wire import Node, NodeReport
from darkstream.planning.words import spoken

Pool = Literal["cpu", "gpu"]


_HEARD_S = 30.0
"""A server that is up for so long has heard of every node that is alive."""


def report_node(wing: Wing, name: str, report: NodeReport) -> NodeOrders:
    """Remember what a node says of itself; jobs that waited for such a node go to it."""
    before = _proved_codecs(wing.catalog.nodes.all())
    rest = wing.catalog.nodes.report(name, report)
    nodes = wing.catalog.nodes.all()
    if _proved_codecs(nodes) - before:
        choose_again(wing, "cpu", nodes)
        wing.jobs_wake.set()
    return NodeOrders(rest=rest)


def list_nodes(wing: Wing) -> list[Node]:
    """All nodes that ever reported."""
    return wing.catalog.nodes.all()


def get_node(wing: Wing, name: str) -> Node:
    """One node; raises NotFound."""
    return wing.catalog.nodes.get(name)


def pause_node(wing: Wing, name: str, kind: PauseKind | None) -> Node:
    """Let a node rest until it is resumed (None); raises NotFound.

    From now on its claims get nothing, and running work hears of it by its next heartbeat.
    """
    node = wing.catalog.nodes.pause(name, kind)
    wing.jobs_wake.set()
    return node


def choose_pool(preset: Preset, nodes: Sequence[Node]) -> Pool:
    """Where jobs of a preset go; raises Conflict where it demands a GPU that nobody proved."""
    rule = preset.video
    if rule is None or rule.hardware == "never":
        return "cpu"
    if any(_serves_gpu(node, rule.codec) for node in nodes):
        return "gpu"
    if rule.hardware == "prefer":
        return "cpu"
    raise Conflict(
        f"the preset {preset.name!r} demands a hardware encoder for {spoken(rule.codec)} and "
        f"{_why_not(nodes)}: start a "
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
    """Jobs that the live nodes of a pool do at once; those that rest do none.

    On GPUs at most as many as have an encoding session there.
    """
    return sum(slots_of(nodes, pool).values())


def slots_of(nodes: Sequence[Node], pool: Pool) -> dict[str, int]:
    """Those slots by node."""
    return {
        node.name: min(node.slots, node.gpu_sessions or node.slots) if pool == "gpu" else node.slots
        for node in _serving(nodes, pool)
        if node.rest is None
    }


def limit_runs(nodes: Sequence[Node], pool: Pool, window: int) -> int:
    """Flow runs to have at once: where sessions are limited, none waits for one in a slot."""
    limited = pool == "gpu" and all(node.gpu_sessions is not None for node in _serving(nodes, pool))
    return min(window, count_slots(nodes, pool)) if limited else window


def count_light(nodes: Sequence[Node]) -> int:
    """The live nodes that scan and analyse: all that serve `control`, but for drained ones."""
    return sum(node.rest != "drain" for node in _serving(nodes, "control"))


def is_resting(nodes: Sequence[Node], pool: Pool) -> bool:
    """Whether there are live nodes of a pool, and all of them rest."""
    serving = _serving(nodes, pool)
    return bool(serving) and all(node.rest is not None for node in serving)


def _serving(nodes: Sequence[Node], pool: Pool | Literal["control"]) -> list[Node]:
    return [node for node in nodes if node.live and pool in node.pools]


def _serves_gpu(node: Node, codec: str | None = None) -> bool:
    """Whether it works for the pool `gpu` and has proved an encoder there, of a codec or of any."""
    proved = (one for one in node.capabilities.encoders if one.hardware)
    able = any(codec in (None, one.codec) for one in proved)
    return node.live and "gpu" in node.pools and able


def _proved_codecs(nodes: Sequence[Node]) -> set[str]:
    """What live nodes of the pool encode in hardware."""
    return {
        one.codec
        for node in nodes
        if _serves_gpu(node)
        for one in node.capabilities.encoders
        if one.hardware
    }


def _why_not(nodes: Sequence[Node]) -> str:
    live = [node for node in nodes if node.live]
    if not live:
        return "no worker is alive"
    names = ", ".join(sorted(node.name for node in live))
    return f"no live worker ({names}) has proved one in the pool 'gpu'"

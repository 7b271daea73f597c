"""When each picture of a stream is shown, as its packets say: nothing is decoded."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer

_BEAT = 500
"""Packets between two signs of life."""


def list_times(container: InputContainer, index: int, alive: Callable[[], None]) -> dict[str, Any]:
    """Read every packet of the stream with that index; `alive` is called now and then."""
    stream = next((one for one in container.streams if one.index == index), None)
    if stream is None or stream.time_base is None:
        raise ValueError(f"there is no stream {index}")
    times, keys, regular = array("q"), set(), True
    for count, packet in enumerate(container.demux(stream)):
        if count % _BEAT == 0:
            alive()
        if not packet.size:
            continue
        if packet.pts is None or packet.is_discard:
            regular = False
            continue
        times.append(packet.pts)
        if packet.is_keyframe:
            keys.add(packet.pts)
    ordered = sorted(times)
    steps = [after - before for before, after in pairwise(ordered)]
    return {
        "time_base": str(stream.time_base),
        "first": ordered[0] if ordered else 0,
        "steps": steps,
        "keys": [number for number, time in enumerate(ordered) if time in keys],
        "regular": regular and bool(ordered) and all(step > 0 for step in steps),
    }

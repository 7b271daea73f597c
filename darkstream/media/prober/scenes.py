"""HDR10+ data of all pictures of a stream, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import av

from darkstream.media.prober.dynamic import Units, units_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

_BEAT = 500
"""Packets between two signs of life."""
_OPEN = {21}
"""A clean random access picture (ISO/IEC 23008-2, table 7-1)."""
_SKIPPED = {8, 9}
"""Pictures shown before it that need those before it: where it is the first, nobody shows them."""
_NONE = -1


def list_hdr10plus(
    container: InputContainer, index: int, alive: Callable[[], None]
) -> dict[str, Any]:
    """Each message once, in hexadecimal, and runs of pictures: which message (-1: none), how many.

    `alive` is called now and then.
    """
    stream = next((one for one in container.streams if one.index == index), None)
    units = None if stream is None else units_of(stream)
    if stream is None or units is None:
        return {"messages": [], "runs": []}
    numbers: dict[bytes, int] = {}
    shown: list[tuple[int, int]] = []
    for time, packet in _pictures(container, stream, units, alive):
        message = units.find_hdr10plus(packet)
        number = _NONE if message is None else numbers.setdefault(message, len(numbers))
        shown.append((time, number))
    shown.sort()
    runs = [(number, sum(1 for _ in run)) for number, run in groupby(one[1] for one in shown)]
    return {"messages": [message.hex() for message in numbers], "runs": runs}


def _pictures(
    container: InputContainer, stream: Stream, units: Units, alive: Callable[[], None]
) -> Iterator[tuple[int, bytes]]:
    first: int | None = None
    opened = False
    try:
        for count, packet in enumerate(container.demux(stream)):
            if count % _BEAT == 0:
                alive()
            if not packet.size or packet.pts is None or packet.is_discard:
                continue
            data = bytes(packet)
            if first is None:
                first, opened = packet.pts, units.holds(data, _OPEN)
            if opened and packet.pts < first and units.holds(data, _SKIPPED):
                continue
            yield packet.pts, data
    except av.error.FFmpegError:
        return

"""What all packets of a file say, before one of them is decoded."""

from __future__ import annotations

from itertools import accumulate
from typing import Literal

from darkstream.model.base import Frozen, Rational

Level = Literal["headers", "quick", "normal", "full"]
"""How thoroughly a file is looked over for damage: what its headers and first packets say, all
packets, its key frames, all of it; each with those before it."""


class StreamPackets(Frozen):
    """The packets of one stream; times in seconds."""

    index: int
    kind: Literal["video", "audio"]
    packets: int
    size_bytes: int
    key_frames: int
    corrupt: int = 0
    """Packets that the container itself calls damaged: cut off, or with parts missing."""
    zeroed: int = 0
    """Packets that hold zeros where no encoder writes any."""
    dolby_vision: int = 0
    """Packets that bring Dolby Vision data."""
    hdr10plus: int = 0
    """Packets that bring HDR10+ data."""
    gaps: int = 0
    """Places where something is missing from a clock that is regular otherwise."""
    missing: Rational
    """Of video how many pictures, of audio how many seconds are missing there."""
    jumps: int = 0
    """Timestamps that go back, or far ahead."""
    rate: Rational | None = None
    """Pictures a second, as counted."""
    variable_rate: bool = False


class Hdr10Plus(Frozen):
    """HDR10+ data of all pictures of a stream, in the order in which they are shown.

    `messages` (ITU-T T.35, hexadecimal) are each there once; `runs` say which one (-1: none) how
    many pictures in a row have.
    """

    messages: tuple[str, ...] = ()
    runs: tuple[tuple[int, int], ...] = ()


class PictureTimes(Frozen):
    """When each picture of a stream is shown, by its packets; in order of display, in ticks.

    `steps` are the distances from one picture to the next; `keys` the numbers of those that can be
    decoded without others. `regular`: each packet is shown, at a time of its own.
    """

    time_base: Rational
    first: int
    steps: tuple[int, ...]
    keys: tuple[int, ...]
    regular: bool

    def times(self) -> list[int]:
        """The time of every picture."""
        return list(accumulate(self.steps, initial=self.first))


class Survey(Frozen):
    """A file whose packets were all read.

    `duration` goes from the first timestamp to the end of the last packet; `broken`: reading ended
    at an error instead of at the end.
    """

    streams: tuple[StreamPackets, ...] = ()
    duration: Rational | None = None
    said: Rational | None = None
    """The duration in the header of an MP4 or QuickTime file, which probing counts up itself."""
    broken: bool = False

    def stream(self, index: int) -> StreamPackets | None:
        """The packets of the stream with that index in the file."""
        return next((stream for stream in self.streams if stream.index == index), None)

"""A walk over all packets of a file: sizes, times and zeros; nothing is decoded."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Any

import av

from darkstream.media.prober.dynamic import Units, units_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_NO_ZEROS = {"h264": 64, "hevc": 64, "vvc": 64, "av1": 1024, "vp9": 1024, "vp8": 1024}
"""Zeros in a row that a packet of that codec never holds: its syntax, or its coder, forbids it."""
_PACKED = frozenset(
    (
        *("mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "prores", "theora", "wmv2", "vc1"),
        *("aac", "ac3", "eac3", "mp2", "mp3", "opus", "vorbis", "flac", "alac", "dts", "truehd"),
    )
)
"""Codecs of which no packet is nothing but zeros."""
_LEAST_BYTES = 16
_GAP = 1.6
"""Steps this much longer than the usual one lack at least a picture."""
_RARE = 50
"""At most one step in so many differs where a clock is regular."""
_FEW = 3
_VARIES = 100
"""More than one step in so many that differs makes a rate variable."""
_START = 3
"""Steps at the beginning that may be longer: what was cut there lacks pictures nobody can show."""
_AUDIO_GAP_S = Fraction(1, 4)
_FAR_S = Fraction(10)
_BEAT = 500
"""Packets between two signs of life."""


@dataclass
class _Walk:
    """One stream, as far as it was read; times in ticks of its own clock."""

    kind: str
    index: int
    codec: str
    base: Fraction
    packets: int = 0
    size: int = 0
    keys: int = 0
    corrupt: int = 0
    zeroed: int = 0
    units: Units | None = None
    dolby_vision: int = 0
    hdr10plus: int = 0
    jumps: int = 0
    gaps: int = 0
    missing: Fraction = Fraction(0)
    times: array[int] = field(default_factory=lambda: array("q"))
    last: int | None = None
    first: int | None = None
    end: int | None = None

    def note(self, packet: Packet[Stream]) -> None:
        """Take one packet."""
        self.packets += 1
        self.size += packet.size
        self.keys += bool(packet.is_keyframe)
        self.corrupt += bool(packet.is_corrupt)
        self.zeroed += self._is_zeroed(packet)
        if self.units is not None and packet.size:
            kinds = self.units.find(bytes(packet))
            self.dolby_vision += "dolby_vision" in kinds
            self.hdr10plus += "hdr10plus" in kinds
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.is_discard:
            return
        length = packet.duration or 0
        self._follow(packet.dts, time, length)
        self.first = time if self.first is None else min(self.first, time)
        self.end = time + length if self.end is None else max(self.end, time + length)
        if self.kind == "video":
            self.times.append(time)

    def _follow(self, decoded: int | None, shown: int, length: int) -> None:
        """Hold a time against those before: none goes back, and no sound is missing."""
        if decoded is not None:
            self.jumps += self.last is not None and decoded < self.last
            self.last = decoded
        if self.kind != "audio" or self.end is None:
            return
        ahead, usual = (shown - self.end) * self.base, length * self.base
        if ahead > _FAR_S:
            self.jumps += 1
        elif ahead > max(_AUDIO_GAP_S, 4 * usual):
            self.gaps += 1
            self.missing += ahead

    def _is_zeroed(self, packet: Packet[Stream]) -> bool:
        if packet.size < _LEAST_BYTES:
            return False
        if (run := _NO_ZEROS.get(self.codec)) is not None:
            return bytes(min(run, packet.size)) in bytes(packet)
        return self.codec in _PACKED and not bytes(packet).strip(b"\0")

    def describe(self) -> dict[str, Any]:
        """What there is to say of the stream, as JSON."""
        rate, variable = self._conclude()
        return {
            "index": self.index,
            "kind": self.kind,
            "packets": self.packets,
            "size_bytes": self.size,
            "key_frames": self.keys,
            "corrupt": self.corrupt,
            "zeroed": self.zeroed,
            "dolby_vision": self.dolby_vision,
            "hdr10plus": self.hdr10plus,
            "gaps": self.gaps,
            "missing": str(self.missing),
            "jumps": self.jumps,
            "rate": rate,
            "variable_rate": variable,
        }

    def _conclude(self) -> tuple[str | None, bool]:
        """The rate, and whether it varies; counts what a regular clock lacks."""
        times = sorted(set(self.times))
        steps = [after - before for before, after in pairwise(times)]
        if len(steps) < 2:
            return None, False
        usual = median_low(steps)
        far = max(_FAR_S / self.base, Fraction(20 * usual))
        near = [step for step in steps if step <= far]
        odd = [step for step in near[_START:] if abs(step - usual) > max(1, usual // 8)]
        regular = len(odd) <= max(_FEW, len(near) // _RARE) and len(odd) * 4 < len(near)
        lacking = [step for step in odd if regular and step > usual * _GAP]
        self.jumps += len(steps) - len(near)
        self.gaps = len(lacking)
        self.missing = Fraction(sum(round(step / usual) - 1 for step in lacking))
        rate = (len(near) + self.missing) / (sum(near) * self.base)
        return str(rate.limit_denominator(1001)), len(odd) * _VARIES > len(near)


def survey(container: InputContainer, alive: Callable[[], None]) -> dict[str, Any]:
    """Read every packet; `alive` is called now and then."""
    walks = {
        stream.index: _Walk(
            stream.type,
            stream.index,
            _codec(stream),
            Fraction(stream.time_base or 1),
            units=units_of(stream),
        )
        for stream in container.streams
    }
    broken = False
    try:
        for count, packet in enumerate(container.demux()):
            walk = walks.get(packet.stream_index)  # a stream may appear only later
            if walk is not None and (packet.size or packet.dts is not None):  # else its end
                walk.note(packet)
            if count % _BEAT == 0:
                alive()
    except av.error.FFmpegError:
        broken = True
    told = [walk for walk in walks.values() if walk.kind in {"video", "audio"}]
    timed = [walk for walk in told if walk.first is not None and walk.end is not None]
    starts = [(walk.first or 0) * walk.base for walk in timed]
    ends = [(walk.end or 0) * walk.base for walk in timed]
    return {
        "streams": [walk.describe() for walk in told],
        "duration": str(max(ends) - min(starts)) if timed else None,
        "broken": broken,
    }


def _codec(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else ""

"""What only the packets tell: whether streams decode, how regular their clock is, side data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Any, cast

import av

from darkstream.media.prober.picture import describe_frame
from darkstream.media.prober.streams import describe_sound, seconds

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.container import InputContainer
    from av.index import IndexEntries, IndexEntry
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_TRIES = 200
_AUDIO_TRIES = 12
_LATE_BYTES = 64 << 20
"""Of packets to look at until the first of a track of which nothing is known."""
_LATER_S = Fraction(1, 10)
_TIMES = 60
_INDEX_TIMES = 5_000
_INDEX_TAIL = 64
_IRREGULAR_SHARE = 100
"""More than one step in this many that differs makes a rate variable."""


@dataclass
class Seen:
    """What was met: packets with content, and bytes that the index declares past the end."""

    packets: int = 0
    missing_bytes: int = 0


@dataclass
class _Look:
    """How far the look at one stream is."""

    described: dict[str, Any]
    video: bool
    indexed: list[int] = field(default_factory=list)
    """Times of an index that lists every packet; `times` are those of the packets met."""
    times: list[int] = field(default_factory=list)
    tries: int = 0
    first: int | None = None
    """Time of the first packet met that is shown."""
    decoded: bool = False
    additions: bool = False
    """Whether packets bring Matroska's BlockAdditional: transparency, where it is announced."""

    @property
    def unknown(self) -> bool:
        """Whether nothing was met of pictures, or of sound of which libav does not know what it is.

        Such a track may begin late.
        """
        return not self.tries and (self.video or not self.described["channels"])

    @property
    def done(self) -> bool:
        if not self.video:
            return self.decoded or self.tries >= _AUDIO_TRIES
        timed = bool(self.indexed) or len(self.times) >= _TIMES
        return timed and (self.decoded or self.tries >= _TRIES)


def look_inside(
    container: InputContainer, groups: dict[str, list[dict[str, Any]]], size: int
) -> Seen:
    """Decode the first frame of every stream and complete its description."""
    looks = {
        described["index"]: _Look(described, video)
        for group, video in (("video", True), ("audio", False))
        for described in groups[group]
    }
    streams = [stream for stream in container.streams if stream.index in looks]
    for stream in streams:
        # Threads take longer to start than a picture to decode, and nobody looks at that picture.
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"skip_loop_filter": "all"}
        if looks[stream.index].video:
            looks[stream.index].indexed = _index_times(stream)
    seen = Seen(missing_bytes=_missing_bytes(streams, size))
    read = 0
    for count, packet in enumerate(_packets(container, streams)):
        seen.packets += bool(packet.size)
        read += packet.size
        _note(packet, looks[packet.stream.index])
        unknown = any(look.unknown for look in looks.values())
        enough = read > _LATE_BYTES if unknown else count > _TRIES * len(streams)
        if all(look.done for look in looks.values()) or enough:
            break
    for stream in streams:
        _conclude(looks[stream.index], stream)
    return seen


def _packets(container: InputContainer, streams: list[Stream]) -> Iterator[Packet[Stream]]:
    try:
        yield from container.demux(streams)
    except av.error.FFmpegError:
        return  # the packets until here are what there is


def _note(packet: Packet[Stream], look: _Look) -> None:
    if look.video and packet.pts is not None:
        look.times.append(packet.pts)
    look.additions = look.additions or packet.has_sidedata("matroska_block_additional")
    if look.decoded or look.done:
        return
    # What an edit list leaves out decodes to nothing on purpose.
    look.tries += bool(packet.size) and not packet.is_discard
    if look.first is None and look.tries:
        look.first = packet.pts
    try:
        frames = packet.decode() or _flush_first(packet, look)
    except (av.error.FFmpegError, ValueError):
        return
    if frames:
        look.decoded = True
        if look.video:
            describe_frame(cast("VideoFrame", frames[0]), look.described)
        elif not look.described["channels"]:
            context = cast("AudioCodecContext", packet.stream.codec_context)
            look.described |= describe_sound(context)


def _flush_first(packet: Packet[Stream], look: _Look) -> list[Any]:
    """The picture of a first keyframe, which decoders hold back until they have met a few more."""
    if not look.video or look.tries != 1 or not packet.is_keyframe:
        return []
    context = cast("VideoStream", packet.stream).codec_context
    if frames := context.decode(None):
        return list(frames)
    context.flush_buffers()
    return list(packet.decode())


def _conclude(look: _Look, stream: Stream) -> None:
    described = look.described
    if not look.video:
        # A track that starts later than we looked is not a broken one.
        described["decoded"] = look.decoded or look.tries == 0
        described["start"] = _start(look, stream)
        return
    described["decoded"] = look.decoded
    described["alpha"] = described["alpha"] or (look.additions and _says_alpha(stream))
    times = look.indexed or look.times
    described["variable_rate"] = _is_variable(_steps(times))
    described["average_rate"] = _average(described["average_rate"], times, stream.time_base)


def _start(look: _Look, stream: Stream) -> str | None:
    """libav says of a track that begins after what it looked at that it begins with the file."""
    said, first = stream.start_time, look.first
    if said is None or first is None or not stream.time_base:
        return None
    later = (first - said) * Fraction(stream.time_base) > _LATER_S
    return seconds(first if later else said, stream.time_base)


def _says_alpha(stream: Stream) -> bool:
    """Whether a track is called transparent; browsers call so whatever they record."""
    said = {name.lower(): value for name, value in stream.metadata.items()}
    return said.get("alpha_mode") == "1"


def _index_times(stream: Stream) -> list[int]:
    """Times of an index that lists every packet, as MP4's does; else nothing."""
    index = stream.index_entries
    if not stream.frames or len(index) != stream.frames:
        return []
    return [entry.timestamp for entry in islice(index, _INDEX_TIMES)]


def _steps(times: list[int]) -> list[int]:
    """Distances in order of display; the newest pictures may still miss their neighbours."""
    steps = [after - before for before, after in pairwise(sorted(set(times)))]
    return steps[1:-2] if len(steps) > 8 else steps


def _is_variable(steps: list[int]) -> bool:
    if len(steps) < 2:
        return False
    usual = median_low(steps)
    tolerated = max(1, usual // 8)
    odd = sum(abs(step - usual) > tolerated for step in steps)
    return odd * _IRREGULAR_SHARE > len(steps)


def _average(declared: str | None, times: list[int], base: Fraction | None) -> str | None:
    """The declared rate, unless the pictures come at quite another one (a clock's, say)."""
    ordered = sorted(set(times))
    if len(ordered) < 8 or not base:
        return declared
    measured = (len(ordered) - 1) / ((ordered[-1] - ordered[0]) * Fraction(base))
    if declared is not None and Fraction(2, 3) < Fraction(declared) / measured < Fraction(3, 2):
        return declared
    return str(measured.limit_denominator(1001))


def _missing_bytes(streams: list[Stream], size: int) -> int:
    """Bytes past the end of the file in which the index says packets are."""
    ends = [
        entry.pos + entry.size
        for stream in streams
        for entry in _tail(stream.index_entries)
        if entry.size > 0
    ]
    return max(0, max(ends, default=0) - size)


def _tail(index: IndexEntries) -> list[IndexEntry]:
    count = len(index)
    return [index[place] for place in range(max(0, count - _INDEX_TAIL), count)]

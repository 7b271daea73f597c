"""The caged program that joins the chunks of one rendition: packets are copied, times are counted.

Called with the path of the output and that of a list, JSON: the clock of the source (`tick`,
seconds) and of each chunk in order of display the tick of its first picture (the first one's is 0)
and its path (`pieces`). Exit code 3: the chunks cannot be one stream.

Encoders begin each chunk with timestamps of decoding before 0, which overlap with those of the
chunk before: they are given anew, each packet's as late as the deepest reordering of all chunks
allows (ISO/IEC 14496-12, 8.6.1). Pictures keep their ticks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import av.logging

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2", "protocol_whitelist": "file"}
UNLIKE = 3
_BEAT = 2000
"""Packets between two signs of life."""


@dataclass(frozen=True)
class Piece:
    """A chunk's file, and the tick at which its first picture is shown."""

    begin: int
    path: str


class Unlike(Exception):
    """Chunks that cannot be one stream."""


def join(output: str, tick: Fraction, pieces: list[Piece]) -> int:
    """Join chunks; returns the number of pictures. Raises Unlike, OSError, av.FFmpegError."""
    shown = [time for piece in pieces for time in _list_times(piece, tick)]
    decoded = _decoding_times(shown)
    written = 0
    with av.open(output, "w", format="mp4", options={"write_tmcd": "0"}) as joined:
        stream, header = None, b""
        for piece in pieces:
            with av.open(piece.path, options=_OPTIONS) as container:
                video = container.streams.video[0]
                if stream is None:
                    # Opaque: the decoder's name is not that of an encoder, which nobody needs.
                    stream = joined.add_stream_from_template(video, opaque=True)
                    stream.time_base, header = tick, _header(video)
                if _header(video) != header:
                    raise Unlike(f"{piece.path} was encoded otherwise than the first chunk")
                for packet in _packets(container, video):
                    shown_for = round((packet.duration or 0) * (video.time_base or tick) / tick)
                    packet.stream, packet.time_base = stream, tick
                    packet.duration = shown_for
                    packet.pts, packet.dts = shown[written], decoded[written]
                    joined.mux(packet)
                    written += 1
                    if written % _BEAT == 0:
                        _tell(written)
    return written


def _list_times(piece: Piece, tick: Fraction) -> Iterator[int]:
    """When the pictures of a chunk are shown, in order of decoding."""
    _tell(0)
    with av.open(piece.path, options=_OPTIONS) as container:
        video = container.streams.video[0]
        for packet in _packets(container, video):
            if packet.pts is None or video.time_base is None:
                raise Unlike(f"{piece.path} does not say when its pictures are shown")
            yield piece.begin + round(packet.pts * video.time_base / tick)


def _decoding_times(shown: list[int]) -> list[int]:
    """When each picture is decoded: never after it is shown, and none at the time of another."""
    ordered = sorted(shown)
    if any(after <= before for before, after in pairwise(ordered)):
        raise Unlike("two pictures are shown at the same time")
    rank = {time: number for number, time in enumerate(ordered)}
    depth = max(number - rank[time] for number, time in enumerate(shown))
    step = min((after - before for before, after in pairwise(ordered)), default=1)
    early = [ordered[0] - step * number for number in range(depth, 0, -1)]
    return [*early, *ordered][: len(shown)]


def _header(stream: VideoStream) -> bytes:
    return bytes(stream.codec_context.extradata or b"")


def _packets(container: InputContainer, video: VideoStream) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in container.demux(video) if packet.size)


def _tell(count: int) -> None:
    """As ffmpeg's `-progress`: it shows that we are alive."""
    sys.stdout.write(f"frame={count}\nprogress=continue\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Join what a list names; says on stderr why it cannot."""
    output, listed = words
    with open(listed, encoding="utf-8", errors="surrogateescape") as file:
        told = json.load(file)
    pieces = [Piece(begin, path) for begin, path in told["pieces"]]
    av.logging.set_level(av.logging.PANIC)
    try:
        _tell(join(output, Fraction(told["tick"]), pieces))
    except Unlike as error:
        sys.stderr.write(f"{error}\n")
        return UNLIKE
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0

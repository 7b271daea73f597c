"""What the end of a file tells: whether it was cut off, or holds nothing but zeros."""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO

from darkstream.media.prober.head import Refused

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_EMPTY = 50
"""Bytes of a data object's own header: a live recording that never ended says no more."""
_PAGE, _PAGE_HEADER, _LAST_PAGE = b"OggS", 27, 4
_LARGEST_PAGE = 27 + 255 + 255 * 255
_SYNC, _PACKET_BYTES = b"\x47" * 3, (188, 192, 204)
_BLOCK = 1 << 20
_FEW_ZEROS = 16 << 20
"""Bytes that are read through in no time."""
_MOST_ZEROS = 1 << 30
"""Bytes of written zeros after which nobody looks further."""


def is_asf(head: bytes) -> bool:
    """Whether a file that begins like this is ASF (WMV, WMA)."""
    return head.startswith(_ASF_HEADER)


def is_ogg(head: bytes) -> bool:
    """Whether a file that begins like this is Ogg."""
    return head.startswith(_PAGE)


def is_transport(head: bytes) -> bool:
    """Whether a file that begins like this is MPEG-TS, perhaps in the middle of a packet."""
    return any(
        head[place : place + 2 * step + 1 : step] == _SYNC
        for step in _PACKET_BYTES
        for place in range(step)
    )


def asf_missing_bytes(stream: BinaryIO, size: int) -> int:
    """Bytes of its packets that an ASF file declares past its end."""
    stream.seek(0)
    head = stream.read(24)
    start = struct.unpack_from("<Q", head, 16)[0] if len(head) == 24 else size
    if start + 24 > size:
        return 0
    stream.seek(start)
    data = stream.read(24)
    length: int = struct.unpack_from("<Q", data, 16)[0]
    known = data.startswith(_ASF_DATA) and length > _ASF_EMPTY
    return max(0, start + length - size) if known else 0


def ogg_unfinished(stream: BinaryIO, size: int) -> bool:
    """Whether an Ogg file ends without the mark of a last page, or within a page."""
    stream.seek(max(0, size - 2 * _LARGEST_PAGE))
    tail = stream.read()
    last = tail.rfind(_PAGE)
    if last < 0 or last + _PAGE_HEADER > len(tail):
        return last >= 0
    return not tail[last + 5] & _LAST_PAGE or _page_end(tail, last) > len(tail)


def _page_end(data: bytes, start: int) -> int:
    segments, first = data[start + _PAGE_HEADER - 1], start + _PAGE_HEADER
    return first + segments + sum(data[first : first + segments])


def content_bytes(stream: BinaryIO, size: int) -> int | None:
    """Bytes before the zeros that fill the rest of a file; None where there are few or none.

    Raises Refused where there are too many to look through.
    """
    written = _written_end(stream.fileno(), size)
    end = written
    while end > 0:
        start = max(0, end - _BLOCK)
        stream.seek(start)
        block = stream.read(end - start).rstrip(b"\0")
        if block:
            end = start + len(block)
            break
        end = start
        if written - end > _MOST_ZEROS:
            raise Refused(
                f"its last {(size - end) >> 20} MiB and more are nothing but zero bytes: its"
                " content was lost"
            )
    # A packet may itself end with zeros.
    return end + max(_PACKET_BYTES) if size - end > _FEW_ZEROS else None


class Beginning(io.RawIOBase):
    """The first bytes of a file, as if there were no more."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        super().__init__()
        self._stream, self._size = stream, size

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def read(self, count: int = -1, /) -> bytes:
        """Up to so many of them."""
        left = max(0, self._size - self._stream.tell())
        return self._stream.read(left if count < 0 else min(count, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place, counted from the last of them at the end."""
        if whence == os.SEEK_END:
            return self._stream.seek(self._size + offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._stream.tell()


def _written_end(descriptor: int, size: int) -> int:
    """The end of the last part of a sparse file that was ever written."""
    end, place = 0, os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        while True:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError:  # nothing is written behind; or no such thing as holes here
        return end or size
    finally:  # a buffered reader keeps count of it
        os.lseek(descriptor, place, os.SEEK_SET)

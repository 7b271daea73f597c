"""The key frames of a track as a track of their own: what DASH players show while seeking by sight.

HLS takes them out of the segments by their bytes. DASH knows no such thing: there they are segments
of one picture each (DASH-IF IOP 4.3, 3.2.9), over the same initialisation.
"""

from __future__ import annotations

import os

from darkstream.media.boxes import Box, read_fragment
from darkstream.media.boxtree import full, join, only
from darkstream.media.samples import take_apart
from darkstream.media.tracks import Segment, Track

_FIELDS = 0x1 | 0x100 | 0x200 | 0x400 | 0x800
"""Of `trun`: where the samples begin, and of each its duration, size, flags and shift."""
_ALONE = 0x2000000
"""Flags of a sample that needs no other (ISO/IEC 14496-12 8.8.3.1)."""


def write_key_frames(directory: bytes, track: Track, number: int) -> Track:
    """Write the first picture of every segment of a video track as a segment; the track of them.

    Raises BrokenBoxes where a segment is not of one fragment.
    """
    segments = []
    for place, segment in enumerate(track.segments, start=1):
        name = f"seg-{number}-{place:05d}.m4s"
        path = os.path.join(directory, name.encode())
        data = _first_alone(os.path.join(directory, segment.name.encode()))
        with open(path, "wb") as file:
            file.write(data)
        changed = {"name": name, "size": len(data), "key_bytes": None}
        segments.append(segment.model_copy(update=changed))
    return track.model_copy(
        update={"id": number, "kind": "keys", "segments": tuple[Segment, ...](segments)}
    )


def _first_alone(path: bytes) -> bytes:
    """A segment of the first sample alone, which lasts as long as all of them."""
    with open(path, "rb") as file:
        parts = take_apart(file.read())
    fragment = read_fragment(path)
    sample = parts.samples[0]
    row = (fragment.duration, len(sample), _ALONE)
    shift = (fragment.start - fragment.decode_time).to_bytes(4, "big", signed=True)

    def moof(offset: int) -> bytes:
        words = (1, offset, *row)
        run = full(
            b"trun", *(word.to_bytes(4, "big") for word in words), shift, version=1, flags=_FIELDS
        )
        traf = (*(Box(kind, only(parts.traf, kind)) for kind in (b"tfhd", b"tfdt")), run)
        head = Box(b"mfhd", only(parts.moof, b"mfhd"))
        return join([head, Box(b"traf", join(traf))])

    body = moof(len(moof(0)) + 16)
    before = [box for box in parts.boxes if box.kind not in {b"moof", b"mdat", b"sidx"}]
    return join([*before, Box(b"moof", body), Box(b"mdat", sample)])

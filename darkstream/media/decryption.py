"""Encrypted segments read by what they say of themselves, and turned back with the key.

The other side of `encryption`: nothing here knows how a segment was written, so that what comes
out as it was before is what every player gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from darkstream.media.boxes import Box, BrokenBoxes
from darkstream.media.boxtree import ENTRIES, changed, inside, join, number, only, split
from darkstream.media.samples import grow_index, move_run, take_apart

_ENTRIES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_FIELDS = {b"encv": 78, b"enca": 28}
"""Bytes of a sample entry before its own boxes."""
_DESCRIBING = {b"saiz", b"saio", b"senc"}
_SUBSAMPLES = 0x2
_BLOCK_BITS = 128


class Protection(NamedTuple):
    """What an initialisation segment says of its track: the scheme, the key's id, bytes of IVs."""

    scheme: str
    key_id: bytes
    vector_bytes: int


class Vector(NamedTuple):
    """How one sample is encrypted: the IV, and clear and encrypted bytes in turn; (): all of it."""

    start: bytes
    ranges: tuple[tuple[int, int], ...]


def read_protection(init: bytes) -> Protection | None:
    """How the track behind an initialisation segment is encrypted; None: not. BrokenBoxes."""
    entry = _entry(inside(init, _ENTRIES))
    if entry.kind not in _FIELDS:
        return None
    sinf = split(only(_parts(entry), b"sinf"))
    track = only(split(only(sinf, b"schi")), b"tenc")
    return Protection(
        scheme=only(sinf, b"schm")[4:8].decode("latin-1"),
        key_id=track[8:24],
        vector_bytes=number(track, 7, 1) if number(track, 6, 1) == 1 else 0,
    )


def reveal_init(init: bytes) -> bytes:
    """The initialisation segment as it was before its track was encrypted; raises BrokenBoxes."""
    named = changed(init, _ENTRIES, _name_codec)
    return changed(named, (b"moov",), _without({b"pssh"}))


def reveal_segment(data: bytes, vector_bytes: int, secret: bytes) -> bytes:
    """A media segment as it was before it was encrypted by `cenc`; raises BrokenBoxes."""
    parts = take_apart(data)
    vectors = read_vectors(data, vector_bytes)
    media = [_turn(*both, secret) for both in zip(parts.samples, vectors, strict=True)]
    kept = tuple(box for box in parts.traf if box.kind not in _DESCRIBING)
    growth = len(join(parts.traf)) - len(join(kept))
    traf = Box(b"traf", join(move_run(kept, -growth)))
    moof = join([traf if box.kind == b"traf" else box for box in parts.moof])
    new: dict[bytes, Callable[[bytes], bytes]] = {
        b"moof": lambda _: moof,
        b"mdat": lambda _: b"".join(media),
        b"sidx": lambda body: grow_index(body, -growth),
    }
    return join(
        [Box(b.kind, new[b.kind](b.body) if b.kind in new else b.body) for b in parts.boxes]
    )


def read_vectors(data: bytes, vector_bytes: int) -> tuple[Vector, ...]:
    """What a media segment says of each of its samples, by `saio` and `saiz` (7.1 and 7.2).

    Raises BrokenBoxes where it says nothing, or `senc` says something else.
    """
    parts = take_apart(data)
    place = number(only(parts.traf, b"saio"), 8)
    fragment = join([Box(b"moof", only(parts.boxes, b"moof"))])
    senc = only(parts.traf, b"senc")
    divided = bool(number(senc, 1, 3) & _SUBSAMPLES)
    sizes = _sizes(only(parts.traf, b"saiz"))
    if not len(sizes) == number(senc, 4) == len(parts.samples):
        raise BrokenBoxes("not as many vectors as samples")
    told = fragment[place : place + sum(sizes)]
    if told != senc[8:]:
        raise BrokenBoxes("saio and saiz do not lead to the vectors")
    return tuple(
        _vector(entry, vector_bytes, len(sample), divided=divided)
        for entry, sample in zip(_cut(told, sizes), parts.samples, strict=True)
    )


def reveal_whole(data: bytes, secret: bytes, start: bytes) -> bytes:
    """A file encrypted as a whole by AES-128 in CBC with PKCS7, turned back (RFC 8216bis 4.4.4.4).

    Raises ValueError where the key does not fit.
    """
    cipher = Cipher(algorithms.AES(secret), modes.CBC(start)).decryptor()
    padding = PKCS7(_BLOCK_BITS).unpadder()
    return padding.update(cipher.update(data) + cipher.finalize()) + padding.finalize()


def _entry(stsd: bytes) -> Box:
    return split(stsd[ENTRIES:])[0]


def _parts(entry: Box) -> tuple[Box, ...]:
    return split(entry.body[_FIELDS[entry.kind] :])


def _name_codec(stsd: bytes) -> bytes:
    entry = _entry(stsd)
    kind = only(split(only(_parts(entry), b"sinf")), b"frma")
    fields = entry.body[: _FIELDS[entry.kind]]
    rest = [box for box in _parts(entry) if box.kind != b"sinf"]
    return stsd[:ENTRIES] + join([Box(kind, fields + join(rest))])


def _without(kinds: set[bytes]) -> Callable[[bytes], bytes]:
    return lambda body: join([box for box in split(body) if box.kind not in kinds])


def _sizes(saiz: bytes) -> tuple[int, ...]:
    usual, count = number(saiz, 4, 1), number(saiz, 5)
    return (usual,) * count if usual else tuple(number(saiz, 9 + n, 1) for n in range(count))


def _cut(data: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    place = 0
    for size in sizes:
        yield data[place : place + size]
        place += size


def _vector(entry: bytes, length: int, sample: int, *, divided: bool) -> Vector:
    if not divided:
        if len(entry) != length:
            raise BrokenBoxes("a vector of another length than the track's")
        return Vector(entry, ())
    count = number(entry, length, 2)
    ranges = tuple(
        (number(entry, place, 2), number(entry, place + 2))
        for place in range(length + 2, length + 2 + 6 * count, 6)
    )
    if sum(map(sum, ranges)) != sample:
        raise BrokenBoxes("the parts of a sample are not all of it")
    return Vector(entry[:length], ranges)


def _turn(sample: bytes, vector: Vector, secret: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(secret), modes.CTR(vector.start.ljust(16, b"\0"))).decryptor()
    if not vector.ranges:
        return cipher.update(sample)
    found, place = [], 0
    for clear, encrypted in vector.ranges:
        found += [
            sample[place : place + clear],
            cipher.update(sample[place + clear : place + clear + encrypted]),
        ]
        place += clear + encrypted
    return b"".join(found)

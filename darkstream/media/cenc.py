"""Common Encryption of CMAF tracks: the scheme `cenc`, AES-CTR (ISO/IEC 23001-7).

An initialisation segment names the scheme and the key's id; each fragment carries the vectors of
its samples and which bytes of them are encrypted. No key is in either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from darkstream.media.boxes import Box, BrokenBoxes
from darkstream.media.boxtree import ENTRIES, changed, full, inside, join, split
from darkstream.media.samples import grow_index, move_run, take_apart
from darkstream.media.subsamples import Divide, Ranges, divider

COMMON_SYSTEM = bytes.fromhex("1077efecc0b24d02ace33c1e52e2fb4b")
"""W3C's Common PSSH box, which says the ids of keys to every system (EME, initdata "cenc")."""
SAMPLE_ENTRIES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
VECTOR_BYTES = 8
_SCHEME, _VERSION = b"cenc", 0x10000
_SUBSAMPLES = 0x2
_VISUAL = {b"avc1", b"avc3", b"hvc1", b"hev1"}


def pssh(key_id: bytes) -> bytes:
    """The box that tells players which key is needed (ISO/IEC 23001-7 8.1, version 1)."""
    count, no_data = (1).to_bytes(4, "big"), bytes(4)
    return join([full(b"pssh", COMMON_SYSTEM, count, key_id, no_data, version=1)])


def encrypt_init(data: bytes, key_id: bytes) -> bytes:
    """The initialisation segment of an encrypted track; raises BrokenBoxes."""
    named = changed(data, SAMPLE_ENTRIES, lambda stsd: _name_scheme(stsd, key_id))
    return changed(named, (b"moov",), lambda moov: moov + pssh(key_id))


def divider_of(init: bytes) -> Divide:
    """How the samples behind a clear initialisation segment are divided."""
    return divider(_entry(inside(init, SAMPLE_ENTRIES)))


def encrypt_segment(data: bytes, divide: Divide, secret: bytes, vector: int) -> tuple[bytes, int]:
    """A media segment encrypted, and the vector after its last one.

    `vector` is that of its first sample, 8 bytes as a number; no two samples under one key may have
    the same. Raises BrokenBoxes where it is no segment of one fragment.
    """
    parts = take_apart(data)
    entries: list[bytes] = []
    media: list[bytes] = []
    divided = [divide(sample) for sample in parts.samples]
    for sample, ranges in zip(parts.samples, divided, strict=True):
        begin = vector.to_bytes(VECTOR_BYTES, "big")
        entries.append(begin + (_tell(ranges) if any(divided) else b""))
        media.append(_encrypt(sample, ranges, secret, begin))
        vector = (vector + 1) % (1 << 8 * VECTOR_BYTES)
    before = join(parts.moof[: [box.kind for box in parts.moof].index(b"traf")])
    added = _describe(entries, any(divided), 8 + len(before) + 8 + len(join(parts.traf)))
    growth = len(join(added))
    traf = Box(b"traf", join((*move_run(parts.traf, growth), *added)))
    moof = join([traf if box.kind == b"traf" else box for box in parts.moof])
    new = {b"moof": moof, b"mdat": b"".join(media)}
    boxes = [
        Box(box.kind, grow_index(box.body, growth))
        if box.kind == b"sidx"
        else Box(box.kind, new.get(box.kind, box.body))
        for box in parts.boxes
    ]
    return join(boxes), vector


def _entry(stsd: bytes) -> Box:
    entries = split(stsd[ENTRIES:])
    if len(entries) != 1:
        raise BrokenBoxes(f"{len(entries)} sample entries in one track")
    return entries[0]


def _name_scheme(stsd: bytes, key_id: bytes) -> bytes:
    """8.12 of ISO/IEC 14496-12: the entry's own name goes into `sinf`, with the scheme."""
    entry = _entry(stsd)
    track = full(b"tenc", bytes(2), bytes([1, VECTOR_BYTES]), key_id)
    scheme = (
        Box(b"frma", entry.kind),
        full(b"schm", _SCHEME, _VERSION.to_bytes(4, "big")),
        Box(b"schi", join([track])),
    )
    kind = b"encv" if entry.kind in _VISUAL else b"enca"
    return stsd[:ENTRIES] + join([Box(kind, entry.body + join([Box(b"sinf", join(scheme))]))])


def _tell(ranges: Ranges) -> bytes:
    """A sample's ranges as they stand in `senc`."""
    return len(ranges).to_bytes(2, "big") + b"".join(
        clear.to_bytes(2, "big") + encrypted.to_bytes(4, "big") for clear, encrypted in ranges
    )


def _encrypt(sample: bytes, ranges: Ranges, secret: bytes, vector: bytes) -> bytes:
    """One chain of blocks through all encrypted ranges of a sample (9.5)."""
    cipher = Cipher(algorithms.AES(secret), modes.CTR(vector.ljust(16, b"\0"))).encryptor()
    if not ranges:
        return cipher.update(sample)
    return b"".join(_pieces(sample, ranges, cipher.update))


def _pieces(sample: bytes, ranges: Ranges, turn: Callable[[bytes], bytes]) -> Iterator[bytes]:
    place = 0
    for clear, encrypted in ranges:
        yield sample[place : place + clear]
        place += clear
        yield turn(sample[place : place + encrypted])
        place += encrypted


def _describe(entries: list[bytes], divided: bool, place: int) -> tuple[Box, Box, Box]:
    """`saiz`, `saio` and `senc` at the end of a `traf` that ends at `place` from `moof`'s begin."""
    sizes = {len(entry) for entry in entries}
    same = len(sizes) == 1
    count = len(entries).to_bytes(4, "big")
    listed = b"" if same else bytes(len(entry) for entry in entries)
    saiz = full(b"saiz", bytes([sizes.pop() if same else 0]), count, listed)
    flags = _SUBSAMPLES if divided else 0
    senc = full(b"senc", count, *entries, flags=flags)
    first = place + len(join([saiz])) + 20 + 16
    saio = full(b"saio", (1).to_bytes(4, "big"), first.to_bytes(4, "big"))
    return saiz, saio, senc

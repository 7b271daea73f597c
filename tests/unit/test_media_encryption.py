"""Boxes and samples of Common Encryption, without ffmpeg: what is unusual, and what is broken."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkstream.media.boxes import Box, BrokenBoxes
from darkstream.media.boxtree import changed, full, join, only, split
from darkstream.media.cenc import encrypt_segment
from darkstream.media.decryption import read_vectors, reveal_segment
from darkstream.media.samples import grow_index, take_apart
from darkstream.media.subsamples import divider

SECRET = secrets.token_bytes(16)
_SIZES, _FIRST_FLAGS, _OFFSET = 0x200, 0x4, 0x1


def entry(kind: bytes, config: bytes, place: int, length: int) -> Box:
    body = bytes(place) + bytes([0xFC | length - 1]) + bytes(8)
    return Box(kind, bytes(78) + join([Box(config, body)]))


def hevc(sps: str, length: int = 2) -> Box:
    """A sample entry with one sequence parameter set, behind one of another kind."""
    units = [(0xA0, b"\x40\1"), (0xA1, bytes.fromhex(sps))]
    arrays = b"".join(
        bytes([kind, 0, 1]) + len(unit).to_bytes(2, "big") + unit for kind, unit in units
    )
    config = bytes(21) + bytes([0xFC | length - 1, len(units)]) + arrays
    return Box(b"hvc1", bytes(78) + join([Box(b"hvcC", config)]))


def sps(height: int, log2: int, *, layers: int = 0, chroma: int = 1, window: bool = False) -> str:
    """The begin of a sequence parameter set (ITU-T H.265 7.3.2.2.1), in hexadecimal digits."""

    def ue(value: int) -> str:
        text = f"{value + 1:b}"
        return "0" * (len(text) - 1) + text

    bits = f"{0:04b}{layers:03b}1" + "1" * 96
    bits += "".join("11" if n < layers else "00" for n in range(8 if layers else 0))
    bits += "1" * (96 * layers) + ue(0) + ue(chroma) + ("0" if chroma == 3 else "")
    bits += ue(64) + ue(height) + ("1" + ue(1) * 4 if window else "0") + ue(0) * 3
    bits += "1" + ue(3) * 3 * (layers + 1) + ue(0) + ue(log2 - 3) + "1"
    bits += "0" * (-len(bits) % 8)
    return "4201" + int(bits, 2).to_bytes(len(bits) // 8, "big").hex()


# As x265 writes them: 2160x3840, coding tree units of 64 and of 32.
X265_64 = "420101016000000300900000030000030096a0010e2003c0596566924caf016808000003000800000300c040"
X265_32 = "420101016000000300900000030000030096a0010e2003c05965654a4c2f016808000003000800000300c040"
AVC, HEVC = entry(b"avc1", b"avcC", 4, 4), hevc(sps(64, 6))


def unit(head: int, size: int, length: int = 4) -> bytes:
    """A NAL unit of so many bytes, its length field included."""
    return (size - length).to_bytes(length, "big") + bytes([head]) + bytes(size - length - 1)


def segment(*samples: bytes, constant: bool = False) -> bytes:
    """A media segment as ffmpeg writes it: index, fragment of one run, samples."""
    flags = _OFFSET | _FIRST_FLAGS | (0 if constant else _SIZES)
    sizes = b"" if constant else b"".join(len(one).to_bytes(4, "big") for one in samples)
    usual = len(samples[0]).to_bytes(4, "big") if constant and samples else b""
    tfhd = full(b"tfhd", bytes(4), bytes(4) + usual, flags=0x20008 | (0x10 if constant else 0))
    count = len(samples).to_bytes(4, "big")

    def moof(offset: int) -> bytes:
        run = full(b"trun", count, offset.to_bytes(4, "big"), bytes(4), sizes, flags=flags)
        traf = join([tfhd, full(b"tfdt", bytes(4)), run])
        return join([full(b"mfhd", bytes(4)), Box(b"traf", traf)])

    fragment = moof(len(moof(0)) + 16)
    media = b"".join(samples)
    referenced = len(fragment) + len(media) + 16
    index = bytes(16) + (1).to_bytes(4, "big") + referenced.to_bytes(4, "big") + bytes(8)
    return join(
        [
            Box(b"styp", b"msdh"),
            full(b"sidx", index),
            Box(b"moof", fragment),
            Box(b"mdat", media),
        ]
    )


def encrypted(*samples: bytes, of: Box, constant: bool = False) -> bytes:
    """Encrypted; what comes back is what went in, and the index knows the new size."""
    data = segment(*samples, constant=constant)
    sealed, after = encrypt_segment(data, divider(of), SECRET, (1 << 64) - 1)
    assert after == (len(samples) - 1) % (1 << 64)
    assert reveal_segment(sealed, 8, SECRET) == data
    parts = split(sealed)
    size = len(join([box for box in parts if box.kind in {b"moof", b"mdat"}]))
    assert int.from_bytes(only(parts, b"sidx")[24:28], "big") == size
    return sealed


def ranges_of(of: Box, *units: bytes) -> tuple[tuple[int, int], ...]:
    return divider(of)(b"".join(units))


def test_slices_are_encrypted_in_whole_blocks_behind_their_headers() -> None:
    assert ranges_of(AVC, unit(0x67, 30), unit(0x65, 500)) == ((30 + 96 + 4, 400),)
    assert ranges_of(HEVC, unit(0x40, 30, 2), unit(0x26, 500, 2)) == ((30 + 96 + 4, 400),)


@pytest.mark.parametrize(
    ("sps", "rows"),
    [
        (X265_64, 60),
        (X265_32, 120),
        (sps(1080, 6), 17),
        (sps(1080, 4, layers=2), 68),
        (sps(2160, 5, chroma=3, window=True), 68),
    ],
)
def test_entry_points_of_each_row_stay_clear_in_hevc(sps: str, rows: int) -> None:
    ((clear, sealed),) = ranges_of(hevc(sps), unit(0x26, 60_000, 2))
    at_least = 96 + (rows - 1) * 2  # 60,000 takes 16 bits
    assert at_least <= clear < 96 + (rows - 1) * 3 + 1 + 16
    assert sealed % 16 == 0 and clear + sealed == 60_000
    short = 96 + rows - 1
    assert ranges_of(hevc(sps), unit(0x26, short, 2)) == ((short, 0),)


def test_hevc_without_its_parameters_is_not_encrypted() -> None:
    with pytest.raises(BrokenBoxes, match="without a sequence parameter set"):
        divider(entry(b"hvc1", b"hvcC", 21, 4))
    with pytest.raises(BrokenBoxes, match="ends too early"):
        divider(hevc(X265_64[:40]))


def test_what_is_no_slice_and_what_is_short_stays_clear() -> None:
    assert ranges_of(AVC, unit(0x06, 900), unit(0x41, 111)) == ((1011, 0),)
    assert ranges_of(AVC, unit(0x41, 112), unit(0x0C, 20)) == ((96, 16), (20, 0))
    assert ranges_of(HEVC, unit(0x4E, 900, 2)) == ((900, 0),)


def test_long_clear_parts_are_told_in_pieces() -> None:
    found = ranges_of(AVC, unit(0x06, 140_000), unit(0x65, 1000))
    assert found == ((65535, 0), (65535, 0), (140_000 - 131_070 + 104, 896))
    encrypted(unit(0x06, 140_000) + unit(0x65, 1000), of=AVC)


def test_sound_is_encrypted_whole() -> None:
    sealed = encrypted(b"a" * 300, b"b" * 7, of=Box(b"mp4a", b""))
    assert take_apart(sealed).samples[0] != b"a" * 300
    assert [vector.ranges for vector in read_vectors(sealed, 8)] == [(), ()]


def test_samples_of_one_size_need_no_table() -> None:
    sealed = encrypted(b"a" * 300, b"b" * 300, b"c" * 300, of=Box(b"ac-3", b""), constant=True)
    traf = split(only(split(only(split(sealed), b"moof")), b"traf"))
    assert only(traf, b"saiz")[4] == 8


def test_vectors_go_round_after_the_last() -> None:
    starts = [one.start for one in read_vectors(encrypted(b"a", b"b", of=Box(b"Opus", b"")), 8)]
    assert starts == [b"\xff" * 8, bytes(8)]


def test_a_picture_without_bytes_is_one() -> None:
    encrypted(unit(0x65, 300), b"", of=AVC)


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([0x65, 0x41, 0x06, 0x67]), st.integers(6, 700)), max_size=9
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_is_encrypted_comes_back(pictures: list[list[tuple[int, int]]]) -> None:
    samples = [b"".join(unit(head, size) for head, size in units) for units in pictures]
    sealed = encrypted(*samples, of=AVC)
    for sample, vector in zip(samples, read_vectors(sealed, 8), strict=True):
        assert sum(map(sum, vector.ranges)) == len(sample)
        assert all(part % 16 == 0 for _, part in vector.ranges)


def without(kind: bytes) -> bytes:
    path = (b"moof", b"traf")
    return changed(
        segment(b"a" * 20), path, lambda traf: join([b for b in split(traf) if b.kind != kind])
    )


def patched(kind: bytes, place: int, value: bytes) -> bytes:
    data = bytearray(segment(b"a" * 20))
    start = data.index(kind) + 4 + place
    data[start : start + len(value)] = value
    return bytes(data)


BROKEN = [
    (segment(b"a")[:-1], "does not end where it should"),
    (b"\0\0\0\7free", "does not end where it should"),
    (segment(b"a") + join([Box(b"free", b"")]), "does not end with its fragment"),
    (segment(b"a") + segment(b"a"), "2 boxes moof"),
    (without(b"trun"), "0 boxes trun"),
    (patched(b"tfhd", 3, b"\x09"), "count from elsewhere"),
    (patched(b"trun", 3, b"\x04"), "does not say where it begins"),
    (patched(b"trun", 2, b"\x00"), "does not say how large"),
    (patched(b"trun", 7, b"\x09"), "ends too early"),
    (patched(b"trun", 11, b"\x00"), "bytes that are in no sample"),
    (patched(b"sidx", 23, b"\x02"), "several references"),
]


@pytest.mark.parametrize(("data", "told"), BROKEN)
def test_what_is_no_segment_of_one_fragment_is_told(data: bytes, told: str) -> None:
    with pytest.raises(BrokenBoxes, match=told):
        encrypt_segment(data, divider(Box(b"Opus", b"")), SECRET, 0)


def test_what_cannot_be_divided_is_told() -> None:
    with pytest.raises(BrokenBoxes, match="no rule for the encryption of av01"):
        divider(Box(b"av01", b""))
    with pytest.raises(BrokenBoxes, match="NAL units"):
        ranges_of(AVC, unit(0x65, 300)[:-1])
    with pytest.raises(BrokenBoxes, match="NAL units"):
        ranges_of(AVC, bytes(4))
    with pytest.raises(BrokenBoxes, match="more than 40 slices"):
        ranges_of(AVC, *(unit(0x65, 200) for _ in range(41)))


def spoiled(kind: bytes, place: int, value: bytes) -> bytes:
    data = bytearray(encrypted(unit(0x65, 300), unit(0x41, 200), of=AVC))
    start = data.index(kind) + 4 + place
    data[start : start + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (segment(b"a" * 20), "0 boxes saio"),
        (spoiled(b"saio", 11, b"\x00"), "do not lead to the vectors"),
        (spoiled(b"senc", 7, b"\x03"), "not as many vectors as samples"),
        (spoiled(b"saiz", 4, b"\x0f"), "do not lead to the vectors"),
        (spoiled(b"senc", 19, b"\xff"), "not all of it"),
        (spoiled(b"senc", 3, b"\x00"), "another length"),
    ],
)
def test_vectors_that_cannot_be_believed_are_told(data: bytes, told: str) -> None:
    with pytest.raises(BrokenBoxes, match=told):
        read_vectors(data, 8)


def test_both_versions_of_an_index_grow() -> None:
    for version, times in ((0, 8), (1, 16)):
        head = bytes([version, 0, 0, 0]) + bytes(8 + times + 2) + b"\0\1"
        grown = grow_index(head + (500).to_bytes(4, "big") + b"rest", 20)
        assert grown == head + (520).to_bytes(4, "big") + b"rest"

"""Tracks of a presentation in numbers: rates, boxes, playlists."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from darkstream.media.boxes import BrokenBoxes, read_fragment, read_init
from darkstream.media.tracks import mean_rate, peak_rate
from darkstream.media.validator.m3u8 import parse_attributes, parse_playlist


def seconds(*pairs: tuple[int, int | str]) -> list[tuple[int, Fraction]]:
    return [(size, Fraction(length)) for size, length in pairs]


@pytest.mark.parametrize(
    ("segments", "target", "peak"),
    [
        (seconds((1000, 4), (2000, 4)), 4, 4000),
        # A short tail is no peak of its own, but counts with what is before it.
        (seconds((1000, 4), (1000, 4), (1000, 1)), 4, 3200),
        # Two that fit into one and a half targets together.
        (seconds((1000, 2), (4000, 2), (4000, 2)), 4, 16_000),
        # Nothing lasts half the target: the whole is what there is.
        (seconds((1000, 1)), 4, 8000),
        ([], 4, 0),
    ],
)
def test_the_peak_is_that_of_rfc_8216bis(
    segments: list[tuple[int, Fraction]], target: int, peak: int
) -> None:
    assert peak_rate(segments, target) == peak


def test_the_average_is_of_all() -> None:
    assert mean_rate(seconds((1000, 2), (500, 1))) == 4000
    assert mean_rate([]) == 0


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def init(entry: bytes, *parts: bytes, video: bool = True, edits: bytes = b"") -> bytes:
    """An initialisation segment of one track, at 1000 ticks a second."""
    head = 78 if video else 28
    body = bytearray(head)
    if video:
        body[24:28] = (320).to_bytes(2, "big") + (240).to_bytes(2, "big")
    media = box(
        b"mdia",
        box(b"mdhd", words(0, 0, 0, 1000, 0, 0)),
        box(b"hdlr", words(0, 0), b"vide" if video else b"soun"),
        box(
            b"minf",
            box(b"stbl", box(b"stsd", words(0, 1), box(entry, bytes(body), *parts))),
        ),
    )
    whole = box(b"mvhd", words(0, 0, 0, 500, 0))
    return box(b"moov", whole, box(b"trak", edits, media))


def written(tmp_path: Path, data: bytes) -> bytes:
    path = tmp_path / "x.mp4"
    path.write_bytes(data)
    return os.fsencode(path)


HVCC = box(b"hvcC", bytes([1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 153]))
ESDS = box(b"esds", words(0), bytes([3, 25, 0, 1, 0, 4, 17, 0x40]) + bytes(12) + b"\5\2\x12\x10")
COLR = box(b"colr", b"nclx", bytes([0, 9, 0, 16, 0, 9, 0]))


@pytest.mark.parametrize(
    ("entry", "parts", "codecs"),
    [
        (b"avc1", [box(b"avcC", b"\1\x64\0\x28")], "avc1.640028"),
        (b"hvc1", [HVCC], "hvc1.2.4.H153.90"),
        (b"av01", [box(b"av1C", bytes([0x81, 0x08, 0x4C, 0]))], "av01.0.08M.10.0.110"),
        (
            b"av01",
            [box(b"av1C", bytes([0x81, 0x08, 0x4E, 0])), COLR],
            "av01.0.08M.10.0.112.09.16.09.0",
        ),
        (
            b"vp09",
            [box(b"vpcC", words(0), bytes([2, 31, 0xA2, 9, 16, 9]))],
            "vp09.02.31.10.01.09.16.09.00",
        ),
    ],
)
def test_codecs_have_their_exact_names(
    tmp_path: Path, entry: bytes, parts: list[bytes], codecs: str
) -> None:
    found = read_init(written(tmp_path, init(entry, *parts)))
    assert found.codecs == codecs
    assert (found.width, found.height, found.timescale) == (320, 240, 1000)
    assert found.colour == ((9, 16, 9) if COLR in parts else None)


@pytest.mark.parametrize(
    ("entry", "parts", "codecs"),
    [
        (b"mp4a", [ESDS], "mp4a.40.2"),
        (b"Opus", [], "opus"),
        (b"fLaC", [], "fLaC"),
        (b"ec-3", [], "ec-3"),
    ],
)
def test_sound_has_its_exact_names(
    tmp_path: Path, entry: bytes, parts: list[bytes], codecs: str
) -> None:
    found = read_init(written(tmp_path, init(entry, *parts, video=False)))
    assert (found.codecs, found.width) == (codecs, None)


def test_an_edit_says_what_is_skipped(tmp_path: Path) -> None:
    for edit in (words(0, 1, 0, 312, 0x10000), words(1 << 24, 1, 0, 0, 0, 312, 0x10000)):
        data = init(b"Opus", video=False, edits=box(b"edts", box(b"elst", edit)))
        assert read_init(written(tmp_path, data)).skipped == 312


def test_an_empty_edit_says_how_late_a_track_begins(tmp_path: Path) -> None:
    nothing = 0xFFFFFFFF
    late = words(0, 2, 40, nothing, 0x10000, 0, 312, 0x10000)
    longer = words(1 << 24, 2, 0, 40, nothing, nothing, 0x10000, 0, 0, 0, 312, 0x10000)
    alone = words(0, 1, 40, nothing, 0x10000)
    for edits, skipped in ((late, 312), (longer, 312), (alone, 0)):
        data = init(b"Opus", video=False, edits=box(b"edts", box(b"elst", edits)))
        found = read_init(written(tmp_path, data))
        # 40 ticks of the movie, whose ticks are twice as long as those of the track.
        assert (found.skipped, found.late) == (skipped, 80)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        box(b"moov"),
        init(b"zzzz"),
        init(b"avc1"),
        init(b"mp4a", box(b"esds", words(0), b"\7\0"), video=False),
        box(b"moov", words(3) + b"trak"),
        init(b"Opus", video=False, edits=box(b"edts", box(b"elst", words(0, 1, 40)))),
    ],
)
def test_other_initialisations_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BrokenBoxes):
        read_init(written(tmp_path, data))


def fragment(run: bytes, *, flags: int = 0x20038) -> bytes:
    header = words(flags, 1, 40, 100, 0x1010000)
    return box(
        b"moof",
        box(b"mfhd", words(0, 1)),
        box(b"traf", box(b"tfhd", header), box(b"tfdt", words(0, 80)), box(b"trun", run)),
    )


def test_a_fragment_tells_where_its_first_picture_ends(tmp_path: Path) -> None:
    # Two samples with sizes and shifts; the first has flags of its own: a key frame.
    run = words(0x01000A05, 2, 200, 0x2000000, 70, 20, 60, (1 << 32) - 60)
    found = read_fragment(written(tmp_path, box(b"styp") + fragment(run) + box(b"mdat", bytes(9))))
    assert found.starts_with_sync
    assert (found.decode_time, found.duration, found.samples) == (80, 80, 2)
    assert found.start == 60
    assert found.first_sample_end == 8 + 200 + 70


def test_a_fragment_may_leave_all_to_its_defaults(tmp_path: Path) -> None:
    found = read_fragment(written(tmp_path, fragment(words(0, 3))))
    assert (found.duration, found.first_sample_end, found.starts_with_sync) == (120, 100, False)


@pytest.mark.parametrize(
    "data",
    [b"", fragment(words(0, 0)), fragment(words(0, 1)) * 2],
)
def test_other_fragments_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BrokenBoxes):
        read_fragment(written(tmp_path, data))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('A=1,B="x,y",C-D=YES', {"A": "1", "B": "x,y", "C-D": "YES"}),
        ("", None),
        ("A=1,", None),
        ("A=1,A=2", None),
        ("A==1", None),
        ('A="1', None),
        ("a=1", None),
    ],
)
def test_attribute_lists_are_read_strictly(text: str, found: dict[str, str] | None) -> None:
    assert parse_attributes(text) == found


def test_keys_last_until_the_next_and_other_tags_for_one_segment() -> None:
    text = (
        '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\na\n'
        "#EXTINF:2,\nb\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1.5,\n#a remark\nc\n"
    )
    segments = parse_playlist("x", text).segments
    assert [s.uri for s in segments] == ["a", "b", "c"]
    assert [len(s.keys) for s in segments] == [1, 1, 0]
    assert [s.discontinuity for s in segments] == [True, False, False]
    assert segments[2].duration == Fraction(3, 2)


def test_keys_of_several_formats_stand_together_and_a_map_has_those_before_it() -> None:
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="{}",KEYFORMAT="{}"\n'
    text = (
        f'#EXTM3U\n{key.format("1", "identity")}#EXT-X-MAP:URI="m"\n{key.format("2", "other")}'
        f"#EXTINF:2,\na\n{key.format('3', 'identity')}#EXTINF:2,\nb\n"
    )
    first, second = parse_playlist("x", text).segments
    assert [key["URI"] for key in first.keys] == ["1", "2"]
    assert [key["URI"] for key in second.keys] == ["3", "2"]
    assert [key["URI"] for key in second.map_keys] == ["1"]

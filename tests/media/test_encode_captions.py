"""CEA-608 captions inside pictures: seen, kept, taken out, or told to be lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pysubs2
from fixtures_planning import LIMITS, Clips, Walked, Walker

from darkstream.media.companions import make_companions
from darkstream.media.decoding import Decoder
from darkstream.planning.presets import parse_preset

_TEXT = "HELLO CAPTIONS"
_PICTURES = 75


def _parity(byte: int) -> int:
    """CEA-608: seven bits and an odd parity."""
    return byte | (0x80 if byte.bit_count() % 2 == 0 else 0)


def _pairs() -> Iterator[tuple[int, int]]:
    """A pair a picture: text is loaded, shown at once, and erased a second later."""
    text = _TEXT + " " * (len(_TEXT) % 2)
    commands = [(0x14, 0x20), (0x14, 0x70)]
    commands += [(ord(one), ord(two)) for one, two in zip(text[::2], text[1::2], strict=True)]
    commands += [(0x14, 0x2F)]
    commands += [(0, 0)] * 25 + [(0x14, 0x2C)]
    yield from commands
    while True:
        yield 0, 0


def _caption_sei(pair: tuple[int, int]) -> bytes:
    """A SEI unit of H.264 with one pair in ATSC A/53's form (annex B, escaped)."""
    data = bytes((0xFC, _parity(pair[0]), _parity(pair[1])))
    payload = b"\xb5\x00\x31GA94\x03" + bytes((0x40 | 1, 0xFF)) + data + b"\xff"
    body = bytes((4, len(payload))) + payload + b"\x80"
    escaped, zeros = bytearray(), 0
    for byte in body:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\x00\x00\x00\x01\x06" + bytes(escaped)


def _captioned(clips: Clips, name: str) -> Path:
    picture = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={_PICTURES / 25}")
    codec = ("-c:v", "libx264", "-bf", "0", "-x264-params", "slices=1:aud=1", "-f", "h264")
    raw = clips.make("bare.h264", *picture, *codec).read_bytes()
    pictures = raw.split(b"\x00\x00\x00\x01\x09")[1:]
    with_captions = bytearray()
    for picture_data, pair in zip(pictures, _pairs(), strict=False):
        delimiter, rest = picture_data[:1], picture_data[1:]
        with_captions += b"\x00\x00\x00\x01\x09" + delimiter + _caption_sei(pair) + rest
    path = clips.directory / f"{name}.h264"
    path.write_bytes(bytes(with_captions))
    return clips.make(name, "-r", "25", "-i", str(path), "-c", "copy")


def _walk(walker: Walker, source: Path, work: Path, text: str) -> Walked:
    done = walker.walk(source, parse_preset(f"name: x\n{text}", "x.yaml"), work)
    assert done.presentation is not None, done.reason
    return done


def test_they_are_seen_and_stay_where_the_encoder_can_keep_them(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = _captioned(clips, "captioned.ts")
    assert walker.prober.probe(os.fsencode(source)).video[0].captions
    for codec in ("h264", "hevc"):
        rule = f"video: {{codec: {codec}, copy_codecs: []}}\n"
        done = _walk(walker, source, tmp_path / codec, rule)
        assert done.presentation is not None
        assert walker.prober.probe(done.presentation.path).video[0].captions
        assert done.findings == ()


def test_they_are_told_to_be_lost_where_it_cannot(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    wish = "extends: archive\nguards: {smaller_by: null}\n"
    done = _walk(walker, _captioned(clips, "captioned.ts"), tmp_path, wish)
    assert [finding.code for finding in done.findings] == ["captions-lost"]


def test_they_are_taken_out_with_their_times(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = _captioned(clips, "it's, [cc];=.mp4")
    wish = "extends: archive\nguards: {smaller_by: null}\nsubtitles: {sidecar: srt}\n"
    done = _walk(walker, source, tmp_path / "walk", wish)
    assert done.plan is not None
    assert done.findings == ()
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    beside = os.fsencode(tmp_path / "beside")
    (made,) = make_companions(done.plan, os.fsencode(source), None, beside, decoder)
    assert made.suffix == ".cc.srt"
    (line,) = pysubs2.load(os.fsdecode(made.path), format_="srt")
    assert line.plaintext.strip() == _TEXT
    shown_at = (2 + len(_TEXT) // 2) * 40
    assert abs(line.start - shown_at) <= 80
    assert abs(line.end - line.start - 26 * 40) <= 120


def test_ordinary_pictures_have_none(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.plain("no-captions.mkv", "-c:v", "mpeg4")
    assert not walker.prober.probe(os.fsencode(source)).video[0].captions

"""The validator of presentations: what is right passes, and each broken rule is named."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.errors import VerificationFailed
from darkstream.media.package import package
from darkstream.media.validator import check_presentation
from darkstream.model.encoded import Encoded
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import PackageRule, Rung
from darkstream.planning.presets import load_preset

SUBTITLES = """1
00:00:00,500 --> 00:00:01,500
One

2
00:00:03,000 --> 00:00:04,000
Two
"""


@pytest.fixture(scope="module")
def good(walker: Walker, clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """A ladder of two, two languages, two subtitles."""
    work = tmp_path_factory.mktemp("good")
    (work / "subtitles.srt").write_text(SUBTITLES)
    text = ("-i", str(work / "subtitles.srt"))
    source = clips.make(
        "rules.mkv",
        *("-i", str(clips.plain("five.mp4", seconds=5)), *text, "-map", "0:v", "-map", "0:a"),
        *("-map", "0:a", "-map", "1:s", "-map", "1:s", "-c", "copy"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=jpn"),
        *("-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=deu"),
        *("-disposition:s:0", "default", "-disposition:s:1", "forced"),
    )
    rungs = (Rung(height=240, max_bit_rate=900_000), Rung(height=120, max_bit_rate=300_000))
    rule = PackageRule(kind="abr", ladder=rungs, segment_seconds=Fraction(2))
    wish = load_preset("abr").model_copy(update={"package": rule})
    done = walker.walk(source, wish, work)
    assert done.status == "done", done.reason
    return done


@pytest.fixture
def directory(good: Walked, tmp_path: Path) -> Path:
    """A copy to break."""
    assert good.presentation is not None
    return shutil.copytree(os.fsdecode(good.presentation.path), tmp_path / "presentation")


def violations(directory: Path) -> list[str]:
    found = check_presentation(os.fsencode(directory), "master.m3u8", "manifest.mpd")
    return [str(violation) for violation in found]


def test_what_is_made_breaks_no_rule(directory: Path) -> None:
    assert violations(directory) == []


def replaced(name: str, pattern: str, by: str, count: int = 1) -> Callable[[Path], None]:
    def break_it(directory: Path) -> None:
        path = directory / name
        text, done = re.subn(pattern, by, path.read_text(), count=count, flags=re.M)
        assert done, f"{pattern} is not in {name}"
        path.write_text(text)

    return break_it


def without(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def patched(name: str, kind: bytes, offset: int, value: bytes) -> Callable[[Path], None]:
    """Bytes behind the name of the first box of a kind."""

    def break_it(directory: Path) -> None:
        data = bytearray((directory / name).read_bytes())
        place = data.index(kind) + 4 + offset
        data[place : place + len(value)] = value
        (directory / name).write_bytes(data)

    return break_it


def both(*breaks: Callable[[Path], None]) -> Callable[[Path], None]:
    def break_it(directory: Path) -> None:
        for one in breaks:
            one(directory)

    return break_it


M, V, A, K, T = "master.m3u8", "video-0.m3u8", "audio-2.m3u8", "video-0-keys.m3u8", "text-0.vtt"
KEY = '#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXT-X-MAP'
HLS = [
    (replaced(M, r"^#EXTM3U", "EXTM3U"), "4.4.1.1"),
    (replaced(M, "BANDWIDTH=", "BANDWIDTH=="), "4.2"),
    (replaced(M, "DEFAULT=YES", "DEFAULT=YES,DEFAULT=YES"), "4.2"),
    (replaced(V, "VERSION:7", "VERSION:5"), "8"),
    (replaced(K, "VERSION:7", "VERSION:4"), "8"),
    (without(V), "4.1"),
    (without(M), None),
    (replaced(M, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""), "4.4.2.1"),
    (replaced(V, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""), "4.4.2.1"),
    (replaced(V, r"#EXT-X-TARGETDURATION:2\n", ""), "4.4.3.1"),
    (replaced(V, "TARGETDURATION:2", "TARGETDURATION:1"), "4.4.3.1"),
    (replaced(A, "TARGETDURATION:2", "TARGETDURATION:3"), "6.2.4"),
    (replaced(V, "#EXT-X-ENDLIST\n", ""), "4.4.3.4"),
    (replaced(V, "TYPE:VOD", "TYPE:EVENT"), "4.4.3.5"),
    (replaced(V, r"(#EXTINF.*\n.*\n)+", ""), "4.4.4.1"),
    (replaced(V, r"#EXTINF:2\.000000,\n", ""), "4.4.4.1"),
    (replaced(V, r"EXTINF:2\.0", "EXTINF:1.9"), "4.4.4.1"),
    (replaced(V, "#EXTINF", "#EXT-X-GAP\n#EXTINF"), "4.4.4.7"),
    (replaced(V, "#EXT-X-MAP.*\n", ""), "3.1.2"),
    (replaced(V, "init-0", "seg-0-00001"), "3.1.2"),
    (replaced(K, r"BYTERANGE:\d+@0", "BYTERANGE:999999999@0"), "4.4.4.2"),
    (replaced(K, r"BYTERANGE:\d+@0", "BYTERANGE:100@0"), "4.4.3.6"),
    (replaced(K, "BYTERANGE:", "BYTERANGE:x"), "4.2"),
    (replaced(K, "#EXT-X-I-FRAMES-ONLY\n", ""), "4.4.6.3"),
    (replaced(M, r"(I-FRAME-STREAM-INF:)BANDWIDTH=\d+", r"\1BANDWIDTH=1"), "4.4.6.3"),
    (replaced(M, r"(I-FRAME-STREAM-INF:)BANDWIDTH=\d+,", r"\1"), "4.4.6.3"),
    (without("seg-0-00002.m4s"), "4.4.4"),
    (patched("seg-0-00002.m4s", b"tfdt", 4, bytes(8)), "4.4.4.3"),
    (patched("seg-0-00002.m4s", b"trun", 12, b"\x01\x01\x00\x00"), "4.4.2.1"),
    (replaced(V, "#EXT-X-MAP", KEY), "4.4.4.5"),
    (replaced(V, "#EXT-X-MAP", KEY.replace('"key"', '"key",IV=0x12')), "4.4.4.4"),
    (replaced(V, "#EXT-X-MAP", KEY.replace("AES-128", "ROT13")), "4.4.4.4"),
    (replaced(V, "#EXT-X-MAP", KEY.replace(',URI="key"', "")), "4.4.4.4"),
    (replaced(M, r'NAME="\w+",', ""), "4.4.6.1"),
    (replaced(M, "TYPE=AUDIO", "TYPE=NOISE"), "4.4.6.1"),
    (replaced(M, r"(AUDIO.*)DEFAULT=NO", r"\1DEFAULT=YES"), "4.4.6.1.1"),
    (replaced(M, r"(AUDIO.*)DEFAULT=YES", r"\1DEFAULT=NO"), "4.4.6.1.1"),
    (replaced(M, 'NAME="jpn"', 'NAME="eng"'), "4.4.6.1.1"),
    (replaced(M, '(GROUP-ID=)"audio"(,NAME="jpn")', r'\1"other"\2'), "4.4.6.1.1"),
    (replaced(M, 'LANGUAGE="ja"', 'LANGUAGE="en"'), "4.4.6.1.1"),
    (replaced(M, "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO"), "4.4.6.1"),
    (replaced(M, 'CHANNELS="2",', ""), "4.4.6.1"),
    (replaced(M, r'CHANNELS="2"', 'CHANNELS="2",FORCED=YES'), "4.4.6.1"),
    (replaced(M, r'(TYPE=SUBTITLES.*),URI="text-\d.m3u8"', r"\1"), "4.4.6.2.1"),
    (replaced(M, r"(STREAM-INF:)BANDWIDTH=\d+", r"\1BANDWIDTH=1000"), "4.4.6.2"),
    (replaced(M, r"(STREAM-INF:)BANDWIDTH=(\d+)", r"\1BANDWIDTH=\g<2>9"), "rates of VOD"),
    (replaced(M, r"AVERAGE-BANDWIDTH=(\d+)", r"AVERAGE-BANDWIDTH=\g<1>9"), "rates of VOD"),
    (replaced(M, r"AVERAGE-BANDWIDTH=\d+,", ""), "4.4.6.2"),
    (replaced(M, "avc1", "avc3"), "4.4.6.2"),
    (replaced(M, ",mp4a.40.2", ""), "4.4.6.2"),
    (replaced(M, "RESOLUTION=320x240", "RESOLUTION=640x480"), "4.4.6.2"),
    (replaced(M, "VIDEO-RANGE=SDR", "VIDEO-RANGE=PQ"), "4.4.6.2"),
    (replaced(M, r"FRAME-RATE=25\.000", "FRAME-RATE=fast"), "4.4.6.2"),
    (replaced(M, ',AUDIO="audio"', ',AUDIO="other"'), "4.4.6.2"),
    (replaced(M, ',AUDIO="audio"', ""), "4.4.6.2"),
    (replaced(M, ',SUBTITLES="subtitles"', ""), "4.4.6.2"),
    (replaced(M, "(?s)#EXT-X-STREAM-INF.*", ""), "4.4.6.2"),
    (replaced(T, "WEBVTT", "SUBTITLES"), "3.1.4"),
    (replaced(T, "^X-TIMESTAMP-MAP=.*\n", ""), "3.1.4"),
    (replaced(T, r"00:01\.500", "00:00.100"), "3.1.4"),
]
D = "manifest.mpd"
DASH = [
    (replaced(D, "<MPD", "<<MPD"), "5.3.1"),
    (replaced(D, ' minBufferTime="[^"]+"', ""), "5.3.1.2"),
    (replaced(D, ' mediaPresentationDuration="[^"]+"', ""), "5.3.1.2"),
    (
        replaced(D, 'mediaPresentationDuration="[^"]+"', 'mediaPresentationDuration="PT1S"'),
        "5.3.1.2",
    ),
    (replaced(D, 'maxSegmentDuration="[^"]+"', 'maxSegmentDuration="PT1S"'), "5.3.1.2"),
    (replaced(D, 'AdaptationSet id="0"', 'AdaptationSet id="2"'), "5.3.3.2"),
    (replaced(D, 'contentType="audio"', 'contentType="noise"'), "5.3.3.2"),
    (replaced(D, 'Representation id="1"', 'Representation id="0"'), "5.3.5.2"),
    (replaced(D, 'value="alternate"', 'value="main"'), "roles"),
    (replaced(D, 'value="main"', 'value="alternate"'), "roles"),
    (replaced(D, ' par="[^"]+"', ""), "attributes of sets"),
    (replaced(D, ' maxFrameRate="[^"]+"', ""), "attributes of sets"),
    (replaced(D, ' frameRate="[^"]+"', ""), "attributes of sets"),
    (replaced(D, ' lang="en"', ""), "attributes of sets"),
    (replaced(D, ' lang="de"', ""), "attributes of sets"),
    (replaced(D, ' audioSamplingRate="[^"]+"', ""), "attributes of sets"),
    (replaced(D, "<AudioChannelConfiguration[^>]+>", ""), "audio channels"),
    (replaced(D, ' segmentAlignment="true"', ""), "segment alignment"),
    (replaced(D, ' startWithSAP="1"', ""), "segment alignment"),
    (replaced(D, r'bandwidth="\d+"', 'bandwidth="1000"'), "5.3.5.2"),
    (replaced(D, 'codecs="avc1', 'codecs="avc3'), "5.3.7.2"),
    (replaced(D, ' codecs="avc1[^"]+"', ""), "5.3.7.2"),
    (replaced(D, 'width="320"', 'width="640"'), "5.3.5.2"),
    (replaced(D, ' initialization="[^"]+"', ""), "5.3.9.4"),
    (replaced(D, r'initialization="[^"]+"', 'initialization="no.mp4"'), "5.3.9.5"),
    (without("seg-0-00002.m4s"), "5.3.9.5"),
    (replaced(D, r'<S t="0"', '<S t="7"'), "5.3.9.6"),
    (patched("seg-0-00002.m4s", b"tfdt", 4, bytes(8)), "5.3.9.6"),
    (patched("seg-0-00002.m4s", b"moof", -4, b"free"), "6.3.4"),
    (patched("seg-0-00002.m4s", b"trun", 12, b"\x01\x01\x00\x00"), "segment alignment"),
    (
        replaced(D, r'(?s)(Representation id="1".*?)d="32000" r="1"', r'\1d="16000" r="3"'),
        "segment alignment",
    ),
    (patched("init-0.mp4", b"elst", 8, b"\0\0\0\x64\xff\xff\xff\xff"), "track timing"),
    (without(T), "text"),
    (replaced(T, "WEBVTT", "SUBTITLES"), "text"),
]


@pytest.mark.parametrize(("broken", "section"), HLS)
def test_each_rule_of_hls_is_named(
    directory: Path, broken: Callable[[Path], None], section: str | None
) -> None:
    (directory / "manifest.mpd").unlink()
    broken(directory)
    found = violations(directory)
    if section is None:
        assert not found
        return
    assert any(one.endswith((f"(RFC 8216bis {section})", f", {section})")) for one in found), found


@pytest.mark.parametrize(("broken", "rule"), DASH)
def test_each_rule_of_dash_is_named(
    directory: Path, broken: Callable[[Path], None], rule: str
) -> None:
    for playlist in directory.glob("*.m3u8"):
        playlist.unlink()
    broken(directory)
    found = violations(directory)
    assert any(one.endswith((f" {rule})", f"({rule})")) for one in found), found


def test_renditions_that_cannot_be_switched_are_named(directory: Path) -> None:
    replaced("video-1.m3u8", r"#EXTINF.*\nseg-1-00003.m4s\n", "")(directory)
    told = "its segments begin elsewhere than those of video-0.m3u8 (RFC 8216bis 6.2.4)"
    assert any(told in one for one in violations(directory))


def test_nothing_that_breaks_a_rule_is_published(good: Walked, directory: Path) -> None:
    replaced("video-0.m3u8", "TARGETDURATION:2", "TARGETDURATION:1")(directory)
    assert isinstance(good.plan, EncodePlan)
    assert isinstance(good.encoded, Encoded)
    moved = good.encoded.model_copy(update={"directory": os.fsencode(directory)})
    with pytest.raises(VerificationFailed, match=r"break a rule: .*\(RFC 8216bis 4\.4\.3\.1\)"):
        package(good.plan, moved)


def test_subtitles_are_kept_with_language_and_flags(directory: Path) -> None:
    master = (directory / "master.m3u8").read_text()
    assert (
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="eng",DEFAULT=YES,AUTOSELECT=YES,'
        'LANGUAGE="en",URI="text-4.m3u8"'
    ) in master
    assert 'NAME="deu",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="de",FORCED=YES' in master
    assert master.count(',SUBTITLES="subtitles"') == 2
    text = (directory / T).read_text()
    assert text.startswith("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n")
    assert "00:00:03.000 --> 00:00:04.000\nTwo" in text
    mpd = (directory / D).read_text()
    assert mpd.count('contentType="text" mimeType="text/vtt"') == 2
    assert 'value="forced-subtitle"' in mpd

"""Encrypted packages: what is in them, that the key opens them, and that nothing else does."""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.errors import Cancelled, KeyUnavailable, VerificationFailed
from darkstream.media.boxes import read_init
from darkstream.media.decryption import read_protection, read_vectors
from darkstream.media.encryption import check_encrypted, encrypt_package
from darkstream.media.package import package
from darkstream.media.samples import take_apart
from darkstream.media.tracks import read_tracks
from darkstream.media.validator import check_presentation
from darkstream.model.key import SecretKey
from darkstream.model.plan import AbrPackage, EncodePlan, Encryption
from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.observe.cancel import CancelToken
from darkstream.planning.presets import load_preset

RUNGS = (Rung(height=240, max_bit_rate=900_000), Rung(height=120, max_bit_rate=300_000))
KEY = SecretKey(bytes.fromhex("00112233445566778899aabbccddeeff"), secrets.token_bytes(16))
CUES = "1\n00:00:00,500 --> 00:00:04,000\nOne\n"
KEY_URI, LICENSE_URI = "https://keys.example/{key_id}.key", "https://keys.example/license?a=1&b=2"


def preset(codec: str = "h264", audio: str = "aac", **changes: object) -> Preset:
    values: dict[str, object] = {
        "kind": "abr",
        "ladder": RUNGS,
        "segment_seconds": Fraction(2),
        "key_uri": KEY_URI,
    }
    rule = PackageRule.model_validate(values | changes)
    base = load_preset("abr")
    assert base.video is not None
    video = base.video.model_copy(update={"codec": codec, "quality": None, "speed": None})
    sound = base.audio.model_copy(update={"codec": audio})
    return base.model_copy(update={"package": rule, "video": video, "audio": sound})


@pytest.fixture(scope="module")
def source(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("cues")
    (work / "cues.srt").write_text(CUES)
    return clips.make(
        "to-encrypt.mkv",
        *("-i", str(clips.plain("five.mp4", seconds=5)), "-i", str(work / "cues.srt")),
        *("-map", "0:v", "-map", "0:a", "-map", "1:s", "-c", "copy"),
    )


@pytest.fixture(scope="module")
def cenc(walker: Walker, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """With B-frames, whose samples stand in another order than they are shown in."""
    wish = preset(encryption="cenc", license_uri=LICENSE_URI)
    done = walker.walk(source, wish, tmp_path_factory.mktemp("cenc"), key=KEY, speed="veryfast")
    assert done.status == "done", done.reason
    return done


@pytest.fixture(scope="module")
def whole(walker: Walker, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    wish = preset(encryption="aes-128", dash=False)
    done = walker.walk(source, wish, tmp_path_factory.mktemp("aes"), key=KEY, speed="veryfast")
    assert done.status == "done", done.reason
    return done


def published(walked: Walked) -> Path:
    assert walked.presentation is not None
    return Path(os.fsdecode(walked.presentation.path))


def clear(walked: Walked) -> Path:
    assert walked.encoded is not None
    return Path(os.fsdecode(walked.encoded.directory))


def encryption_of(walked: Walked) -> Encryption:
    assert walked.plan is not None
    assert isinstance(walked.plan.package, AbrPackage)
    assert walked.plan.package.encryption is not None
    return walked.plan.package.encryption


def broken(directory: Path) -> list[str]:
    found = check_presentation(os.fsencode(directory), "master.m3u8", "manifest.mpd")
    return [str(violation) for violation in found]


def frames(ffmpeg: str, *options: str) -> list[str]:
    """Hashes of the decoded pictures or sound."""
    argv = [ffmpeg, "-v", "error", *options, "-map", "0", "-f", "framehash", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]


def joined(directory: Path, number: int, into: Path) -> str:
    parts = [directory / f"init-{number}.mp4", *sorted(directory.glob(f"seg-{number}-*.m4s"))]
    into.write_bytes(b"".join(part.read_bytes() for part in parts))
    return str(into)


def test_ffmpeg_decrypts_every_track_to_the_very_same_pictures_and_sound(
    cenc: Walked, walker: Walker, tmp_path: Path
) -> None:
    ffmpeg, opened = walker.capabilities.ffmpeg, ("-decryption_key", KEY.secret.hex())
    tracks = read_tracks(os.fsencode(clear(cenc)))
    assert [track.kind for track in tracks] == ["video", "video", "audio", "text"]
    for track in tracks[:3]:
        sealed = joined(published(cenc), track.id, tmp_path / "sealed.mp4")
        plain = joined(clear(cenc), track.id, tmp_path / "plain.mp4")
        expected = frames(ffmpeg, "-i", plain)
        assert len(expected) > 100
        assert frames(ffmpeg, *opened, "-i", sealed) == expected


def test_without_the_key_nothing_is_seen(cenc: Walked, walker: Walker, tmp_path: Path) -> None:
    sealed = joined(published(cenc), 0, tmp_path / "sealed.mp4")
    plain = joined(clear(cenc), 0, tmp_path / "plain.mp4")
    argv = [walker.capabilities.ffmpeg, "-v", "quiet", "-i", sealed, "-f", "framehash", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    seen = {line.split(b",")[-1].strip().decode() for line in done.stdout.splitlines()}
    assert len(seen) > 10
    assert not seen & set(frames(walker.capabilities.ffmpeg, "-i", plain))


def test_boxes_say_scheme_key_and_vectors(cenc: Walked) -> None:
    directory = published(cenc)
    vectors: list[bytes] = []
    for track in read_tracks(os.fsencode(directory))[:3]:
        assert track.init is not None
        init = (directory / track.init).read_bytes()
        told = read_protection(init)
        assert told == ("cenc", KEY.id, 8)
        assert (b"encv" if track.kind == "video" else b"enca") in init
        # Version 1 of W3C's common system: one id, no data.
        system = bytes.fromhex("1077efecc0b24d02ace33c1e52e2fb4b")
        expected = b"pssh\1\0\0\0" + system + b"\0\0\0\1" + KEY.id + b"\0\0\0\0"
        assert init.count(expected) == 1
        for segment in track.segments:
            for vector in read_vectors((directory / segment.name).read_bytes(), 8):
                vectors.append(vector.start)
                assert bool(vector.ranges) == (track.kind == "video")
                assert all(sealed % 16 == 0 for _, sealed in vector.ranges)
    assert len(set(vectors)) == len(vectors), "no vector is used twice under one key"


def test_codecs_are_those_of_the_clear_tracks(cenc: Walked) -> None:
    for name in ("init-0.mp4", "init-2.mp4"):
        sealed, plain = (read_init(os.fsencode(d / name)) for d in (published(cenc), clear(cenc)))
        assert sealed == plain


def units_of(sample: bytes) -> list[bytes]:
    """The NAL units of a picture, whose lengths have four bytes."""
    found = []
    while sample:
        end = 4 + int.from_bytes(sample[:4], "big")
        found.append(sample[4:end])
        sample = sample[end:]
    return found


def test_parameter_sets_and_slice_headers_stay_readable(cenc: Walked) -> None:
    names = [path.name for path in sorted(clear(cenc).glob("seg-0-*.m4s"))]
    slices = 0
    for name in names:
        plain = take_apart((clear(cenc) / name).read_bytes()).samples
        # The same sizes at another place: where the media begin is all that differs.
        media = (published(cenc) / name).read_bytes()[-sum(map(len, plain)) :]
        for sample in plain:
            sealed, media = media[: len(sample)], media[len(sample) :]
            before, after = units_of(sample), units_of(sealed)
            assert [len(unit) for unit in before] == [len(unit) for unit in after]
            for one, other in zip(before, after, strict=True):
                if not 1 <= one[0] & 31 <= 5 or len(one) + 4 < 112:
                    assert one == other
                    continue
                slices += 1
                assert one[:92] == other[:92]
                assert one[92:] != other[92:]
    assert slices > 50


def test_manifests_name_the_key_and_where_it_is(cenc: Walked) -> None:
    directory = published(cenc)
    assert broken(directory) == []
    mpd = (directory / "manifest.mpd").read_text()
    assert mpd.count('value="cenc" cenc:default_KID="00112233-4455-6677-8899-aabbccddeeff"') == 2
    license_uri = "https://keys.example/license?a=1&amp;b=2"
    assert mpd.count(f"<dashif:Laurl>{license_uri}</dashif:Laurl>") == 4
    (pssh,) = set(re.findall("<cenc:pssh>(.*)</cenc:pssh>", mpd))
    assert base64.b64decode(pssh) in (directory / "init-0.mp4").read_bytes()
    for name in ("video-0.m3u8", "video-0-keys.m3u8", "audio-2.m3u8"):
        lines = (directory / name).read_text().splitlines()
        place = lines.index(f'#EXT-X-MAP:URI="init-{name[6]}.mp4"')
        assert lines[place - 2 : place] == [
            f'#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="https://keys.example/{KEY.id.hex()}.key",'
            'KEYFORMAT="identity",KEYFORMATVERSIONS="1"',
            f'#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="{LICENSE_URI}",KEYID=0x{KEY.id.hex()},'
            'KEYFORMAT="org.w3.clearkey",KEYFORMATVERSIONS="1"',
        ]
    assert "#EXT-X-KEY" not in (directory / "text-3.m3u8").read_text()


def test_each_file_of_aes_128_is_what_openssl_makes_of_it(whole: Walked, tmp_path: Path) -> None:
    directory = published(whole)
    names = {path.name for path in directory.iterdir()}
    assert not [name for name in names if name.endswith((".mpd", "-keys.m3u8"))]
    seen = set()
    for playlist in directory.glob("*-[0-9].m3u8"):
        text = playlist.read_text()
        vectors = re.findall(
            r'#EXT-X-KEY:METHOD=AES-128,URI="https://keys\.example/00112233445566778899aabbccddeeff'
            r'\.key",IV=0x([0-9a-f]{32})\n(?:#EXT-X-MAP:URI="(.+)"|#EXTINF.*\n(.+))\n',
            text,
        )
        assert len(vectors) == text.count("#EXTINF") + text.count("#EXT-X-MAP")
        for vector, *named in vectors:
            name = "".join(named)
            argv = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", KEY.secret.hex(), "-iv", vector]
            sealed = (directory / name).read_bytes()
            done = subprocess.run(argv, input=sealed, capture_output=True, check=True)
            assert done.stdout == (clear(whole) / name).read_bytes()
            assert done.stdout[:8] != sealed[:8]
            seen.add(vector)
    files = [name for name in names if not name.endswith(".m3u8")]
    assert len(seen) == len(files), "each file has a vector of its own"
    assert broken(directory) == []


def test_ffmpeg_plays_aes_128_with_the_key(whole: Walked, walker: Walker, tmp_path: Path) -> None:
    copy = shutil.copytree(published(whole), tmp_path / "copy")
    (copy / "the.key").write_bytes(KEY.secret)
    for playlist in copy.glob("*-*.m3u8"):
        text = re.sub(r'URI="https:[^"]+"', 'URI="the.key"', playlist.read_text())
        playlist.write_text(text)
    options = ("-allowed_extensions", "ALL", "-i")
    for name in ("video-0.m3u8", "audio-2.m3u8"):
        ffmpeg = walker.capabilities.ffmpeg
        plain = frames(ffmpeg, *options, str(clear(whole) / name))
        assert frames(ffmpeg, *options, str(copy / name)) == plain


@pytest.mark.parametrize(
    ("codec", "audio", "scheme"),
    [("hevc", "opus", "cenc"), ("h264", "flac", "cenc"), ("vp9", "opus", "aes-128")],
)
def test_other_codecs(
    walker: Walker, clips: Clips, tmp_path: Path, codec: str, audio: str, scheme: str
) -> None:
    wish = preset(codec, audio, encryption=scheme, dash=scheme == "cenc")
    done = walker.walk(clips.plain(), wish, tmp_path, key=KEY)
    assert done.status == "done", done.reason
    assert broken(published(done)) == []
    if scheme == "cenc":
        for number in (0, 2):
            sealed = joined(published(done), number, tmp_path / "sealed.mp4")
            plain = joined(clear(done), number, tmp_path / "plain.mp4")
            ffmpeg, opened = walker.capabilities.ffmpeg, ("-decryption_key", KEY.secret.hex())
            assert frames(ffmpeg, *opened, "-i", sealed) == frames(ffmpeg, "-i", plain)


def test_sound_in_two_codecs_is_encrypted_in_both(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    wish = preset(encryption="cenc")
    sound = wish.audio.model_copy(update={"beside_codec": "eac3"})
    wish = wish.model_copy(update={"audio": sound})
    done = walker.walk(clips.plain(), wish, tmp_path, key=KEY)
    assert done.status == "done", done.reason
    assert broken(published(done)) == []
    tracks = read_tracks(os.fsencode(published(done)))
    assert [track.codecs for track in tracks[2:]] == ["mp4a.40.2", "ec-3"]
    ffmpeg, opened = walker.capabilities.ffmpeg, ("-decryption_key", KEY.secret.hex())
    sealed = joined(published(done), 3, tmp_path / "sealed.mp4")
    plain = joined(clear(done), 3, tmp_path / "plain.mp4")
    assert frames(ffmpeg, *opened, "-i", sealed) == frames(ffmpeg, "-i", plain)


def test_no_file_holds_the_key(cenc: Walked, whole: Walked) -> None:
    secret = KEY.secret
    forms = [
        secret,
        secret.hex().encode(),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret),
    ]
    for walked in (cenc, whole):
        for path in published(walked).iterdir():
            data = path.read_bytes()
            assert not [form for form in forms if form.rstrip(b"=") in data], path.name
        assert walked.plan is not None
        assert walked.encoded is not None
        told = f"{walked.plan!r}{walked.encoded!r}".encode()
        assert not [form for form in forms if form.rstrip(b"=") in told]


def check(walked: Walked, directory: Path, key: SecretKey = KEY) -> None:
    plain = os.fsencode(clear(walked))
    encryption = encryption_of(walked)
    tracks = read_tracks(plain)
    check_encrypted(plain, os.fsencode(directory), encryption, tracks, key, CancelToken())


@pytest.fixture(params=["cenc", "whole"])
def made(request: pytest.FixtureRequest) -> Walked:
    walked: Walked = request.getfixturevalue(request.param)
    return walked


def test_another_key_does_not_open_it(made: Walked) -> None:
    check(made, published(made))
    with pytest.raises(VerificationFailed, match="encryption is not right"):
        check(made, published(made), SecretKey(KEY.id, secrets.token_bytes(16)))


@pytest.mark.parametrize("name", ["init-0.mp4", "seg-0-00002.m4s", "seg-2-00001.m4s"])
def test_a_flipped_bit_is_noticed_wherever_it_is(made: Walked, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(published(made), tmp_path / "copy")
    data = (copy / name).read_bytes()
    for place in (0, len(data) // 7, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[place] ^= 4
        (copy / name).write_bytes(flipped)
        with pytest.raises(VerificationFailed):
            check(made, copy)


def test_a_file_left_clear_is_noticed(made: Walked, tmp_path: Path) -> None:
    copy = shutil.copytree(published(made), tmp_path / "copy")
    for name in ("seg-0-00002.m4s", "init-2.mp4"):
        shutil.copyfile(clear(made) / name, copy / name)
        with pytest.raises(VerificationFailed):
            check(made, copy)
        assert [one for one in broken(copy) if name in one]
        shutil.copyfile(published(made) / name, copy / name)


def replaced(name: str, pattern: str, by: str) -> Callable[[Path], None]:
    def break_it(directory: Path) -> None:
        path = directory / name
        text, done = re.subn(pattern, by, path.read_text(), flags=re.M)
        assert done, f"{pattern} is not in {name}"
        path.write_text(text)

    return break_it


D, V, A = "manifest.mpd", "video-0.m3u8", "audio-2.m3u8"
RULES = [
    ("cenc", replaced(D, 'default_KID="0', 'default_KID="1'), "23001-7 11.2"),
    ("cenc", replaced(D, 'value="cenc"', 'value="cbcs"'), "23001-7 11.2"),
    ("cenc", replaced(D, "<cenc:pssh>AAA", "<cenc:pssh>AAB"), "23001-7 11.2"),
    ("cenc", replaced(D, "<cenc:pssh>.*<", "<cenc:pssh>?<"), "23001-7 11.2"),
    ("cenc", replaced(D, "(?s)<ContentProtection.*?</ContentProtection>", ""), "23001-7 11.2"),
    ("cenc", replaced(D, "Laurl>.*</", "Laurl> </"), "content protection"),
    ("cenc", replaced(V, "#EXT-X-KEY.*\n", ""), "4.4.4.4"),
    ("cenc", replaced(V, "KEYID=0x00", "KEYID=0x01"), "4.4.4.4"),
    (
        "cenc",
        replaced(V, "METHOD=SAMPLE-AES-CTR", f"METHOD=SAMPLE-AES-CTR,IV=0x{'0' * 32}"),
        "4.4.4.4",
    ),
    ("whole", replaced(V, "#EXT-X-KEY.*\n(?=#EXT-X-MAP)", ""), "3.1.2"),
    ("whole", replaced(V, "(#EXT-X-MAP.*)", r"\1\n#EXT-X-KEY:METHOD=NONE"), None),
    ("whole", replaced(V, r"(IV=0x)[0-9a-f]{2}", r"\1"), "4.4.4.4"),
    ("whole", replaced(V, ",IV=0x[0-9a-f]+", ""), "4.4.4.5"),
    ("whole", replaced(V, r"(#EXTINF.*)", r"\1\n#EXT-X-BYTERANGE:16@0"), "4.4.4.4"),
    ("whole", replaced(A, "#EXT-X-KEY.*\n", ""), "4.4.4.4"),
    ("whole", lambda directory: (directory / "seg-0-00001.m4s").write_bytes(b"odd"), "4.4.4.4"),
    ("whole", lambda directory: (directory / "text-0.vtt").write_text("WEBVTT"), "4.4.4.4"),
]


@pytest.mark.parametrize(("kind", "break_it", "section"), RULES)
def test_each_rule_of_encryption_is_named(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kind: str,
    break_it: Callable[[Path], None],
    section: str | None,
) -> None:
    copy = shutil.copytree(published(request.getfixturevalue(kind)), tmp_path / "copy")
    break_it(copy)
    found = broken(copy)
    if section is None:
        assert not found
    else:
        assert any(one.endswith(f"{section})") for one in found), found


def test_clear_tracks_beside_encrypted_ones_are_noticed(cenc: Walked, tmp_path: Path) -> None:
    copy = shutil.copytree(published(cenc), tmp_path / "copy")
    for name in ("init-2.mp4", "seg-2-00001.m4s", "seg-2-00002.m4s", "seg-2-00003.m4s"):
        shutil.copyfile(clear(cenc) / name, copy / name)
    replaced(A, "#EXT-X-KEY.*\n", "")(copy)
    found = broken(copy)
    assert any("audio-2.m3u8 has segments without a key" in one for one in found), found
    assert any("is said to be encrypted" in one for one in found), found
    mpd = copy / "manifest.mpd"
    before, _, after = mpd.read_text().rpartition('<AdaptationSet id="2"')
    after = re.sub("(?s)<ContentProtection.*</ContentProtection>", "", after)
    mpd.write_text(f'{before}<AdaptationSet id="2"{after}')
    assert any("AdaptationSet 2 is clear" in one for one in broken(copy))


def test_no_key_and_no_patience_publish_nothing(cenc: Walked, tmp_path: Path) -> None:
    assert isinstance(cenc.plan, EncodePlan)
    assert cenc.encoded is not None
    with pytest.raises(KeyUnavailable):
        package(cenc.plan, cenc.encoded)
    copy = shutil.copytree(clear(cenc), tmp_path / "output")
    token = CancelToken()
    token.cancel(Cancelled("enough"))
    rule, encryption = cenc.plan.package, encryption_of(cenc)
    assert isinstance(rule, AbrPackage)
    with pytest.raises(Cancelled):
        encrypt_package(cenc.plan, rule, encryption, os.fsencode(copy), KEY, token)


def test_what_is_wrong_in_a_clear_segment_is_not_hidden_by_encryption(
    made: Walked, tmp_path: Path
) -> None:
    assert isinstance(made.plan, EncodePlan)
    assert made.encoded is not None
    copy = shutil.copytree(clear(made), tmp_path / "output")
    encoded = made.encoded.model_copy(update={"directory": os.fsencode(copy)})
    assert package(made.plan, encoded, KEY).files
    data = bytearray((copy / "seg-0-00002.m4s").read_bytes())
    run = data.index(b"trun") + 4
    assert int.from_bytes(data[run : run + 4], "big") & 4
    data[run + 12 : run + 16] = (0x01010000).to_bytes(4, "big")  # no sync sample any more
    (copy / "seg-0-00002.m4s").write_bytes(data)
    with pytest.raises(VerificationFailed, match="the manifests break a rule"):
        package(made.plan, encoded, KEY)


def test_a_segment_that_cannot_be_divided_is_told(cenc: Walked, tmp_path: Path) -> None:
    assert isinstance(cenc.plan, EncodePlan)
    rule = cenc.plan.package
    assert isinstance(rule, AbrPackage)
    copy = shutil.copytree(clear(cenc), tmp_path / "output")
    data = bytearray((copy / "seg-0-00001.m4s").read_bytes())
    place = data.index(b"mdat") + 4
    data[place : place + 4] = b"\xff" * 4
    (copy / "seg-0-00001.m4s").write_bytes(data)
    with pytest.raises(VerificationFailed, match=r"init-0\.mp4 cannot be encrypted: .* NAL units"):
        encrypt_package(cenc.plan, rule, encryption_of(cenc), os.fsencode(copy), KEY, CancelToken())


def test_the_clear_package_is_as_it_was(cenc: Walked) -> None:
    """A later attempt finds it, and encrypts it anew."""
    assert broken(clear(cenc)) == []
    assert cenc.plan is not None
    assert cenc.encoded is not None
    again = package(cenc.plan, cenc.encoded, KEY)
    assert again.path == os.fsencode(published(cenc))
    assert broken(published(cenc)) == []

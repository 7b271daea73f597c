"""Encryption in presets and plans: what goes together, and what a plan says of it."""

from __future__ import annotations

import pytest
from fixtures_planning import audio_stream, media_info, proved, video_stream

from darkstream.errors import InvalidPreset
from darkstream.model.plan import AbrPackage, EncodePlan, Encryption, Reject
from darkstream.planning import fingerprint, make_plan, validate
from darkstream.planning.encryption import address
from darkstream.planning.presets import load_preset

KEY = "package.key_uri=https://keys.example/{key_id}.key"
LICENSE = "package.license_uri=https://keys.example/license"


def plan_of(*changes: str, sound_only: bool = False) -> EncodePlan | Reject:
    video = None if sound_only else video_stream()
    media = media_info(video, audio_stream(index=0 if sound_only else 1))
    preset = load_preset("abr", changes=changes)
    decision = make_plan(media, preset, proved(), validate(media))
    assert isinstance(decision, EncodePlan | Reject)
    return decision


def encryption_of(*changes: str) -> Encryption | None:
    plan = plan_of(*changes)
    assert isinstance(plan, EncodePlan)
    assert isinstance(plan.package, AbrPackage)
    return plan.package.encryption


def test_a_plan_says_how_and_where_the_key_is() -> None:
    told = encryption_of("package.encryption=cenc", KEY, LICENSE)
    assert told == Encryption(
        scheme="cenc",
        key_uri="https://keys.example/{key_id}.key",
        license_uri="https://keys.example/license",
    )
    assert address(told.key_uri or "", bytes(15) + b"\x7f") == (
        "https://keys.example/0000000000000000000000000000007f.key"
    )


def test_what_players_of_a_kind_do_not_read_is_left_out() -> None:
    assert encryption_of("package.encryption=cenc", "package.hls=false", KEY) == Encryption(
        scheme="cenc"
    )
    whole = encryption_of("package.encryption=aes-128", "package.dash=false", KEY)
    assert whole == Encryption(scheme="aes-128", key_uri="https://keys.example/{key_id}.key")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ((), "AAC for HLS and DASH"),
        (("package.dash=false",), "AAC for HLS"),
        (("package.encryption=cenc", KEY), "for HLS and DASH, encrypted by Common Encryption"),
        (
            ("package.encryption=aes-128", "package.dash=false", KEY),
            "for HLS, encrypted by AES-128",
        ),
    ],
)
def test_the_reason_says_for_whom_and_that_it_is_encrypted(
    changes: tuple[str, ...], told: str
) -> None:
    assert plan_of(*changes).reason.endswith(told)


def test_without_encryption_a_plan_has_the_name_it_always_had() -> None:
    plain, sealed = plan_of(), plan_of("package.encryption=cenc", KEY)
    assert isinstance(plain, EncodePlan)
    assert isinstance(sealed, EncodePlan)
    assert encryption_of() is None
    assert b"encryption" not in plain.model_dump_json(exclude_defaults=True).encode()
    assert fingerprint(plain) != fingerprint(sealed)


def test_sound_alone_is_not_published_clear() -> None:
    refused = plan_of("package.encryption=cenc", KEY, sound_only=True)
    assert isinstance(refused, Reject)
    assert refused.reason.endswith("single file, which is not encrypted")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("uri", ["/k/{key_id}", "key.bin", "keys/{key_id}"])
def test_what_goes_together(codec: str, uri: str) -> None:
    changes = [f"video.codec={codec}", "package.encryption=cenc", f"package.key_uri={uri}"]
    assert load_preset("abr", changes=[*changes, LICENSE]).package.encryption == "cenc"


CENC, AES = "package.encryption=cenc", "package.encryption=aes-128"
REFUSED = [
    ((AES, KEY), "aes-128 is for HLS alone, DASH cannot read it: 'dash: false', or"),
    ((AES, "package.dash=false"), "package.key_uri: with aes-128, HLS players must be told"),
    ((AES, "package.dash=false", KEY, LICENSE), "package.license_uri: aes-128 has keys"),
    ((CENC,), "package.key_uri: with cenc, HLS players must be told"),
    ((CENC, KEY, "video.codec=av1"), "here, not av1: 'codec: hevc', or 'encryption: aes-128' with"),
    ((CENC, KEY, "video.codec=vp9"), "cenc encrypts h264 and hevc here, not vp9"),
    ((CENC, KEY, "guards.on_skip=copy"), "guards.on_skip: the source would be published"),
    ((CENC, KEY, "package.kind=file"), "a single file is not encrypted: 'kind: abr', or 'none'"),
    (
        (CENC, "package.key_uri=https://keys.example/key"),
        "package.key_uri: every content has a key",
    ),
    ((CENC, "package.key_uri=//keys.example/key"), "must say which: https://keys.example/{key_id}"),
    ((CENC, "package.key_uri=/keys/the.key"), "package.key_uri: every content has a key"),
    ((KEY,), "package.key_uri: nothing is encrypted"),
    ((LICENSE,), "package.license_uri: nothing is encrypted"),
    ((CENC, "package.key_uri=https://{job}/"), "must be an address, in which {key_id} alone"),
    ((CENC, "package.key_uri=a b"), "must be an address"),
    ((CENC, "package.key_uri=https://[x/"), "must be an address"),
    ((CENC, "package.key_uri=skd://x"), "must begin with https:// or be relative"),
    ((CENC, "package.key_uri=https://me:hush@x/"), "package.key_uri: must hold no password"),
    ((CENC, KEY, "package.license_uri=https://me@x/"), "package.license_uri: must hold no"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_what_does_not_go_together_is_refused_with_the_nearest(
    changes: tuple[str, ...], told: str
) -> None:
    speeds = ["video.speed=null", "video.quality=null"] if "codec=" in str(changes) else []
    with pytest.raises(InvalidPreset) as raised:
        load_preset("abr", changes=[*changes, *speeds])
    assert told in str(raised.value)
    assert "hush" not in str(raised.value)

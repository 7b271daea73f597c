"""Encryption of packages: which schemes go with what, and where players get the key.

`aes-128` encrypts whole segments (RFC 8216bis 4.4.4.4), which only HLS knows; `cenc` encrypts the
samples in them (ISO/IEC 23001-7), which DASH and HLS read alike.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from darkstream.model.plan import Encryption
from darkstream.model.preset import PackageRule, Preset

KEY_ID = "{key_id}"
_PICTURES = ("h264", "hevc")
"""Codecs whose pictures are encrypted by NAL units; AV1 and VP9 need rules of their own."""
_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


def plan_encryption(rule: PackageRule) -> Encryption | None:
    """How a package is encrypted; None: not at all."""
    if rule.encryption == "none":
        return None
    return Encryption(
        scheme=rule.encryption,
        key_uri=rule.key_uri if rule.hls else None,
        license_uri=rule.license_uri if rule.encryption == "cenc" else None,
    )


def address(template: str, key_id: bytes) -> str:
    """An address for players, with the id of the key in it as 32 hexadecimal digits."""
    return template.replace(KEY_ID, key_id.hex())


def bad_encryption(preset: Preset) -> str | None:
    """Why the encryption that a preset asks for cannot be, and the nearest that can."""
    rule = preset.package
    for name in ("key_uri", "license_uri"):
        if (uri := getattr(rule, name)) is not None and (why := _bad_uri(uri)) is not None:
            return f"package.{name}: {why}"
    if rule.key_uri is not None and _is_one_for_all(rule.key_uri):
        return (
            f"package.key_uri: every content has a key of its own, so an address that is not"
            f" relative to the playlist must say which: https://keys.example/{KEY_ID}.key"
        )
    if rule.encryption == "none":
        return _needless(rule)
    if rule.kind != "abr":
        return "package.encryption: a single file is not encrypted: 'kind: abr', or 'none'"
    if preset.guards.on_skip != "none":
        return "guards.on_skip: the source would be published, not encrypted: 'on_skip: none'"
    return _bad_whole(rule) if rule.encryption == "aes-128" else _bad_samples(preset)


def _needless(rule: PackageRule) -> str | None:
    for name in ("key_uri", "license_uri"):
        if getattr(rule, name) is not None:
            return f"package.{name}: nothing is encrypted: 'encryption: cenc', or leave it out"
    return None


def _bad_whole(rule: PackageRule) -> str | None:
    if rule.dash:
        return (
            "package.encryption: aes-128 is for HLS alone, DASH cannot read it: 'dash: false', or"
            " 'encryption: cenc' for both"
        )
    if rule.license_uri is not None:
        return "package.license_uri: aes-128 has keys, no licenses: name its address in key_uri"
    return None if rule.key_uri is not None else _no_key_uri(rule)


def _bad_samples(preset: Preset) -> str | None:
    rule, video = preset.package, preset.video
    if video is not None and video.codec not in _PICTURES:
        return (
            f"package.encryption: cenc encrypts {' and '.join(_PICTURES)} here, not {video.codec}:"
            f" 'codec: {_PICTURES[-1]}', or 'encryption: aes-128' with 'dash: false'"
        )
    return _no_key_uri(rule) if rule.hls and rule.key_uri is None else None


def _no_key_uri(rule: PackageRule) -> str:
    return (
        f"package.key_uri: with {rule.encryption}, HLS players must be told where the key is:"
        f" https://keys.example/{KEY_ID}.key"
    )


def _is_one_for_all(uri: str) -> bool:
    """Whether the playlists of all packages would name the same key."""
    plain = urlsplit(uri.replace(KEY_ID, "0"))
    absolute = bool(plain.scheme or plain.netloc or plain.path.startswith("/"))
    return absolute and KEY_ID not in uri


def _bad_uri(uri: str) -> str | None:
    plain = uri.replace(KEY_ID, "0")
    try:
        parts = urlsplit(plain if _URI.fullmatch(plain) else "http://[")
    except ValueError:
        return f"must be an address, in which {KEY_ID} alone is filled in"
    if parts.scheme not in {"", "http", "https"}:
        return f"must begin with https:// or be relative to the playlist, not {parts.scheme}:"
    if parts.username is not None or parts.password is not None:
        return "must hold no password: everybody who gets the playlist would have it"
    return None

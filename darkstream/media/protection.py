"""What manifests say of an encrypted package: where the key is, never the key."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from uuid import UUID
from xml.etree import ElementTree as ET

from darkstream.media.cenc import COMMON_SYSTEM, pssh
from darkstream.media.mpd import tell_rates, write_mpd
from darkstream.media.tracks import TAG, Track
from darkstream.model.plan import Encryption
from darkstream.planning.encryption import address

CENC, CPS = "urn:mpeg:cenc:2013", "https://dashif.org/CPS"
MP4_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
CLEARKEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
"""DASH-IF's identifier of W3C ClearKey."""
_COMMON = f"urn:uuid:{UUID(bytes=COMMON_SYSTEM)}"


def whole_tags(
    encryption: Encryption, key_id: bytes, vectors: Mapping[str, bytes]
) -> dict[str, tuple[str, ...]]:
    """EXT-X-KEY of files that are encrypted as a whole, each with a vector of its own.

    It stands before EXT-X-MAP too, so that it holds of the initialisation (RFC 8216bis 4.4.4.5).
    """
    uri = address(encryption.key_uri or "", key_id)
    return {
        name: (f'#EXT-X-KEY:METHOD=AES-128,URI="{uri}",IV=0x{vector.hex()}',)
        for name, vector in vectors.items()
    }


def sample_tags(
    encryption: Encryption, key_id: bytes, tracks: Sequence[Track]
) -> dict[str, tuple[str, ...]]:
    """EXT-X-KEY of tracks in `cenc`: the key itself, and a license by W3C ClearKey.

    Players take the one that they know; both lead to the same key (4.4.4.4).
    """
    uri = address(encryption.key_uri or "", key_id)
    license_uri = address(encryption.license_uri or encryption.key_uri or "", key_id)
    lines = (
        f'#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="{uri}",KEYFORMAT="identity",KEYFORMATVERSIONS="1"',
        f'#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="{license_uri}",KEYID=0x{key_id.hex()},'
        'KEYFORMAT="org.w3.clearkey",KEYFORMATVERSIONS="1"',
    )
    return {track.init: lines for track in tracks if track.init is not None}


def protect_mpd(
    root: ET.Element,
    encryption: Encryption,
    key_id: bytes,
    tracks: Sequence[Track],
    target: int,
) -> str:
    """A complete manifest, told of the encryption and of the sizes that came of it."""
    ET.register_namespace("cenc", CENC)
    ET.register_namespace("dashif", CPS)
    tell_rates(root, tracks, target)
    for group in root.iter(f"{TAG}AdaptationSet"):
        if group.get("contentType") in {"video", "audio"}:
            for place, mark in enumerate(_marks(encryption, key_id)):
                group.insert(place, mark)
    return write_mpd(root)


def _marks(encryption: Encryption, key_id: bytes) -> list[ET.Element]:
    """ISO/IEC 23001-7 11.2: the scheme with the id of the key, then each system.

    Players take either name for ClearKey, and the first that they know: both name the license.
    """
    scheme = _protection(MP4_PROTECTION, "cenc")
    scheme.set(f"{{{CENC}}}default_KID", str(UUID(bytes=key_id)))
    common = _protection(_COMMON, None)
    ET.SubElement(common, f"{{{CENC}}}pssh").text = base64.b64encode(pssh(key_id)).decode("ascii")
    clear = _protection(CLEARKEY, "ClearKey1.0")
    for system in (common, clear):
        if encryption.license_uri is not None:
            told = ET.SubElement(system, f"{{{CPS}}}Laurl")
            told.text = address(encryption.license_uri, key_id)
    return [scheme, common, clear]


def _protection(scheme: str, value: str | None) -> ET.Element:
    element = ET.Element(f"{TAG}ContentProtection", {"schemeIdUri": scheme})
    if value is not None:
        element.set("value", value)
    return element

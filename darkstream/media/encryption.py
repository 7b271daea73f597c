"""Encryption of a package: every segment of a verified presentation, and manifests that say so.

ffmpeg knows nothing of it: it encodes once, and no key is in a command line. The clear files stay
where they are, in the work directory; the encrypted ones are turned back and compared with them
before anything is published.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from darkstream.errors import VerificationFailed
from darkstream.media.boxes import BrokenBoxes, read_fragment
from darkstream.media.cenc import VECTOR_BYTES, divider_of, encrypt_init, encrypt_segment
from darkstream.media.command.convert import MANIFEST
from darkstream.media.decryption import read_protection, reveal_init, reveal_segment, reveal_whole
from darkstream.media.manifests import MASTER, write_playlists
from darkstream.media.playlists import KeyTags
from darkstream.media.protection import protect_mpd, sample_tags, whole_tags
from darkstream.media.tracks import Segment, Track, parse_mpd, read_tracks, target_duration
from darkstream.media.validator.m3u8 import parse_playlist
from darkstream.model.key import BYTES, SecretKey
from darkstream.model.plan import AbrPackage, EncodePlan, Encryption
from darkstream.observe.cancel import CancelToken

_BLOCK_BITS = 128


def encrypt_package(
    plan: EncodePlan,
    rule: AbrPackage,
    encryption: Encryption,
    directory: bytes,
    key: SecretKey,
    cancel: CancelToken,
) -> bytes:
    """Encrypt the presentation in a directory into one beside it, made anew, and check it.

    Raises VerificationFailed where it cannot be encrypted, or does not come out as it was, and
    what the token was given.
    """
    into = directory + b".encrypted"
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    tracks = read_tracks(directory)
    if encryption.scheme == "aes-128":
        vectors = {}
        for name in sorted(set().union(*(track.files for track in tracks))):
            cancel.check()
            vectors[name] = secrets.token_bytes(BYTES)
            _write(into, name, _encrypt_whole(_read(directory, name), key.secret, vectors[name]))
        tags: KeyTags = whole_tags(encryption, key.id, vectors)
    else:
        _encrypt_samples(directory, into, tracks, key, cancel)
        tags = sample_tags(encryption, key.id, tracks)
    _write_manifests(plan, rule, encryption, directory, into, tracks, key.id, tags)
    check_encrypted(directory, into, encryption, tracks, key, cancel)
    return into


def check_encrypted(
    clear: bytes,
    encrypted: bytes,
    encryption: Encryption,
    tracks: Sequence[Track],
    key: SecretKey,
    cancel: CancelToken,
) -> None:
    """Turn every encrypted file back with the key and compare it with the clear one.

    By what playlists and boxes say, as players do. Raises VerificationFailed with the first file
    that is not as it was, or that was left clear.
    """
    turn = _turn_whole if encryption.scheme == "aes-128" else _turn_samples
    seen = set()
    for name, revealed in turn(encrypted, tracks, key):
        cancel.check()
        seen.add(name)
        if revealed != _read(clear, name):
            raise VerificationFailed(
                f"the encryption is not right: {name} does not come out of it as it was"
            )
    if left := {name for track in tracks for name in track.files} - seen:
        raise VerificationFailed(f"the encryption is not right: {min(left)} was not encrypted")


def _encrypt_samples(
    directory: bytes, into: bytes, tracks: Sequence[Track], key: SecretKey, cancel: CancelToken
) -> None:
    for track in tracks:
        if track.init is None:
            for segment in track.segments:
                _write(into, segment.name, _read(directory, segment.name))
            continue
        init = _read(directory, track.init)
        # A random begin: no two tracks, and no two attempts, use a vector twice under one key.
        vector = secrets.randbits(8 * VECTOR_BYTES)
        try:
            divide = divider_of(init)
            _write(into, track.init, encrypt_init(init, key.id))
            for segment in track.segments:
                cancel.check()
                data = _read(directory, segment.name)
                made, vector = encrypt_segment(data, divide, key.secret, vector)
                _write(into, segment.name, made)
        except BrokenBoxes as error:
            raise VerificationFailed(f"{track.init} cannot be encrypted: {error}") from error


def _encrypt_whole(data: bytes, secret: bytes, vector: bytes) -> bytes:
    """AES-128 in CBC with PKCS7 padding (RFC 8216bis 4.4.4.4)."""
    padding = PKCS7(_BLOCK_BITS).padder()
    cipher = Cipher(algorithms.AES(secret), modes.CBC(vector)).encryptor()
    return cipher.update(padding.update(data) + padding.finalize()) + cipher.finalize()


def _write_manifests(
    plan: EncodePlan,
    rule: AbrPackage,
    encryption: Encryption,
    directory: bytes,
    into: bytes,
    tracks: Sequence[Track],
    key_id: bytes,
    tags: KeyTags,
) -> None:
    samples = encryption.scheme == "cenc"
    target = target_duration(tracks)
    grown = [_measured(track, into, readable=samples) for track in tracks]
    if rule.hls:
        # Of what is encrypted as a whole no picture can be taken out by its bytes.
        write_playlists(plan, grown, target, into, tags, key_frames=samples)
    if rule.dash:
        text = protect_mpd(parse_mpd(directory), encryption, key_id, grown, target)
        _write(into, MANIFEST, text.encode())


def _measured(track: Track, directory: bytes, *, readable: bool) -> Track:
    """The track with its bytes as they are now."""

    def measured(segment: Segment) -> Segment:
        path = os.path.join(directory, segment.name.encode())
        places = segment.key_bytes is not None and readable
        key_bytes = read_fragment(path).first_sample_end if places else None
        return segment.model_copy(update={"size": os.stat(path).st_size, "key_bytes": key_bytes})

    return track.model_copy(update={"segments": tuple(map(measured, track.segments))})


def _turn_whole(
    directory: bytes, _tracks: Sequence[Track], key: SecretKey
) -> Iterator[tuple[str, bytes]]:
    """All that the playlists name, with the vectors that they name."""
    master = parse_playlist(MASTER, _read(directory, MASTER).decode())
    uris = [media["URI"] for media in master.media] + [uri for _, uri in master.variants]
    for uri in dict.fromkeys(uris):
        playlist = parse_playlist(uri, _read(directory, uri).decode())
        for segment in playlist.segments:
            named = [(segment.uri, segment.keys)]
            if segment is playlist.segments[0] and segment.map is not None:
                named.append((segment.map, segment.map_keys))
            for name, keys in named:
                if not keys:
                    raise VerificationFailed(f"{uri} names no key for {name}")
                try:
                    vector = bytes.fromhex(keys[0].get("IV", "").removeprefix("0x"))
                    yield name, reveal_whole(_read(directory, name), key.secret, vector)
                except ValueError as error:
                    raise VerificationFailed(
                        f"the encryption is not right: {name} cannot be turned back"
                    ) from error


def _turn_samples(
    directory: bytes, tracks: Sequence[Track], key: SecretKey
) -> Iterator[tuple[str, bytes]]:
    """Initialisations and segments by their boxes; text is not encrypted by samples."""
    for track in tracks:
        if track.init is None:
            yield from (
                (segment.name, _read(directory, segment.name)) for segment in track.segments
            )
            continue
        init = _read(directory, track.init)
        try:
            told = read_protection(init)
            if told is None or told.key_id != key.id:
                raise VerificationFailed(f"{track.init} does not name the key that it is under")
            revealed = reveal_init(init)
            if init != encrypt_init(revealed, key.id):
                raise VerificationFailed(f"{track.init} does not tell players all they must know")
            yield track.init, revealed
            for segment in track.segments:
                data = _read(directory, segment.name)
                yield segment.name, reveal_segment(data, told.vector_bytes, key.secret)
        except BrokenBoxes as error:
            raise VerificationFailed(
                f"the encryption is not right: what {track.init} begins cannot be read: {error}"
            ) from error


def _read(directory: bytes, name: str) -> bytes:
    with open(os.path.join(directory, name.encode()), "rb") as file:
        return file.read()


def _write(directory: bytes, name: str, data: bytes) -> None:
    with open(os.path.join(directory, name.encode()), "wb") as file:
        file.write(data)

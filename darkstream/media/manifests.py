"""Manifests of a presentation: the DASH one made exact, HLS playlists over the same segments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from darkstream.media.command.convert import MANIFEST
from darkstream.media.keyframes import write_key_frames
from darkstream.media.mpd import complete_mpd
from darkstream.media.playlists import (
    NO_KEYS,
    KeyTags,
    key_playlist,
    master_playlist,
    media_playlist,
)
from darkstream.media.tracks import Track, parse_mpd, read_text, read_tracks, target_duration
from darkstream.model.plan import AbrPackage, EncodePlan

MASTER = "master.m3u8"
_LEAST_KEY_FRAMES = 8
"""Nobody seeks by sight in less; and ffmpeg's reader of DASH, which looks for the rate of each
track, takes a track of few pictures to its end before it begins.
"""


def write_manifests(plan: EncodePlan, directory: bytes) -> None:
    """Make ffmpeg's DASH manifest exact and write HLS playlists beside it.

    The text tracks of the plan lie there already, as `text_name` calls them.
    """
    media = read_tracks(directory)
    length = max(track.duration for track in media)
    texts = (
        read_text(directory, len(media) + number, text_name(number), length)
        for number in range(len(plan.subtitles))
    )
    tracks = (*media, *texts)
    target = target_duration(tracks)
    smallest = next(track for track in reversed(media) if track.kind == "video")
    dash = isinstance(plan.package, AbrPackage) and plan.package.dash
    if dash and len(smallest.segments) >= _LEAST_KEY_FRAMES:
        tracks = (*tracks, write_key_frames(directory, smallest, len(tracks)))
    _write(directory, MANIFEST, complete_mpd(plan, parse_mpd(directory), tracks, target))
    write_playlists(plan, tracks, target, directory)


def write_playlists(
    plan: EncodePlan,
    tracks: Sequence[Track],
    target: int,
    directory: bytes,
    tags: KeyTags = NO_KEYS,
    *,
    key_frames: bool = True,
) -> None:
    """The HLS playlists of all tracks; `tags`: what stands before a file in them.

    Without `key_frames` there are none of single pictures.
    """
    for track in tracks:
        if track.kind == "keys":
            continue
        _write(directory, track.playlist, media_playlist(track, target, tags))
        if track.kind == "video" and key_frames:
            _write(directory, track.key_playlist, key_playlist(track, target, tags))
    _write(directory, MASTER, master_playlist(plan, tracks, target, key_frames=key_frames))


def text_name(number: int) -> str:
    """File name of a text track."""
    return f"text-{number}.vtt"


def referenced_files(directory: bytes) -> set[bytes]:
    """Every file that the manifests in a directory name, and the manifests themselves."""
    found: set[bytes] = set()
    for name in os.listdir(directory):
        if name.endswith(b".mpd"):
            found |= {name, *(f.encode() for t in read_tracks(directory) for f in t.files)}
        elif name.endswith(b".m3u8"):
            found.add(name)
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                found |= set(_named_in_playlist(file.read()))
    return found


def directory_size(directory: bytes) -> int:
    """Bytes of all files directly in a directory."""
    with os.scandir(directory) as entries:
        return sum(entry.stat().st_size for entry in entries)


def drop_unwanted(rule: AbrPackage, directory: bytes) -> None:
    """Remove the manifests that the plan does not ask for."""
    for name in os.listdir(directory):
        unwanted = not rule.hls if name.endswith(b".m3u8") else not rule.dash
        if name.endswith((b".m3u8", b".mpd")) and unwanted:
            os.unlink(os.path.join(directory, name))


def _named_in_playlist(text: str) -> Iterator[bytes]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line.encode()
        elif not line.startswith("#EXT-X-KEY") and (found := re.search(r'URI="([^"]+)"', line)):
            yield found.group(1).encode()


def _write(directory: bytes, name: str, text: str) -> None:
    with open(os.path.join(directory, name.encode()), "w", encoding="utf-8") as file:
        file.write(text)

"""Verification: an output is decoded to its end and held against its plan, or not published."""

from __future__ import annotations

import os
from collections.abc import Mapping

from darkstream.errors import VerificationFailed
from darkstream.media.command.loudness import Listened
from darkstream.media.damage import describe_damage, refuse_ruins
from darkstream.media.decoding import MAX_PIXELS, Decoder, choose_threads
from darkstream.media.dynamic_hdr import check_dynamic_hdr
from darkstream.media.encode import mark_verified
from darkstream.media.loudness import hear, tell_loudness
from darkstream.media.manifests import directory_size
from darkstream.media.measure import check_duration, check_streams, measure_file, measure_tracks
from darkstream.media.probe import Prober
from darkstream.media.process import Completed, Limits
from darkstream.media.sandbox import Sandbox
from darkstream.media.tally import Tally
from darkstream.media.tracks import Track, read_tracks
from darkstream.model.capabilities import Capabilities
from darkstream.model.encoded import Encoded, Verification
from darkstream.model.media import Finding, MediaInfo
from darkstream.model.plan import AbrPackage, EncodePlan, FilePackage, VideoCopy
from darkstream.model.preset import Container
from darkstream.observe.cancel import CancelToken

_ISO, _MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_FORMATS: Mapping[Container, str] = {
    "mp4": _ISO,
    "mov": _ISO,
    "m4a": _ISO,
    "mkv": _MATROSKA,
    "webm": _MATROSKA,
    "ts": "mpegts",
    "opus": "ogg",
    "mp3": "mp3",
    "flac": "flac",
}


def verify(
    plan: EncodePlan,
    encoded: Encoded,
    *,
    capabilities: Capabilities,
    sandbox: Sandbox,
    prober: Prober,
    limits: Limits | None = None,
    threads: int | None = None,
    cancel: CancelToken | None = None,
) -> Verification:
    """Decode all of an output; hold its pictures, duration and streams against the plan.

    Raises VerificationFailed with what is wrong, SourceRejected where little of a damaged source is
    in it, ProcessTimeout, and what the token was given. Copied packets that do not decode raise
    nothing: the answer says `damaged_source`.
    """
    threads = threads or choose_threads(plan, encoded.frames)
    decoder = Decoder(capabilities, sandbox, limits, threads=threads, cancel=cancel)
    copied = _copies(plan)
    tracks = read_tracks(encoded.directory) if _is_abr(plan) else ()
    tally, done = decoder.decode(
        _sources(plan, encoded, tracks),
        reads=[encoded.directory],
        formats=demuxers_of(plan),
        strict=not copied,
    )
    frames = _frames(plan, tally)
    matching = frames == encoded.frames or (copied and _may_be_hidden(plan, frames, encoded))
    if copied and (tally.errors or not matching):
        return _damaged(encoded, tally, frames, done)
    if tally.errors:
        raise VerificationFailed(f"the output does not decode: {tally.example}")
    if not matching:
        told = f"{_counts(frames)} pictures instead of {_counts(encoded.frames)}"
        raise VerificationFailed(f"the output decodes to {told}")
    measured = measure_tracks(tracks) if tracks else measure_file(encoded, prober)
    check_streams(plan, encoded, measured)
    findings = check_duration(plan, encoded, measured)
    check_dynamic_hdr(plan, encoded, prober, cancel)
    heard = _hear(plan, encoded, tracks, decoder)
    mark_verified(encoded, os.path.dirname(encoded.directory))
    return Verification(
        frames=frames,
        duration=measured.duration,
        expected_duration=plan.expect.duration,
        video_streams=len(measured.pictures),
        audio_streams=measured.audio,
        subtitle_streams=measured.subtitles,
        size=directory_size(encoded.directory),
        loudness=heard,
        findings=(*findings, *tell_loudness(plan, heard or [None] * len(plan.audio))),
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )


def inspect(
    media: MediaInfo,
    source: bytes,
    *,
    capabilities: Capabilities,
    sandbox: Sandbox,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Finding, ...]:
    """Decode a source to its end, as a skip claims that all of it is fine.

    Nothing: it is. Else findings to add to the validation report before planning again. Raises
    SourceRejected where most of it cannot be decoded, ProcessTimeout, and what the token was given.
    """
    decoder = Decoder(capabilities, sandbox, limits, max_pixels, threads, cancel)
    tally, _ = decoder.decode(
        [source], reads=[source], formats=",".join(media.formats), strict=False
    )
    main = max(media.video, key=lambda s: s.width * s.height, default=None)
    seen = tally.input(main.index) if main is not None else None
    decoded = seen.frames if seen is not None else None
    expected = main.frames if main is not None else None
    refuse_ruins(tally, expected=expected, decoded=decoded)
    return describe_damage(tally, expected=expected, decoded=decoded)


def _is_abr(plan: EncodePlan) -> bool:
    return isinstance(plan.package, AbrPackage)


def demuxers_of(plan: EncodePlan) -> str:
    """ffmpeg's demuxers that read what a plan makes."""
    if isinstance(plan.package, FilePackage):
        return _FORMATS[plan.package.container]
    # The segments are opened by the playlist's demuxer, under the same list.
    return f"hls,{_ISO}"


def _sources(plan: EncodePlan, encoded: Encoded, tracks: tuple[Track, ...]) -> list[bytes]:
    if _is_abr(plan):
        played = [track.playlist for track in tracks if track.kind in {"video", "audio"}]
        return [os.path.join(encoded.directory, name.encode()) for name in played]
    return [os.path.join(encoded.directory, encoded.main)]


def _hear(
    plan: EncodePlan, encoded: Encoded, tracks: tuple[Track, ...], decoder: Decoder
) -> tuple[float | None, ...]:
    """The loudness of what is published, where the plan demands one."""
    if not any(track.loudness for track in plan.audio):
        return ()
    first = len(plan.renditions) if _is_abr(plan) else 0
    places = [
        Listened(first + n, "a:0") if _is_abr(plan) else Listened(0, f"a:{n}")
        for n in range(len(plan.audio))
    ]
    return hear(places, _sources(plan, encoded, tracks), decoder, formats=demuxers_of(plan))


def _copies(plan: EncodePlan) -> bool:
    return any(isinstance(video, VideoCopy) for video in plan.renditions) or any(
        track.encoder is None for track in plan.audio
    )


def _frames(plan: EncodePlan, tally: Tally) -> tuple[int, ...]:
    """Decoded pictures of each rendition: in one file its first streams, else a file each."""
    places = [(n, 0) if _is_abr(plan) else (0, n) for n in range(len(plan.renditions))]
    seen = [tally.input(index, file) for file, index in places]
    return tuple(stream.frames if stream else 0 for stream in seen)


def _may_be_hidden(plan: EncodePlan, frames: tuple[int, ...], encoded: Encoded) -> bool:
    """Whether an edit list, which MP4 and QuickTime have, can be why fewer pictures are shown."""
    return "mov" in plan.source_formats and 0 < sum(frames) < sum(encoded.frames)


def _damaged(
    encoded: Encoded, tally: Tally, frames: tuple[int, ...], done: Completed
) -> Verification:
    expected = encoded.frames[0] if encoded.frames else None
    if not tally.errors:
        tally.note(f"[error] {_counts(frames)} of {_counts(encoded.frames)} pictures decode")
    findings = describe_damage(tally, expected=expected, decoded=frames[0] if frames else None)
    return Verification(
        frames=frames,
        duration=None,
        expected_duration=None,
        video_streams=0,
        audio_streams=0,
        subtitle_streams=0,
        size=directory_size(encoded.directory),
        findings=findings,
        damaged_source=True,
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )


def _counts(frames: tuple[int, ...]) -> str:
    return ", ".join(map(str, frames)) or "no"

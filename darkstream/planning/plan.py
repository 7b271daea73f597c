"""The plan: every decision for one file, made once, from what was probed and what is wished."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import Finding, MediaInfo, Severity, ValidationReport, VideoStream
from darkstream.model.plan import (
    AbrPackage,
    AudioTrack,
    Decision,
    EncodePlan,
    Expectation,
    FilePackage,
    Reject,
    Skip,
    SubtitleTrack,
    VideoCopy,
    VideoEncode,
)
from darkstream.model.preset import Preset
from darkstream.planning import audio as sound
from darkstream.planning import video as pictures
from darkstream.planning.reasons import convert_reason, remux_reason, skip_reason
from darkstream.planning.subtitles import plan_attachments, plan_subtitles
from darkstream.planning.transparency import lost_alpha
from darkstream.planning.words import spoken

PLANNER = "3"
"""Version of the rules in this room: a change of them changes every fingerprint."""

_FAMILIES = {
    "mp4": {"mp4"},
    "m4a": {"mp4"},
    "mkv": {"matroska", "webm"},
    "webm": {"webm"},
}


@dataclass(frozen=True)
class _Tracks:
    """What goes into the output, and what is said about the rest."""

    renditions: tuple[VideoEncode | VideoCopy, ...]
    audio: tuple[AudioTrack, ...]
    subtitles: tuple[SubtitleTrack, ...]
    attachments: tuple[int, ...]
    covers: tuple[int, ...]
    notes: tuple[Finding, ...]

    @property
    def copied(self) -> bool:
        """Whether no picture and no sound is encoded (subtitle text may change its form)."""
        return all(isinstance(video, VideoCopy) for video in self.renditions) and all(
            track.encoder is None for track in self.audio
        )


def make_plan(
    media: MediaInfo, preset: Preset, capabilities: Capabilities, report: ValidationReport
) -> Decision:
    """Decide what happens to one file: convert, remux, skip or reject.

    Pure and deterministic. Raises CapabilityMissing where this node cannot do what is wished.
    """
    if report.severity is Severity.reject:
        return _reject(report.findings)
    video = pictures.main_video(media) if preset.video else None
    container = _container(preset, video)
    tracks = _choose(media, video, preset, container, capabilities, report)
    if video is None and not tracks.audio:
        return Reject(reason=_nothing_left(media, preset), findings=report.findings)
    if (refused := pictures.refusal(video, tracks.renditions)) is not None:
        return Reject(reason=refused, findings=report.findings)
    findings = report.findings + tracks.notes
    if tracks.copied and _is_as_wished(media, preset, container, tracks, findings):
        return Skip(
            reason=skip_reason(media, video, preset, container),
            findings=findings,
            on_skip=preset.guards.on_skip,
        )
    return _make(media, video, preset, container, tracks, findings, capabilities.build)


def _make(
    media: MediaInfo,
    video: VideoStream | None,
    preset: Preset,
    container: str,
    tracks: _Tracks,
    findings: tuple[Finding, ...],
    build: str,
) -> EncodePlan:
    reason = (
        remux_reason(media, container, findings)
        if tracks.copied
        else convert_reason(media, video, preset, container, damaged=_damaged(findings))
    )
    return EncodePlan(
        decision="remux" if tracks.copied else "convert",
        reason=reason,
        findings=findings,
        source_formats=media.formats,
        source_bytes=media.content_bytes,
        renditions=tracks.renditions,
        audio=tracks.audio,
        subtitles=tracks.subtitles,
        attachments=tracks.attachments,
        covers=tracks.covers,
        chapters=bool(media.chapters),
        title=media.title,
        tags=() if media.video else media.tags,
        package=_package(preset, video, container),
        expect=_expect(media, video, tracks),
        smaller_by=None if tracks.copied or _damaged(findings) else preset.guards.smaller_by,
        build=build,
        planner=PLANNER,
    )


def _choose(
    media: MediaInfo,
    video: VideoStream | None,
    preset: Preset,
    container: str,
    capabilities: Capabilities,
    report: ValidationReport,
) -> _Tracks:
    may_copy = not _is_abr(preset, video) and not _damaged(report.findings)
    renditions: tuple[VideoEncode | VideoCopy, ...] = ()
    if video is not None and preset.video is not None:
        if may_copy and not any(pictures.misfits(video, preset.video, container)):
            renditions = (pictures.plan_copy(video, container, capabilities),)
        else:
            renditions = pictures.plan_encodes(video, preset, preset.video, capabilities)
    audio = sound.plan_audio(media, preset.audio, container, capabilities, may_copy=may_copy)
    inside = "abr" if _is_abr(preset, video) else container
    subtitles, lost_subtitles = plan_subtitles(media, preset.subtitles, inside)
    attachments, covers, lost_attachments = plan_attachments(media, inside)
    return _Tracks(
        renditions,
        audio,
        subtitles,
        attachments,
        covers,
        lost_subtitles
        + lost_attachments
        + _lost_streams(media, video, preset)
        + _lost_metadata(video, renditions)
        + lost_alpha(video, renditions),
    )


def _container(preset: Preset, video: VideoStream | None) -> str:
    if video is None:
        return preset.audio_only_container
    return "mp4" if preset.package.kind == "abr" else preset.container


def _is_abr(preset: Preset, video: VideoStream | None) -> bool:
    return video is not None and preset.package.kind == "abr"


def _package(preset: Preset, video: VideoStream | None, container: str) -> FilePackage | AbrPackage:
    rule = preset.package
    if _is_abr(preset, video):
        return AbrPackage(segment_seconds=rule.segment_seconds, hls=rule.hls, dash=rule.dash)
    extension = "mka" if video is None and container == "mkv" else container
    return FilePackage.model_validate({"container": container, "extension": extension})


def _nothing_left(media: MediaInfo, preset: Preset) -> str:
    if preset.video is not None:
        return "it holds nothing to convert"
    if not media.audio:
        return "it has no sound, and the preset keeps nothing else"
    return "it holds no sound that could be decoded"


def _reject(findings: tuple[Finding, ...]) -> Reject:
    told = [finding.message for finding in findings if finding.severity is Severity.reject]
    return Reject(reason="; ".join(told), findings=findings)


def _damaged(findings: tuple[Finding, ...]) -> bool:
    """Whether data may be missing: then packets are not copied but decoded and counted."""
    return any(finding.severity is Severity.repairable for finding in findings)


def _is_as_wished(
    media: MediaInfo,
    preset: Preset,
    container: str,
    tracks: _Tracks,
    findings: tuple[Finding, ...],
) -> bool:
    return (
        preset.guards.skip_if_fits
        and media.container in _FAMILIES[container]
        and media.faststart is not False
        and not tracks.notes
        and len(tracks.renditions) == len(media.video)
        and all(track.encoder is None for track in tracks.subtitles)
        and len(tracks.audio) == len(media.audio)
        and len(tracks.subtitles) == len(media.subtitles)
        and not _damaged(findings)
    )


def _lost_streams(
    media: MediaInfo, video: VideoStream | None, preset: Preset
) -> tuple[Finding, ...]:
    if preset.video is None or len(media.video) < 2 or video is None:
        return ()
    others = ", ".join(str(stream.index) for stream in media.video if stream is not video)
    return (
        Finding(
            code="extra-video-dropped",
            severity=Severity.ok,
            message=f"of several video streams only the main one ({video.index}) is kept, not"
            f" {others}",
        ),
    )


def _lost_metadata(
    video: VideoStream | None, renditions: tuple[VideoEncode | VideoCopy, ...]
) -> tuple[Finding, ...]:
    encoded = any(isinstance(rendition, VideoEncode) for rendition in renditions)
    if video is None or not encoded or video.hdr not in {"dolby_vision", "hdr10plus"}:
        return ()
    return (
        Finding(
            code="dynamic-hdr-dropped",
            severity=Severity.ok,
            message=f"the {spoken(video.hdr)} data for single scenes are not kept",
        ),
    )


def _expect(media: MediaInfo, video: VideoStream | None, tracks: _Tracks) -> Expectation:
    forced = any(isinstance(v, VideoEncode) and v.frame_rate for v in tracks.renditions)
    return Expectation(
        duration=_duration(media, video),
        frames=video.frames if video and not forced else None,
        video_streams=len(tracks.renditions),
        audio_streams=len(tracks.audio),
        subtitle_streams=len(tracks.subtitles),
    )


def _duration(media: MediaInfo, video: VideoStream | None) -> Fraction | None:
    if video is not None:
        return video.duration or media.duration
    spans = [stream.duration for stream in media.audio if stream.duration is not None]
    return max(spans, default=media.duration)

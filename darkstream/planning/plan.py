"""The plan: every decision for one file, made once, from what was probed and what is wished."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from darkstream.errors import CapabilityMissing
from darkstream.model.capabilities import Capabilities
from darkstream.model.media import Finding, MediaInfo, Severity, ValidationReport, VideoStream
from darkstream.model.plan import (
    AbrPackage,
    AudioTrack,
    Burn,
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
from darkstream.model.preset import Container, Preset
from darkstream.planning import audio as sound
from darkstream.planning import video as pictures
from darkstream.planning.acceleration import accelerate
from darkstream.planning.companions import lost_pictures, plan_companions
from darkstream.planning.dynamic_hdr import (
    Loss,
    find_copy_losses,
    find_losses,
    keep,
    tell_losses,
)
from darkstream.planning.encoders import crops_by_container
from darkstream.planning.encryption import plan_encryption
from darkstream.planning.formats import FORMATS, container_for_sound, extension_for
from darkstream.planning.guards import spare
from darkstream.planning.overlay import plan_overlay
from darkstream.planning.reasons import convert_reason, remux_reason, skip_reason
from darkstream.planning.subtitles import plan_attachments, plan_burn, plan_subtitles
from darkstream.planning.targets import tell_targets
from darkstream.planning.transparency import lost_alpha
from darkstream.planning.validation import REMUXABLE

PLANNER = "9"
"""Version of the rules in this room: a change of them changes every fingerprint."""


@dataclass(frozen=True)
class _Tracks:
    """What goes into the output, and what is said about the rest."""

    renditions: tuple[VideoEncode | VideoCopy, ...]
    burn: Burn | None
    audio: tuple[AudioTrack, ...]
    subtitles: tuple[SubtitleTrack, ...]
    attachments: tuple[int, ...]
    covers: tuple[int, ...]
    lost: tuple[Loss, ...]
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
    if (spared := spare(media, video, preset.guards)) is not None:
        return Skip(reason=spared, findings=report.findings, on_skip=preset.guards.on_skip)
    container = _container(preset, video)
    tracks = _choose(media, video, preset, container, capabilities, report)
    if video is None and (not tracks.audio or preset.package.encryption != "none"):
        return Reject(reason=_nothing_left(media, preset), findings=report.findings)
    findings = report.findings + tracks.notes
    if tracks.copied and _is_as_wished(media, preset, container, tracks, findings):
        return Skip(
            reason=skip_reason(media, video, preset, container),
            findings=findings,
            on_skip=preset.guards.on_skip,
        )
    if refused := pictures.refusal(video, tracks.renditions) or _demand(preset, tracks.lost):
        return Reject(reason=refused, findings=report.findings)
    findings += tell_losses(tracks.lost)
    return _make(media, video, preset, container, tracks, findings, capabilities)


def _demand(preset: Preset, losses: tuple[Loss, ...]) -> str | None:
    """Why data that the preset demands would be lost, wherever a source is encoded."""
    if preset.video is None or preset.video.dynamic_hdr != "require" or not losses:
        return None
    told = "; ".join(loss.message for loss in losses)
    reason = f"{told}, and the preset demands them (video.dynamic_hdr)"
    if all(loss.here for loss in losses):
        raise CapabilityMissing(reason)
    return reason


def _make(
    media: MediaInfo,
    video: VideoStream | None,
    preset: Preset,
    container: Container,
    tracks: _Tracks,
    findings: tuple[Finding, ...],
    capabilities: Capabilities,
) -> EncodePlan:
    reason = (
        remux_reason(media, container, findings)
        if tracks.copied
        else convert_reason(
            media,
            video,
            preset,
            container,
            damaged=_damaged(findings),
            burn=tracks.burn is not None,
        )
    )
    return EncodePlan(
        decision="remux" if tracks.copied else "convert",
        reason=reason,
        findings=findings,
        source_formats=media.formats,
        source_bytes=media.content_bytes,
        whole_raster=not tracks.copied and crops_by_container(capabilities),
        renditions=tracks.renditions,
        burn=tracks.burn,
        overlay=plan_overlay(preset.overlay, next(iter(tracks.renditions), None)),
        audio=tracks.audio,
        subtitles=tracks.subtitles,
        attachments=tracks.attachments,
        covers=tracks.covers,
        chapters=bool(media.chapters),
        title=media.title,
        tags=() if media.video else media.tags,
        companions=plan_companions(media, video, preset, tracks.renditions, tracks.burn),
        package=_package(preset, video, container),
        expect=_expect(media, video, tracks, findings, from_zero=_is_abr(preset, video)),
        smaller_by=None if tracks.copied or _damaged(findings) else preset.guards.smaller_by,
        build=capabilities.build,
        planner=PLANNER,
    )


def _choose(
    media: MediaInfo,
    video: VideoStream | None,
    preset: Preset,
    container: Container,
    capabilities: Capabilities,
    report: ValidationReport,
) -> _Tracks:
    damaged = _damaged(report.findings)
    may_copy = not _is_abr(preset, video) and not damaged
    renditions: tuple[VideoEncode | VideoCopy, ...] = ()
    lost: tuple[Loss, ...] = ()
    burn = plan_burn(media, preset.subtitles) if video is not None else None
    drawn = burn is not None or preset.overlay is not None
    if video is not None and preset.video is not None:
        if may_copy and not drawn and not any(pictures.misfits(video, preset.video, container)):
            copy = pictures.plan_copy(video, container, capabilities)
            renditions, lost = (copy,), tuple(find_copy_losses(video, copy, container))
        else:
            encodes = pictures.plan_encodes(video, preset, preset.video, capabilities)
            if not damaged:  # software says more of damage, and makes more of it
                encodes = accelerate(video, preset.video, encodes, capabilities)
            lost = find_losses(video, encodes[0], preset, capabilities, damaged=damaged)
            renditions = tuple(keep(video, encode, preset.video, lost) for encode in encodes)
    abr = _is_abr(preset, video)
    audio = sound.plan_audio(
        media, preset.audio, container, capabilities, may_copy=may_copy, together=abr
    )
    inside = "abr" if abr else container
    subtitles, lost_subtitles = plan_subtitles(media, preset.subtitles, inside, burn)
    attachments, covers, lost_attachments = plan_attachments(media, inside)
    return _Tracks(
        renditions,
        burn,
        audio,
        subtitles,
        attachments,
        covers,
        lost,
        lost_subtitles
        + lost_attachments
        + _lost_streams(media, video, preset)
        + tuple(sound.tell_audio(media, preset.audio, container, audio))
        + lost_alpha(video, renditions)
        + pictures.tell_rate(video, renditions)
        + tell_targets(renditions, preset.video)
        + pictures.lost_captions(video, renditions, beside=preset.subtitles.sidecar != "none")
        + lost_pictures(video, preset),
    )


def _container(preset: Preset, video: VideoStream | None) -> Container:
    if video is None:
        return container_for_sound(preset)
    return "mp4" if preset.package.kind == "abr" else preset.container


def _is_abr(preset: Preset, video: VideoStream | None) -> bool:
    return video is not None and preset.package.kind == "abr"


def _package(
    preset: Preset, video: VideoStream | None, container: Container
) -> FilePackage | AbrPackage:
    rule = preset.package
    if _is_abr(preset, video):
        return AbrPackage(
            segment_seconds=rule.segment_seconds,
            hls=rule.hls,
            dash=rule.dash,
            encryption=plan_encryption(rule),
        )
    extension = extension_for(container, video=video is not None)
    return FilePackage(container=container, extension=extension)


def _nothing_left(media: MediaInfo, preset: Preset) -> str:
    if media.audio and preset.package.encryption != "none":
        return "it has no video, and sound alone becomes a single file, which is not encrypted"
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
    return any(
        finding.severity is Severity.repairable and finding.code not in REMUXABLE
        for finding in findings
    )


def _is_as_wished(
    media: MediaInfo,
    preset: Preset,
    container: Container,
    tracks: _Tracks,
    findings: tuple[Finding, ...],
) -> bool:
    return (
        preset.guards.skip_if_fits
        and media.container in FORMATS[container].families
        and media.faststart is not False
        and not tracks.notes
        and len(tracks.renditions) == len(media.video)
        and all(track.encoder is None for track in tracks.subtitles)
        and len(tracks.audio) == len(media.audio)
        and len(tracks.subtitles) == len(media.subtitles)
        and not any(finding.severity is Severity.repairable for finding in findings)
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


def _expect(
    media: MediaInfo,
    video: VideoStream | None,
    tracks: _Tracks,
    findings: tuple[Finding, ...],
    *,
    from_zero: bool,
) -> Expectation:
    wrong = any(finding.code in REMUXABLE for finding in findings)
    forced = any(isinstance(v, VideoEncode) and v.frame_rate for v in tracks.renditions)
    return Expectation(
        duration=None if wrong else _duration(media, video, from_zero=from_zero),
        frames=video.frames if video and not forced else None,
        video_streams=len(tracks.renditions),
        audio_streams=len(tracks.audio),
        subtitle_streams=len(tracks.subtitles),
    )


def _duration(media: MediaInfo, video: VideoStream | None, *, from_zero: bool) -> Fraction | None:
    """Seconds; `from_zero`: the first picture lasts from the begin, though it comes later."""
    if video is not None:
        late = (video.start or 0) - (media.start or 0) if from_zero and video.duration else 0
        length = video.duration or media.duration
        return None if length is None else length + max(late, Fraction(0))
    spans = [stream.duration for stream in media.audio if stream.duration is not None]
    return max(spans, default=media.duration)

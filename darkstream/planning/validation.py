"""Validation: what is wrong with a file, and whether it can be converted all the same."""

from __future__ import annotations

from collections.abc import Iterator

from darkstream.model.media import Finding, MediaInfo, Severity, ValidationReport, VideoStream
from darkstream.planning.words import spoken

MAX_PIXELS = 8192 * 8192
_MAX_SIDE = 16384
_MAX_CHANNELS = 64


def validate(media: MediaInfo, *, max_pixels: int = MAX_PIXELS) -> ValidationReport:
    """Judge what the prober saw; every finding once, the prober's own first."""
    findings = {finding.code: finding for finding in media.findings}
    for finding in _judge(media, max_pixels):
        findings.setdefault(finding.code, finding)
    return ValidationReport(findings=tuple(findings.values()))


def merge_findings(*groups: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings of several steps, each code once: what was seen later knows more."""
    found = {finding.code: finding for group in groups for finding in group}
    return tuple(found.values())


def _judge(media: MediaInfo, max_pixels: int) -> Iterator[Finding]:
    if media.encrypted:
        yield _reject("encrypted", "it is encrypted (DRM): only its owner's player can read it")
    if not media.video and not media.audio:
        yield _reject("no-media", "it holds neither video nor sound")
    for stream in media.video:
        yield from _judge_video(stream, max_pixels)
    if media.video and not any(stream.decoded for stream in media.video):
        yield _reject("video-undecodable", "no picture of its video could be decoded")
    yield from _judge_audio(media)


def _judge_video(stream: VideoStream, max_pixels: int) -> Iterator[Finding]:
    size = f"{stream.width}x{stream.height}"
    if stream.width < 1 or stream.height < 1:
        yield _reject("no-picture-size", "its video has no picture size")
    elif stream.width * stream.height > max_pixels or max(stream.width, stream.height) > _MAX_SIDE:
        yield _reject("picture-too-large", f"its pictures of {size} are larger than allowed")
    if stream.hdr == "dolby_vision" and stream.dolby_vision_profile == 5:
        yield _reject(
            "dolby-vision-5",
            "its colours are coded as Dolby Vision profile 5 only, which cannot be converted"
            " faithfully",
        )


def _judge_audio(media: MediaInfo) -> Iterator[Finding]:
    silent = [stream for stream in media.audio if not stream.decoded]
    if silent and len(silent) == len(media.audio) and not media.video:
        yield _reject("audio-undecodable", "none of its sound could be decoded")
    elif silent:
        names = ", ".join(f"{stream.index} ({spoken(stream.codec)})" for stream in silent)
        yield Finding(
            code="audio-undecodable",
            severity=Severity.repairable,
            message=f"audio that could not be decoded is left out: stream {names}",
        )
    if any(stream.channels > _MAX_CHANNELS for stream in media.audio):
        yield _reject("too-many-channels", "an audio track claims more channels than exist")


def _reject(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.reject, message=message)

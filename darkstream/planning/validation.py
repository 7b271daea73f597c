"""Validation: what is wrong with a file, and whether it can be converted all the same."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from darkstream.model.media import Finding, MediaInfo, Severity, ValidationReport, VideoStream
from darkstream.model.preset import Preset
from darkstream.model.survey import Level, StreamPackets, Survey
from darkstream.planning.words import spoken

REMUXABLE = frozenset({"duration-missing", "duration-wrong", "timestamps-jump"})
"""Findings about the container alone: copied into a new file, everything is there again."""

MAX_PIXELS = 8192 * 8192
_MAX_SIDE = 16384
_MAX_CHANNELS = 64
_EXACT = {"mp4", "mov", "matroska", "webm"}
"""Containers that say their duration, where others leave it to a guess."""
_SAME_SHARE, _SAME_S = Fraction(1, 50), Fraction(1)


def choose_level(preset: Preset, usual: Level) -> Level:
    """How thoroughly a source is looked over: as its preset demands, else as usual on its node."""
    return preset.validation or usual


def validate(media: MediaInfo, *, max_pixels: int = MAX_PIXELS) -> ValidationReport:
    """Judge what the prober saw; every finding once, the prober's own first."""
    findings = {finding.code: finding for finding in media.findings}
    for finding in _judge(media, max_pixels):
        findings.setdefault(finding.code, finding)
    return ValidationReport(findings=tuple(findings.values()))


def judge_packets(media: MediaInfo, survey: Survey) -> tuple[Finding, ...]:
    """What all packets of a file tell of its damage."""
    found: dict[str, Finding] = {}
    for finding in (one for stream in survey.streams for one in _judge_packets(stream)):
        before = found.get(finding.code)
        told = finding.message if before is None else f"{before.message}; {finding.message}"
        found[finding.code] = finding.model_copy(update={"message": told})
    if survey.broken:
        found["reading-broken"] = _repairable("reading-broken", "it cannot be read to its end")
    seen = (*media.findings, *found.values())
    if not any(finding.severity is Severity.repairable for finding in seen):
        found |= {finding.code: finding for finding in _judge_end(media, survey)}
    return tuple(found.values())


def _judge_packets(stream: StreamPackets) -> Iterator[Finding]:
    name = f"{stream.kind} stream {stream.index}"
    if stream.corrupt:
        told = f"its {name} has {_many(stream.corrupt, 'packet')} cut off or damaged"
        yield _repairable("packets-damaged", told)
    if stream.zeroed:
        told = f"its {name} has {_many(stream.zeroed, 'packet')} with zeros for data"
        yield _repairable("packets-zeroed", told)
    if stream.jumps:
        told = f"the timestamps of its {name} jump in {_many(stream.jumps, 'place')}"
        yield _repairable("timestamps-jump", told)
    if stream.gaps and stream.kind == "video":
        lost = _many(int(stream.missing), "picture")
        told = f"its {name} lacks {lost} in {_many(stream.gaps, 'place')}"
        yield Finding(code="pictures-missing", severity=Severity.ok, message=told)
    elif stream.gaps:
        told = f"its {name} lacks {float(stream.missing):.1f} s in {_many(stream.gaps, 'place')}"
        yield Finding(code="sound-missing", severity=Severity.ok, message=told)


def _many(count: int, what: str) -> str:
    return f"one {what}" if count == 1 else f"{count} {what}s"


def _judge_end(media: MediaInfo, survey: Survey) -> Iterator[Finding]:
    """Whether a file that is whole lasts as long as it says."""
    real, said = survey.duration, survey.said or media.duration
    if real is None or media.container not in _EXACT:
        return
    if not said:
        told = f"it does not say how long it is ({float(real):.2f} s)"
        yield _repairable("duration-missing", told)
        return
    longer = bool(media.subtitles or media.attachments) and said > real
    if abs(said - real) > max(_SAME_S, real * _SAME_SHARE) and not longer:
        told = f"it says that it lasts {float(said):.2f} s, and lasts {float(real):.2f} s"
        yield _repairable("duration-wrong", told)


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


def _judge_audio(media: MediaInfo) -> Iterator[Finding]:
    silent = [stream for stream in media.audio if not stream.decoded]
    if silent and len(silent) == len(media.audio) and not media.video:
        yield _reject("audio-undecodable", "none of its sound could be decoded")
    elif silent:
        names = ", ".join(f"{stream.index} ({spoken(stream.codec)})" for stream in silent)
        told = f"audio that could not be decoded is left out: stream {names}"
        yield _repairable("audio-undecodable", told)
    if unknown := [stream for stream in media.audio if stream.decoded and not stream.channels]:
        names = ", ".join(f"{stream.index} ({spoken(stream.codec)})" for stream in unknown)
        told = f"sound of which nothing was found is left out: stream {names}"
        yield Finding(code="audio-not-found", severity=Severity.ok, message=told)
    if any(stream.channels > _MAX_CHANNELS for stream in media.audio):
        yield _reject("too-many-channels", "an audio track claims more channels than exist")


def _repairable(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.repairable, message=message)


def _reject(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.reject, message=message)

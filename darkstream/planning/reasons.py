"""The sentence that says why: one for each kind of decision."""

from __future__ import annotations

from darkstream.model.media import AudioStream, Finding, MediaInfo, Severity, VideoStream
from darkstream.model.preset import Preset
from darkstream.planning.audio import misfit
from darkstream.planning.picture import display_size
from darkstream.planning.video import misfits
from darkstream.planning.words import listed, spoken


def skip_reason(media: MediaInfo, video: VideoStream | None, preset: Preset, container: str) -> str:
    """'already MP4 with H.264 (640x272 <= 1920x1080, 8-bit) and AAC, starts fast'."""
    parts = []
    if video is not None and preset.video is not None:
        width, height = (round(side) for side in display_size(video))
        limits = f"{preset.video.max_width}x{preset.video.max_height}"
        parts.append(f"{spoken(video.codec)} ({width}x{height} <= {limits}, {video.bit_depth}-bit)")
    parts += sorted({spoken(stream.codec) for stream in media.audio})
    start = ", starts fast" if media.faststart else ""
    silent = "" if media.audio else ", no sound"
    return f"already {spoken(container)} with {listed(parts)}{silent}{start}"


def remux_reason(media: MediaInfo, container: str, findings: tuple[Finding, ...]) -> str:
    """Why the streams are copied into a new file."""
    if spoken(media.container) != spoken(container):
        why = f"from {spoken(media.container)} into {spoken(container)}"
    elif media.faststart is False:
        why = "so that it starts fast"
    else:
        why = "without the tracks that are not kept" if findings else "as wished"
    return f"all kept streams fit: copied {why}"


def convert_reason(
    media: MediaInfo, video: VideoStream | None, preset: Preset, container: str, *, damaged: bool
) -> str:
    """Why something is encoded, stream by stream."""
    if damaged:
        told = "the source is damaged: everything that decodes is encoded"
        return f"{told} as {_targets(video, preset)}"
    if video is not None and preset.package.kind == "abr":
        return f"encoded as a ladder of {_targets(video, preset)} for HLS and DASH"
    parts = [_video_part(video, preset, container), *_audio_parts(media, preset, container)]
    return "; ".join(part for part in parts if part)


def _targets(video: VideoStream | None, preset: Preset) -> str:
    rules = [preset.video.codec] if video is not None and preset.video else []
    return listed([spoken(codec) for codec in (*rules, preset.audio.codec)])


def _video_part(video: VideoStream | None, preset: Preset, container: str) -> str:
    if preset.video is None or video is None:
        return ""
    why = list(misfits(video, preset.video, container))
    if not why:
        return "the video fits and is copied"
    return f"the video becomes {spoken(preset.video.codec)}: {listed(why)}"


def _audio_parts(media: MediaInfo, preset: Preset, container: str) -> list[str]:
    def reason(stream: AudioStream) -> str | None:
        return misfit(stream, preset.audio, container)

    unfit = [why for stream in media.audio if (why := reason(stream))]
    if not unfit:
        return ["the sound is copied"] if media.audio else []
    return [f"the sound becomes {spoken(preset.audio.codec)}: {listed(sorted(set(unfit)))}"]


def damage_note(findings: tuple[Finding, ...]) -> str:
    """What is lost in a repaired source, for the reason of its result; '' when nothing is."""
    return "; ".join(f.message for f in findings if f.severity is Severity.repairable)

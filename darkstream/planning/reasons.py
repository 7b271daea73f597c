"""The sentence that says why: one for each kind of decision."""

from __future__ import annotations

from darkstream.model.media import AudioStream, Finding, MediaInfo, Severity, VideoStream
from darkstream.model.preset import Container, Preset
from darkstream.planning.audio import misfit
from darkstream.planning.formats import codec_for_sound
from darkstream.planning.picture import display_size
from darkstream.planning.validation import REMUXABLE
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
    if any(finding.code in REMUXABLE for finding in findings):
        why = f"into a new {spoken(container)}, which repairs it"
    elif spoken(media.container) != spoken(container):
        why = f"from {spoken(media.container)} into {spoken(container)}"
    elif media.faststart is False:
        why = "so that it starts fast"
    else:
        why = "without the tracks that are not kept" if findings else "as wished"
    return f"all kept streams fit: copied {why}"


def convert_reason(
    media: MediaInfo,
    video: VideoStream | None,
    preset: Preset,
    container: Container,
    *,
    damaged: bool,
    burn: bool = False,
) -> str:
    """Why something is encoded, stream by stream."""
    if damaged:
        told = "the source is damaged: everything that decodes is encoded"
        return f"{told} as {_targets(video, preset, container)}"
    if video is not None and preset.package.kind == "abr":
        return f"encoded as a ladder of {_targets(video, preset, container)} {_players(preset)}"
    parts = [
        _video_part(video, preset, container, burn=burn),
        *_audio_parts(media, preset, container),
    ]
    return "; ".join(part for part in parts if part)


def _players(preset: Preset) -> str:
    rule = preset.package
    named = [name for name, wished in (("HLS", rule.hls), ("DASH", rule.dash)) if wished]
    return f"for {' and '.join(named)}{_ENCRYPTED[rule.encryption]}"


_ENCRYPTED = {
    "none": "",
    "aes-128": ", encrypted by AES-128",
    "cenc": ", encrypted by Common Encryption",
}


def _targets(video: VideoStream | None, preset: Preset, container: Container) -> str:
    rules = [preset.video.codec] if video is not None and preset.video else []
    sound = [codec_for_sound(preset.audio, container)]
    if video is not None and preset.audio.beside_codec is not None:
        sound.append(preset.audio.beside_codec)
    return listed([spoken(codec) for codec in (*rules, *sound)])


def _video_part(
    video: VideoStream | None, preset: Preset, container: Container, *, burn: bool
) -> str:
    if preset.video is None or video is None:
        return ""
    why = list(misfits(video, preset.video, container))
    why += ["subtitles are drawn into it"] if burn else []
    why += ["a mark is drawn on it"] if preset.overlay is not None else []
    if not why:
        return "the video fits and is copied"
    return f"the video becomes {spoken(preset.video.codec)}: {listed(why)}"


def _audio_parts(media: MediaInfo, preset: Preset, container: Container) -> list[str]:
    def reason(stream: AudioStream) -> str | None:
        return misfit(stream, preset.audio, container)

    unfit = [why for stream in media.audio if (why := reason(stream))]
    if not unfit:
        return ["the sound is copied"] if media.audio else []
    codec = spoken(codec_for_sound(preset.audio, container))
    return [f"the sound becomes {codec}: {listed(sorted(set(unfit)))}"]


def damage_note(findings: tuple[Finding, ...]) -> str:
    """What is lost in a repaired source, for the reason of its result; '' when nothing is."""
    return "; ".join(f.message for f in findings if f.severity is Severity.repairable)

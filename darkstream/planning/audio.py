"""The sound of a plan: which tracks, copied or encoded, and how."""

from __future__ import annotations

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import AudioStream, MediaInfo
from darkstream.model.plan import AudioTrack
from darkstream.model.preset import AudioRule
from darkstream.planning.encoders import choose_audio_encoder
from darkstream.planning.words import spoken

_RATES = {
    "aac": (16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (48000,),
    "mp3": (16000, 22050, 24000, 32000, 44100, 48000),
    "flac": (8000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000),
}
_COPIED_INTO = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"},
    "m4a": {"aac", "alac", "ac3"},
    "mkv": {"aac", "mp3", "ac3", "eac3", "opus", "flac", "vorbis", "dts", "truehd", "mp2"},
    "webm": {"opus", "vorbis"},
}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_OPUS_LAYOUTS = {**_LAYOUTS, 4: "quad"}
_MP3_CHANNELS = 2


def plan_audio(
    media: MediaInfo,
    rule: AudioRule,
    container: str,
    capabilities: Capabilities,
    *,
    may_copy: bool,
) -> tuple[AudioTrack, ...]:
    """Every kept track, in the source's order; tracks that do not decode are left out."""
    usable = [stream for stream in media.audio if stream.decoded and stream.channels > 0]
    if rule.tracks == "first":
        usable = sorted(usable, key=lambda stream: not stream.disposition.default)[:1]
    return tuple(
        _copy(stream)
        if may_copy and misfit(stream, rule, container) is None
        else _encode(stream, rule, capabilities)
        for stream in usable
    )


def misfit(stream: AudioStream, rule: AudioRule, container: str) -> str | None:
    """Why a track cannot be copied, as part of a sentence; None: it fits."""
    if stream.codec not in rule.copy_codecs:
        names = " or ".join(spoken(codec) for codec in rule.copy_codecs) or "copied"
        return f"{spoken(stream.codec)} is not {names}"
    if stream.codec not in _COPIED_INTO[container]:
        return f"{spoken(stream.codec)} is not copied into {spoken(container)}"
    if stream.channels > rule.max_channels:
        return f"it has {stream.channels} channels, not {rule.max_channels}"
    return None


def _copy(stream: AudioStream) -> AudioTrack:
    return AudioTrack(
        source_index=stream.index,
        codec=stream.codec,
        channels=stream.channels,
        layout=stream.layout,
        sample_rate=stream.sample_rate,
        language=stream.language,
        title=stream.title,
        disposition=stream.disposition,
    )


def _encode(stream: AudioStream, rule: AudioRule, capabilities: Capabilities) -> AudioTrack:
    channels = min(stream.channels, rule.max_channels)
    if rule.codec == "mp3":
        channels = min(channels, _MP3_CHANNELS)
    lossless = rule.codec == "flac"
    return AudioTrack(
        source_index=stream.index,
        codec=rule.codec,
        encoder=choose_audio_encoder(rule.codec, capabilities),
        bit_rate=None if lossless else _bit_rate(channels, rule),
        channels=channels,
        layout=(_OPUS_LAYOUTS if rule.codec == "opus" else _LAYOUTS)[channels],
        sample_rate=_sample_rate(stream.sample_rate, _RATES[rule.codec]),
        language=stream.language,
        title=stream.title,
        disposition=stream.disposition,
    )


def _bit_rate(channels: int, rule: AudioRule) -> int:
    """One voice needs more than half a pair: a mono track gets one and a half shares."""
    return (
        rule.bit_rate_per_channel * 3 // 2
        if channels == 1
        else (rule.bit_rate_per_channel * channels)
    )


def _sample_rate(rate: int, allowed: tuple[int, ...]) -> int:
    """The least allowed rate that loses nothing, else the highest, Hz."""
    return min((r for r in allowed if r >= rate), default=allowed[-1])

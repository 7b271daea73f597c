"""Containers: what each is called, and which codecs it holds so that players and we can read it.

Sources: RFC 9559 (Matroska), the WebM container guidelines, the MP4 registration authority,
Apple's QuickTime File Format, ETSI TS 101 154 (MPEG-TS), RFC 7845 (Ogg Opus). Of each pair that
ffmpeg writes, only those are here which its demuxer reads back whole: tests/media encodes them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from darkstream.model.preset import AudioCodec, AudioRule, Container, Preset, VideoCodec
from darkstream.planning.words import listed, spoken


@dataclass(frozen=True)
class Format:
    """One container: what is encoded into it, best first, and what else may be copied into it."""

    families: frozenset[str]
    """What the prober calls it."""
    video: tuple[VideoCodec, ...] = ()
    audio: tuple[AudioCodec, ...] = ()
    copied_video: frozenset[str] = frozenset()
    copied_audio: frozenset[str] = frozenset()
    one_track: bool = False
    """Whether it holds a single track of sound."""
    turns: bool = False
    """Whether it can say that pictures are to be turned."""

    def takes_video(self, codec: str) -> bool:
        """Whether packets of a codec may be copied into it."""
        return codec in self.video or codec in self.copied_video

    def takes_audio(self, codec: str) -> bool:
        """Whether packets of a codec may be copied into it."""
        return codec in self.audio or codec in self.copied_audio


_SAMPLES = ("s16", "s24", "s32", "f32", "f64")
_PCM = ("pcm_u8", *(f"pcm_{form}{order}" for form in _SAMPLES for order in ("le", "be")))

FORMATS: Mapping[Container, Format] = {
    "mp4": Format(
        frozenset(("mp4",)),
        ("h264", "hevc", "av1", "vp9", "vvc"),
        ("aac", "opus", "ac3", "eac3", "mp3", "flac"),
        copied_audio=frozenset(("alac",)),
        turns=True,
    ),
    "mkv": Format(
        frozenset(("matroska", "webm")),
        ("h264", "hevc", "av1", "vp9", "ffv1", "prores"),
        ("aac", "opus", "ac3", "eac3", "mp3", "flac", "pcm"),
        frozenset(("vp8",)),
        frozenset(("vorbis", "dts", "truehd", "mp2", "alac", *_PCM)),
    ),
    "mov": Format(
        frozenset(("mov",)),
        ("prores", "h264", "hevc", "ffv1"),
        ("aac", "pcm", "ac3", "eac3", "mp3"),
        frozenset(("mjpeg", "dnxhd")),
        frozenset(("alac", *_PCM)),
        turns=True,
    ),
    "webm": Format(
        frozenset(("webm",)),
        ("vp9", "av1"),
        ("opus",),
        frozenset(("vp8",)),
        frozenset(("vorbis",)),
    ),
    "ts": Format(
        frozenset(("mpegts",)),
        ("h264", "hevc"),
        ("aac", "ac3", "eac3", "mp3"),
        frozenset(("mpeg2video",)),
        frozenset(("mp2",)),
    ),
    "m4a": Format(
        frozenset(("mp4",)), audio=("aac",), copied_audio=frozenset(("alac", "ac3")), turns=True
    ),
    "opus": Format(frozenset(("ogg",)), audio=("opus",), one_track=True),
    "mp3": Format(frozenset(("audio",)), audio=("mp3",), one_track=True),
    "flac": Format(frozenset(("audio",)), audio=("flac",), one_track=True),
}
_PREFERRED: tuple[Container, ...] = ("mp4", "mkv", "mov", "webm", "ts", "m4a", "opus")
_SOUND_ALONE: Mapping[AudioCodec, Container] = {
    "aac": "m4a",
    "opus": "opus",
    "mp3": "mp3",
    "flac": "flac",
}


def container_for_sound(preset: Preset) -> Container:
    """Where the sound of sources without video goes: as the preset says, else as its codec asks."""
    return preset.audio_only_container or _SOUND_ALONE.get(preset.audio.codec, "mkv")


def extension_for(container: Container, *, video: bool) -> str:
    """The usual extension of a file."""
    return "mka" if container == "mkv" and not video else container


def codec_for_sound(rule: AudioRule, container: Container) -> AudioCodec:
    """What sound is encoded with where it is not copied; by a rule of copies, the usual codec."""
    return FORMATS[container].audio[0] if rule.codec == "copy" else rule.codec


def misfit(preset: Preset, container: Container, *, video: bool) -> str | None:
    """Why a container cannot hold what a preset encodes, with the nearest that can; None: it can.

    `video`: whether there are pictures, or sound alone.

    'audio.codec: Opus does not go into QuickTime: take AAC, PCM … there, or the container mp4'
    """
    rules = FORMATS[container]
    codec = preset.video.codec if video and preset.video is not None else None
    if codec is not None and codec not in rules.video:
        return _told("video.codec", codec, container, rules.video, _holding(codec, None))
    audio = preset.audio.codec
    if audio != "copy" and audio not in rules.audio:
        return _told("audio.codec", audio, container, rules.audio, _holding(codec, audio))
    return None


def _holding(video: str | None, audio: str | None) -> list[str]:
    return [
        name
        for name in _PREFERRED
        if (video is None or video in FORMATS[name].video)
        and (audio is None or audio in FORMATS[name].audio)
    ]


def _told(
    field: str, codec: str, container: Container, instead: tuple[str, ...], others: list[str]
) -> str:
    there = f"the nearest there is {instead[0]}"
    if len(instead) > 1:
        there += f" (or {listed(list(instead[1:]))})"
    elsewhere = f", or the container {others[0]}" if others else ""
    return f"{field}: {spoken(codec)} does not go into {spoken(container)}: {there}{elsewhere}"

"""How codecs and containers are called in sentences for people."""

from __future__ import annotations

from darkstream.model.media import DolbyVision

_NAMES = {
    "h264": "H.264",
    "hevc": "HEVC",
    "av1": "AV1",
    "vp9": "VP9",
    "vvc": "VVC",
    "ffv1": "FFV1",
    "dnxhd": "DNxHD",
    "vp8": "VP8",
    "aac": "AAC",
    "ac3": "AC-3",
    "eac3": "E-AC-3",
    "opus": "Opus",
    "vorbis": "Vorbis",
    "flac": "FLAC",
    "mp3": "MP3",
    "mp2": "MP2",
    "pcm": "PCM",
    "pcm_s16le": "PCM",
    "pcm_s24le": "PCM (24 bit)",
    "alac": "ALAC",
    "dts": "DTS",
    "truehd": "TrueHD",
    "amr_nb": "AMR",
    "amrnb": "AMR",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4",
    "theora": "Theora",
    "prores": "ProRes",
    "mjpeg": "Motion JPEG",
    "wmv2": "WMV 8",
    "wmav2": "WMA 2",
    "mp4": "MP4",
    "mov": "QuickTime",
    "mkv": "Matroska",
    "matroska": "Matroska",
    "webm": "WebM",
    "m4a": "M4A",
    "mpegts": "MPEG-TS",
    "ts": "MPEG-TS",
    "avi": "AVI",
    "flv": "FLV",
    "ogg": "Ogg",
    "asf": "ASF",
    "hdr10": "HDR10",
    "hdr10plus": "HDR10+",
    "hlg": "HLG",
    "dolby_vision": "Dolby Vision",
}


def spoken(name: str) -> str:
    """The name people know; the technical one where there is no other."""
    return _NAMES.get(name, name)


def describe_dolby_vision(found: DolbyVision) -> str:
    """'Dolby Vision profile 8.1', as far as it is known."""
    if found.profile is None:
        return spoken("dolby_vision")
    base = f".{found.compatibility}" if found.compatibility and found.profile > 7 else ""
    return f"{spoken('dolby_vision')} profile {found.profile}{base}"


def listed(words: list[str]) -> str:
    """Words joined as in a sentence: 'a', 'a and b', 'a, b and c'."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"

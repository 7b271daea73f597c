"""Which of a node's proved encoders a plan uses, and what each can be told."""

from __future__ import annotations

from darkstream.errors import CapabilityMissing
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.preset import VideoRule
from darkstream.planning.words import spoken

_SOFTWARE = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
_NVENC = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
_AUDIO = {"aac": "aac", "opus": "libopus", "flac": "flac", "mp3": "libmp3lame"}
_NVENC_MIN_SIDE = 160


def choose_video_encoder(
    rule: VideoRule, capabilities: Capabilities, *, short_side: int
) -> Encoder:
    """The encoder for a rule: hardware where the rule and the picture's size allow it.

    Raises CapabilityMissing.
    """
    if rule.hardware != "never" and short_side >= _NVENC_MIN_SIDE:
        found = _proved(_NVENC.get(rule.codec), capabilities)
        if found is not None:
            return found
    if rule.hardware == "require":
        raise CapabilityMissing(
            f"the preset demands a hardware encoder for {spoken(rule.codec)},"
            " and this node has none that works"
        )
    return _require(_SOFTWARE[rule.codec], rule.codec, capabilities)


def choose_audio_encoder(codec: str, capabilities: Capabilities) -> str:
    """The encoder for an audio codec. Raises CapabilityMissing."""
    return _require(_AUDIO[codec], codec, capabilities).name


def _require(name: str, codec: str, capabilities: Capabilities) -> Encoder:
    found = _proved(name, capabilities)
    if found is None:
        raise CapabilityMissing(
            f"this node's ffmpeg ({capabilities.version}) has no working {spoken(codec)} encoder"
            f" ({name}); `darkstream doctor` says what works"
        )
    return found


def _proved(name: str | None, capabilities: Capabilities) -> Encoder | None:
    return next((encoder for encoder in capabilities.encoders if encoder.name == name), None)


def require_filter(name: str, purpose: str, capabilities: Capabilities) -> None:
    """Raise CapabilityMissing where a filter the plan needs is not there."""
    if name not in capabilities.filters:
        raise CapabilityMissing(
            f"this node's ffmpeg ({capabilities.version}) has no filter {name!r}, needed {purpose}"
        )

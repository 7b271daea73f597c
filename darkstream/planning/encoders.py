"""Which of a node's proved encoders a plan uses, and what each can be told."""

from __future__ import annotations

import re

from darkstream.errors import CapabilityMissing
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.preset import VideoRule
from darkstream.planning.hardware import Need, choose_hardware, say_why_not
from darkstream.planning.words import spoken

_SOFTWARE = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vvc": "libvvenc",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
_AUDIO = {
    "aac": "aac",
    "opus": "libopus",
    "ac3": "ac3",
    "eac3": "eac3",
    "flac": "flac",
    "mp3": "libmp3lame",
}
_CROPPING_SINCE = (7, 1)


def choose_video_encoder(rule: VideoRule, capabilities: Capabilities, need: Need) -> Encoder:
    """The encoder for a rendition: hardware where the rule wants it and it was proved for such.

    Raises CapabilityMissing.
    """
    if rule.hardware != "never" and rule.chroma == "420":
        found = choose_hardware(need, capabilities)
        if found is not None:
            return found
    if rule.hardware == "require":
        why = (
            say_why_not(need, capabilities)
            if rule.chroma == "420"
            else "they take 4:2:0 alone, not 'chroma: keep'"
        )
        raise CapabilityMissing(
            f"the preset demands a hardware encoder for {spoken(rule.codec)}, and {why}"
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


def crops_by_container(capabilities: Capabilities) -> bool:
    """Whether this ffmpeg cuts what MP4's `clap` and Matroska's PixelCrop name: since 7.1.

    Its pictures are then smaller than the coded ones that everything here is planned with, and
    would be enlarged to them.
    """
    found = re.match(r"n?(\d+)\.(\d+)", capabilities.version)
    return found is None or (int(found[1]), int(found[2])) >= _CROPPING_SINCE


def require_filter(name: str, purpose: str, capabilities: Capabilities) -> None:
    """Raise CapabilityMissing where a filter the plan needs is not there."""
    if name not in capabilities.filters:
        raise CapabilityMissing(
            f"this node's ffmpeg ({capabilities.version}) has no filter {name!r}, needed {purpose}"
        )

"""Transparency: who can read it, who can keep it, and what is said where it is lost."""

from __future__ import annotations

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import Finding, Severity, VideoStream
from darkstream.model.plan import VideoCopy, VideoEncode

_READERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Codecs that keep it in a stream at the side, which their usual decoders pass over."""
_CONTAINERS = {"webm", "mkv"}
_PIXELS = {
    ("libvpx-vp9", "webm"): (8, "yuva420p"),
    ("libvpx-vp9", "mkv"): (8, "yuva420p"),
    ("prores_ks", "mov"): (10, "yuva444p10le"),
    ("prores_ks", "mkv"): (10, "yuva444p10le"),
}
"""By encoder and container: the transparent pixels it takes, and how many bits they have."""


def stays_in_copy(stream: VideoStream, container: str) -> bool:
    """Whether a copy of a stream loses nothing of its transparency."""
    return not stream.alpha or (stream.codec in _READERS and container in _CONTAINERS)


def alpha_decoder(stream: VideoStream, capabilities: Capabilities) -> str | None:
    """The decoder that sees the transparency of a stream; None: the usual one."""
    name = _READERS.get(stream.codec) if stream.alpha else None
    return name if name in capabilities.decoders else None


def reads_alpha(stream: VideoStream, capabilities: Capabilities) -> bool:
    """Whether a stream is transparent, and this node sees it."""
    hidden = stream.codec in _READERS
    return stream.alpha and (not hidden or alpha_decoder(stream, capabilities) is not None)


def transparent_pixels(encoder: str, container: str, depth: int) -> str | None:
    """The pixel format that keeps it; None: an output so deep, of these, cannot be transparent."""
    bits, pixels = _PIXELS.get((encoder, container), (0, None))
    return pixels if depth <= bits else None


def lost_alpha(
    stream: VideoStream | None, renditions: tuple[VideoEncode | VideoCopy, ...]
) -> tuple[Finding, ...]:
    """A finding on transparency that no rendition keeps."""
    if stream is None or not stream.alpha:
        return ()
    for rendition in renditions:
        if isinstance(rendition, VideoEncode) and not _is_transparent(rendition.pix_fmt):
            what = "it is shown on black" if rendition.flatten else "this node cannot read it"
            message = f"its transparency is not kept: {what}"
            return (Finding(code="transparency-lost", severity=Severity.ok, message=message),)
    return ()


def _is_transparent(pix_fmt: str) -> bool:
    return pix_fmt.startswith(("yuva", "ya", "bgra", "rgba", "gbrap"))

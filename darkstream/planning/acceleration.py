"""Pictures decoded and made smaller by a GPU, where that was measured to be faster here."""

from __future__ import annotations

from darkstream.model.capabilities import Capabilities, HardwareDecoder
from darkstream.model.media import VideoStream
from darkstream.model.plan import VideoEncode
from darkstream.model.preset import VideoRule

_SMALLEST, _LARGEST = 144, 4096


def accelerate(
    stream: VideoStream,
    rule: VideoRule,
    renditions: tuple[VideoEncode, ...],
    capabilities: Capabilities,
) -> tuple[VideoEncode, ...]:
    """The renditions, decoded by the GPU where the rule does not forbid it and it pays."""
    if rule.hardware == "never" or not renditions or not _is_plain(stream, renditions[0]):
        return renditions
    found = (one for one in capabilities.hardware_decoders if _fits(one, stream))
    chosen = max(found, key=lambda one: one.speed, default=None)
    if chosen is None:
        return renditions
    told = {
        "hwaccel": chosen.family,
        "hwaccel_device": chosen.device,
        "hwaccel_bits": chosen.bits,
    }
    return tuple(one.model_copy(update=told) for one in renditions)


def _fits(decoder: HardwareDecoder, stream: VideoStream) -> bool:
    return decoder.is_used and (decoder.codec, decoder.bits) == (stream.codec, stream.bit_depth)


def _is_plain(stream: VideoStream, largest: VideoEncode) -> bool:
    """Whether nothing but a smaller size is to be made of the pictures, and some are left out.

    Everything else is done by filters of software, before which the pictures would come back at
    their full size.
    """
    touched = (
        largest.decoder is not None,
        largest.cut is not None,
        largest.crop,
        largest.deinterlace,
        largest.interlaced,
        largest.flatten,
        largest.tonemap,
        largest.rematrix,
        largest.lossless,
        largest.frame_rate is not None,
        stream.alpha,
        stream.hdr in {"dolby_vision", "hdr10plus"},
        stream.hdr10plus,
        stream.field_order in {"tff", "bff"},
        largest.source_colour.range == "pc",
    )
    sides = sorted((stream.width, stream.height))
    inside = sides[0] >= _SMALLEST and sides[1] <= _LARGEST
    smaller = largest.width * largest.height < stream.width * stream.height
    return stream.chroma == "420" and inside and smaller and not any(touched)

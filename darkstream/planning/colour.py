"""Colour: what the samples of a source mean, and what the output's shall mean."""

from __future__ import annotations

from typing import Literal

from darkstream.model.media import Colour, DolbyVision, VideoStream
from darkstream.model.preset import VideoRule

BT709 = Colour(primaries="bt709", transfer="bt709", matrix="bt709", range="tv")
_HD_WIDTH = 1024
_HD_HEIGHT = 576
_UNSCALED = {"ycgco", "bt2020c", "chroma-derived-nc", "chroma-derived-c", "ictcp"}
"""Matrices that ffmpeg's scaler takes no picture of; zscale converts them."""
_CONSTANT_LUMINANCE = {"bt2020c": "bt2020-10", "chroma-derived-c": "bt709"}
"""The usual transfer of matrices that need one."""
_LOGARITHMIC = {"log100", "log316"}
_UNKNOWN = {
    "ycgco-re": "YCgCo-Re",
    "ycgco-ro": "YCgCo-Ro",
    "smpte2085": "Y'D'zD'x",
    "ipt-c2": "IPT-C2",
}
"""Matrices that nothing here converts, as people call them."""

BaseLayer = Literal["none", "hdr10", "hlg"]
_LAYERS: dict[str, BaseLayer] = {"smpte2084": "hdr10", "arib-std-b67": "hlg"}
_COMPATIBLE: dict[int, BaseLayer] = {1: "hdr10", 2: "none", 4: "hlg", 6: "hdr10"}
"""By Dolby Vision's compatibility id."""
_PROPRIETARY = {10, 20}
"""Profiles that may be IPT-PQ-c2, as 5 always is."""


def base_layer(stream: VideoStream) -> BaseLayer | None:
    """What is seen of a stream by who ignores its data for single scenes.

    None: nothing that makes sense, as of Dolby Vision's own IPT-PQ-c2.
    """
    transfer = stream.colour.transfer
    if stream.hdr == "hdr10plus":
        return _LAYERS.get(transfer or "", "hdr10")
    if stream.hdr != "dolby_vision":
        return stream.hdr
    said = stream.dolby_vision or DolbyVision()
    if said.profile == 5 or (said.compatibility == 0 and said.profile in _PROPRIETARY):
        return None
    if transfer in _LAYERS:
        return _LAYERS[transfer]
    if said.compatibility in _COMPATIBLE:
        return _COMPATIBLE[said.compatibility]
    return "hdr10" if transfer is None else "none"


def keeps_hdr(stream: VideoStream, rule: VideoRule) -> bool:
    """Whether the output stays HDR: the rule wants it, and 10 bit are there for it."""
    return _is_hdr(stream) and rule.hdr == "keep" and rule.bit_depth != 8


def must_tonemap(stream: VideoStream, rule: VideoRule) -> bool:
    """Whether the source is HDR and the output shall not be."""
    return _is_hdr(stream) and not keeps_hdr(stream, rule)


def output_depth(stream: VideoStream, rule: VideoRule) -> int:
    """Bits a sample that the output should have: 8, 10 or 12."""
    if keeps_hdr(stream, rule):
        return max(rule.bit_depth or 10, 10)
    if rule.bit_depth is not None:
        return rule.bit_depth
    return 10 if stream.bit_depth > 8 and not must_tonemap(stream, rule) else 8


def must_rematrix(stream: VideoStream) -> bool:
    """Whether the samples must leave their matrix for one that can be scaled and played."""
    return stream.chroma != "rgb" and stream.colour.matrix in _UNSCALED


def colour_refusal(stream: VideoStream) -> str | None:
    """Why the colours of a stream cannot be converted, as a sentence; None: they can."""
    matrix = stream.colour.matrix
    if matrix in _UNKNOWN:
        return f"its colours are coded as {_UNKNOWN[matrix]}, which cannot be converted"
    if stream.colour.transfer in _LOGARITHMIC:
        return "its brightness is coded as a logarithm, which cannot be converted"
    if matrix == "ictcp" and stream.hdr == "none":
        return "its colours are coded as ICtCp, and it does not say how bright they are meant"
    return None


def source_colour(stream: VideoStream) -> Colour:
    """The colour of the decoded samples, with the usual guesses where the file is silent."""
    colour = stream.colour
    if stream.chroma == "rgb":
        return Colour(
            primaries=colour.primaries, transfer=colour.transfer, matrix="gbr", range="pc"
        )
    if _is_hdr(stream):
        return Colour(
            primaries=colour.primaries or "bt2020",
            transfer="arib-std-b67" if base_layer(stream) == "hlg" else "smpte2084",
            matrix=colour.matrix or "bt2020nc",
            range=colour.range or "tv",
        )
    full_range = colour.range == "pc" or stream.pix_fmt.startswith("yuvj")
    known: dict[str, str | None] = {"range": "pc" if full_range else "tv"}
    if colour.matrix == "gbr":  # said of samples that are no RGB: a mistake
        known["matrix"] = None
    elif colour.matrix in _UNSCALED:
        known["primaries"] = colour.primaries or _usual_primaries(colour.matrix)
        known["transfer"] = colour.transfer or _CONSTANT_LUMINANCE.get(colour.matrix)
    return colour.model_copy(update=known)


def output_colour(stream: VideoStream, rule: VideoRule, *, shrinks: bool) -> Colour:
    """The tags of the output: limited range; BT.709 for RGB and tone-mapped sources.

    A silent HD source is named BT.709 when it is made smaller: players guess by the size.
    """
    if must_tonemap(stream, rule) or stream.chroma == "rgb":
        return BT709
    source = source_colour(stream)
    if source.matrix is None and shrinks and _is_hd(stream):
        return BT709
    if must_rematrix(stream):
        matrix = "bt2020nc" if source.primaries == "bt2020" else "bt709"
        return source.model_copy(update={"range": "tv", "matrix": matrix})
    return source.model_copy(update={"range": "tv"})


def _is_hdr(stream: VideoStream) -> bool:
    return base_layer(stream) != "none"


def _usual_primaries(matrix: str) -> str:
    return "bt2020" if matrix == "bt2020c" else "bt709"


def _is_hd(stream: VideoStream) -> bool:
    return stream.width > _HD_WIDTH or stream.height > _HD_HEIGHT

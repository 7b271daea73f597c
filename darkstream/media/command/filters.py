"""The picture's way from decoder to encoder, as ffmpeg-python filter nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from darkstream.media.command.acceleration import scale_on_device
from darkstream.media.command.hardware import upload_filters
from darkstream.model.media import Colour
from darkstream.model.plan import VideoEncode

Node = Any
"""A stream of ffmpeg-python's graph (the library has no types)."""
Filter = tuple[str, dict[str, str | int]]

HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}
_NOMINAL_PEAK = 100
"""cd/m2 of diffuse white in SDR."""


def filter_renditions(
    source: Node,
    renditions: Sequence[VideoEncode],
    draw: Callable[[Node], Node] | None = None,
    *,
    only: Collection[int] | None = None,
    upload: bool = True,
) -> list[Node]:
    """One filtered stream a rendition, each scaled from the next larger one.

    `draw` adds what is drawn into the largest one. `only`: the numbers of those that are wanted.
    `upload`: into the memory of hardware encoders.
    """
    node = chain(source, list(picture_filters(renditions[0])))
    if draw is not None:
        node = draw(node)
    wanted = sorted(range(len(renditions)) if only is None else only)
    made = []
    for number in range(wanted[-1] + 1):
        if number > 0:
            node = chain(node, list(_smaller(renditions[number])))
        if number not in wanted:
            continue
        out = node
        if number < wanted[-1]:
            split = node.filter_multi_output("split", 2)
            out, node = split.stream(0), split.stream(1)
        made.append(chain(out, list(upload_filters(renditions[number])) if upload else []))
    return made


def picture_filters(video: VideoEncode) -> Iterator[Filter]:
    """Every filter of one rendition, in order, with its options."""
    if video.rematrix:
        # Scaling is the same in every matrix, but the scaler refuses those it cannot name.
        yield "setparams", {"colorspace": video.colour.matrix or "bt709"}
    if video.deinterlace:
        yield "bwdif", {"mode": "send_frame", "parity": video.field_order or "auto", "deint": "all"}
    if video.cut is not None:
        part = video.cut
        yield "crop", {"w": part.width, "h": part.height, "x": part.x, "y": part.y, "exact": 1}
    if video.frame_rate is not None:
        yield "fps", {"fps": str(video.frame_rate)}
    if video.flatten:
        yield "format", {"pix_fmts": "gbrap"}
        yield "premultiply", {"inplace": 1}
    if video.lossless:
        yield "setparams", _tags(_told(video))
    else:
        yield from _resize(video)
    yield from _turn(video)
    if video.tonemap:
        yield from tonemap(video.source_colour)
    elif video.rematrix:
        yield "zscale", _rematrix(video)
    yield "format", {"pix_fmts": video.pix_fmt}
    yield "setsar", {"sar": str(video.sar)}
    if not video.lossless:
        yield "setparams", _tags(video.colour)
    for kind in _spent_side_data(video):
        yield "sidedata", {"mode": "delete", "type": kind}


def _spent_side_data(video: VideoEncode) -> Iterator[str]:
    """What was applied to the pictures must not be told again, or players apply it twice."""
    yield "DISPLAYMATRIX"
    hdr = video.source_colour.transfer in HDR_TRANSFERS
    if video.dolby_vision is None and (hdr or video.strip_dolby_vision):
        yield from ("DOVI_RPU_BUFFER", "DOVI_METADATA")
    if video.tonemap:
        yield from ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS")


def _resize(video: VideoEncode) -> Iterator[Filter]:
    """To the stored orientation's size; turning comes after, on fewer pixels."""
    width, height = video.width, video.height
    if video.rotation in {90, 270}:
        width, height = height, width
    if video.hwaccel is not None:
        yield from scale_on_device(video.hwaccel, width, height, bits=video.hwaccel_bits)
        return
    if video.crop:
        yield "crop", {"w": width, "h": height, "x": 0, "y": 0}
    options: dict[str, str | int] = {"w": width, "h": height, "flags": "lanczos"}
    if not video.tonemap:
        options |= _range(video)
    if video.interlaced:
        options["interl"] = 1
    yield "scale", options


def _range(video: VideoEncode) -> dict[str, str | int]:
    options: dict[str, str | int] = {
        "in_range": video.source_colour.range or "tv",
        "out_range": video.colour.range or "tv",
    }
    if video.source_colour.matrix == "gbr":
        options |= {"in_range": "pc", "out_color_matrix": video.colour.matrix or "bt709"}
    return options


def _turn(video: VideoEncode) -> Iterator[Filter]:
    if video.mirrored:
        yield "hflip", {}
    if video.rotation == 90:
        yield "transpose", {"dir": "clock"}
    elif video.rotation == 270:
        yield "transpose", {"dir": "cclock"}
    elif video.rotation == 180:
        yield "hflip", {}
        yield "vflip", {}


def _rematrix(video: VideoEncode) -> dict[str, str | int]:
    """Scaled already, so in the output's range; nothing but the matrix changes."""
    options: dict[str, str | int] = {"rangein": video.colour.range or "tv"}
    for name, was, becomes in (
        ("matrix", video.source_colour.matrix, video.colour.matrix),
        ("primaries", video.source_colour.primaries, video.colour.primaries),
        ("transfer", video.source_colour.transfer, video.colour.transfer),
    ):
        if was is not None and becomes is not None:
            options |= {f"{name}in": was, name: becomes}
    return options


def tonemap(source: Colour) -> Iterator[Filter]:
    """HDR to BT.709 in linear light, as floats, with the Hable curve."""
    yield (
        "zscale",
        {
            "transferin": source.transfer or "smpte2084",
            "primariesin": source.primaries or "bt2020",
            "matrixin": source.matrix or "bt2020nc",
            "rangein": source.range or "tv",
            "transfer": "linear",
            "npl": _NOMINAL_PEAK,
        },
    )
    yield "format", {"pix_fmts": "gbrpf32le"}
    yield "zscale", {"primaries": "bt709"}
    yield "tonemap", {"tonemap": "hable", "desat": 0}
    yield "zscale", {"transfer": "bt709", "matrix": "bt709", "range": "tv", "dither": "ordered"}


def _told(video: VideoEncode) -> Colour:
    """What the filters and the encoder of a lossless rendition are told that the samples mean.

    ffmpeg brings full range to limited one before FFV1, which has no place to say which it is: it
    is said as an option of the output, for the container.
    """
    if video.colour.matrix != "gbr":
        return video.colour.model_copy(update={"range": "tv"})
    return video.colour


def all_tags(colour: Colour) -> dict[str, str | int]:
    """What samples mean, as `setparams` is told, so that nothing is left to the source."""
    named = _named(colour)
    return {name: "unknown" if value is None else value for name, value in named.items()}


def _tags(colour: Colour) -> dict[str, str | int]:
    return {name: value for name, value in _named(colour).items() if value is not None}


def _named(colour: Colour) -> dict[str, str | None]:
    return {
        "range": colour.range,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
        "colorspace": colour.matrix,
    }


def _smaller(video: VideoEncode) -> Iterator[Filter]:
    yield "scale", {"w": video.width, "h": video.height, "flags": "lanczos"}
    yield "setsar", {"sar": "1"}


def chain(node: Node, filters: Sequence[Filter]) -> Node:
    """A stream through filters, in order."""
    for name, options in filters:
        node = node.filter(name, **options)
    return node

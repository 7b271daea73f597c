"""What is drawn into pictures: subtitles and a mark, as filter nodes behind the picture's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ffmpeg

from darkstream.media.command.filters import Filter, Node
from darkstream.model.media import Colour
from darkstream.model.plan import Burn, EncodePlan, Overlay, VideoEncode

MARK = "file:mark"
TEXT_FILE, FONTS, FONTS_CONFIG = "mark.txt", "fonts", "fonts.conf"
_FONT = "Roboto"
_FONT_FILE = "Roboto-Regular.ttf"
_IMAGES = "png_pipe,jpeg_pipe,webp_pipe"
_HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}
_HDR_WHITE = 0.58
"""Reference white in PQ (ITU-R BT.2408: 203 cd/m2): full white would be as bright as the sun."""


@dataclass(frozen=True)
class Drawing:
    """A directory with what the filters read: a text track, the mark's text, fonts."""

    directory: bytes
    subtitles: str | None = None
    """File name of the text track to burn."""

    @property
    def variables(self) -> dict[bytes, bytes]:
        """What makes libass find our fonts alone, on every machine the same."""
        return {b"FONTCONFIG_FILE": os.fsencode(self.path(FONTS_CONFIG))}

    def path(self, name: str) -> str:
        """A file of it, as a filter is told."""
        return os.path.join(os.fsdecode(self.directory), name)


def draw(
    node: Node,
    source: Any,  # noqa: ANN401 - untyped library
    plan: EncodePlan,
    largest: VideoEncode,
    drawing: Drawing,
    max_pixels: int,
) -> Node:
    """Subtitles below the mark, on the largest rendition."""
    if plan.burn is not None:
        node = _burn(node, source, plan.burn, largest, drawing)
    if plan.overlay is not None:
        node = _mark(node, plan.overlay, largest.colour, drawing, max_pixels)
    return node.filter("format", pix_fmts=largest.pix_fmt)


def _burn(node: Node, source: Any, burn: Burn, video: VideoEncode, drawing: Drawing) -> Node:  # noqa: ANN401 - untyped library
    if burn.track is None or drawing.subtitles is None:
        pictures = source[str(burn.source_index)].filter("scale", w=video.width, h=video.height)
        return node.overlay(pictures, eof_action="pass", repeatlast=0, format="auto")
    options = {"filename": drawing.path(drawing.subtitles), "fontsdir": drawing.path(FONTS)}
    if burn.track != "ass":
        style = [f"FontName={_FONT}"]
        if video.colour.transfer in _HDR_TRANSFERS:
            grey = f"{round(255 * _HDR_WHITE):02X}"
            style.append(f"PrimaryColour=&H00{grey * 3}")
        options["force_style"] = ",".join(style)
    return node.filter("subtitles", **options)


def _mark(node: Node, overlay: Overlay, colour: Colour, drawing: Drawing, max_pixels: int) -> Node:
    white = _HDR_WHITE if colour.transfer in _HDR_TRANSFERS else 1.0
    shown = {} if overlay.end is None and not overlay.start else {"enable": _span(overlay)}
    if overlay.image is None:
        return node.filter("drawtext", **_text_options(overlay, white, drawing), **shown)
    options = {"protocol_whitelist": "file", "format_whitelist": _IMAGES, "max_pixels": max_pixels}
    if overlay.demuxer is not None:
        options["f"] = overlay.demuxer
    image = ffmpeg.input(MARK, **options)["v:0"]
    for name, values in _image_filters(overlay, white):
        image = image.filter(name, **values)
    x, y = _place(overlay, "W", "w"), _place(overlay, "H", "h")
    return node.overlay(image, x=x, y=y, format="auto", **shown)


def _image_filters(overlay: Overlay, white: float) -> Iterator[Filter]:
    yield "format", {"pix_fmts": "rgba"}
    yield "scale", {"w": overlay.width or -1, "h": -1, "flags": "lanczos"}
    mixed = {"rr": f"{white:g}", "gg": f"{white:g}", "bb": f"{white:g}"}
    yield "colorchannelmixer", {**mixed, "aa": f"{overlay.opacity:g}"}


def _text_options(overlay: Overlay, white: float, drawing: Drawing) -> dict[str, str | int]:
    """The text comes from a file and is not expanded: no letter of it means anything."""
    size = overlay.height or 16
    grey = f"0x{round(255 * white):02X}{round(255 * white):02X}{round(255 * white):02X}"
    return {
        "textfile": drawing.path(TEXT_FILE),
        "fontfile": drawing.path(os.path.join(FONTS, _FONT_FILE)),
        "expansion": "none",
        "fontsize": size,
        "fontcolor": f"{grey}@{overlay.opacity:g}",
        "borderw": max(1, size // 16),
        "bordercolor": f"black@{overlay.opacity / 2:g}",
        "x": _place(overlay, "w", "text_w"),
        "y": _place(overlay, "h", "text_h"),
    }


def _place(overlay: Overlay, whole: str, part: str) -> str:
    side = overlay.x if whole in {"W", "w"} else overlay.y
    if side < 0:
        return str(overlay.margin)
    if side == 0:
        return f"({whole}-{part})/2"
    return f"{whole}-{part}-{overlay.margin}"


def _span(overlay: Overlay) -> str:
    end = "" if overlay.end is None else f"*lt(t,{float(overlay.end):g})"
    return f"gte(t,{float(overlay.start):g}){end}"

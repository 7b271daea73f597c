"""A command that looks at a few pictures of one place: what moves between fields, what is black."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import ffmpeg

from darkstream.media.command.convert import GLOBAL, bind, input_options, part_of

_SOURCE = "file:source"
_COMBED = 1.2
"""ffmpeg's own (1.04) takes coarse blocks and small pictures for fields."""
_BRIGHT = "if(gt(val,minval+(maxval-minval)/50),maxval,0)"
"""All or nothing: what is brighter than black by more than an encoder's noise (8 bits: 20)."""
_FEW = 10 / 255
"""A line with so few bright pixels on its average (one in twenty) may be part of a bar."""


@dataclass(frozen=True)
class Place:
    """Where to look: which stream, seconds from the beginning, how many pictures.

    Unless it must be `exact` they are those from the key frame before it on: none is decoded in
    vain then, and in a long film any place is as good as another.
    """

    stream: int
    start: Fraction
    frames: int
    exact: bool


def sample_command(
    source: bytes,
    place: Place,
    *,
    program: bytes,
    formats: str,
    max_pixels: int,
    source_bytes: int | None = None,
    whole_raster: bool = False,
) -> tuple[bytes, ...]:
    """Decode the pictures of one place alone; `whole_raster`: as `EncodePlan`'s."""
    options = {**input_options(formats, max_pixels), "ss": f"{float(place.start):.3f}"}
    if not place.exact:
        options["noaccurate_seek"] = None
    if whole_raster:
        options["apply_cropping"] = "codec"
    if source_bytes is not None:
        options["protocol_whitelist"] = "subfile,file"
    node = ffmpeg.input(_SOURCE, noautorotate=None, **options)
    words = ffmpeg.get_args(
        ffmpeg.output(
            node[str(place.stream)],
            "-",
            **{
                "format": "null",
                "fps_mode": "passthrough",
                "enc_time_base:v": "1/1000000",
                "frames:v": place.frames,
                "filter:v": ",".join(
                    (
                        f"idet=intl_thres={_COMBED}",
                        f"lutyuv=y='{_BRIGHT}'",
                        f"cropdetect=limit={_FEW:.4f}:round=2:skip=0:reset=0",
                    )
                ),
            },
        )
    )
    paths = {_SOURCE: part_of(source_bytes) + b"file:" + source}
    return (program, *map(str.encode, GLOBAL), *(bind(word, paths) for word in words))

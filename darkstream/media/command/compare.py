"""Commands that hold a result against its original, picture by picture, at one place."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg

from darkstream.media.command.convert import GLOBAL, bind, input_options, part_of
from darkstream.media.command.filters import HDR_TRANSFERS, Filter, chain, picture_filters, tonemap
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.preset import Metric

_SOURCE, _RESULT, _OUTPUT = "file:source", "file:result", "file:output"
_FILTERS: dict[Metric, Filter] = {
    "vmaf": ("libvmaf", {"n_threads": 4}),
    "xpsnr": ("xpsnr", {}),
    "ssim": ("ssim", {}),
}
_PAIRED: dict[str, str | int] = {"ts_sync_mode": "nearest", "shortest": 1, "repeatlast": 0}
"""Containers round times differently: each picture is held against the one nearest to it."""
_WIDEST = 1920
"""Of each half of a clip; more than twice of it few players show."""


@dataclass(frozen=True)
class Pair:
    """An original, and what a plan made of it; absolute paths, `formats`: the result's demuxers."""

    plan: EncodePlan
    video: VideoEncode
    source: bytes
    result: bytes
    formats: str


def quality_command(
    pair: Pair,
    metric: Metric,
    start: Fraction,
    seconds: Fraction,
    *,
    program: bytes,
    max_pixels: int,
) -> tuple[bytes, ...]:
    """Say how alike the pictures of one place are; seconds.

    The original goes through the plan's own filters first: what it was to be cropped, scaled or
    tone-mapped to is no loss of the encode.
    """
    original, made = _open(pair, start, seconds, max_pixels)
    name, options = metric_filter(metric, pair.video)
    both = [chain(node, [same_samples(pair.video)]) for node in (made, original)]
    node = ffmpeg.filter(both, name, **options, **_PAIRED)
    output = ffmpeg.output(node, "-", format="null", fps_mode="passthrough")
    return _words(output, pair, b"", program)


def metric_filter(metric: Metric, video: VideoEncode) -> Filter:
    """What compares the pictures of a rendition."""
    name, options = _FILTERS[metric]
    model = None if video.target is None or metric != "vmaf" else video.target.model
    return name, (options if model is None else {**options, "model": f"version={model}"})


def same_samples(video: VideoEncode) -> Filter:
    """What both sides are brought to: 4:2:0, of as many bits as the rendition has, up to 10."""
    deep = video.pix_fmt.endswith("le")  # more than 8 bits are stored in two bytes
    return "format", {"pix_fmts": "yuv420p10le" if deep else "yuv420p"}


def source_options(plan: EncodePlan, video: VideoEncode, max_pixels: int) -> dict[str, Any]:
    """How a source is opened for a plan's pictures alone, as for the encode."""
    options = input_options(",".join(plan.source_formats), max_pixels)
    if plan.source_bytes is not None:
        options["protocol_whitelist"] = "subfile,file"
    if video.decoder is not None:
        options[f"c:{video.source_index}"] = video.decoder
    if plan.whole_raster:
        options["apply_cropping"] = "codec"
    return options


def clip_command(
    pair: Pair,
    start: Fraction,
    seconds: Fraction,
    encoder: str,
    output: bytes,
    *,
    program: bytes,
    max_pixels: int,
) -> tuple[bytes, ...]:
    """A clip of one place as H.264: the original at the left, the result at the right."""
    original, made = _open(pair, start, seconds, max_pixels)
    filters: list[Filter] = []
    if pair.video.width > _WIDEST:
        filters.append(("scale", {"w": _WIDEST, "h": -2, "flags": "lanczos"}))
    if pair.video.colour.transfer in HDR_TRANSFERS:
        filters.extend(tonemap(pair.video.colour))
    filters.append(("format", {"pix_fmts": "yuv420p"}))
    both = [chain(original, filters), chain(made, filters)]
    node = ffmpeg.filter(both, "hstack", shortest=1)
    options: dict[str, str | int] = {"c:v": encoder, "format": "mp4", "movflags": "+faststart"}
    if encoder == "libx264":
        options |= {"crf": 14, "preset": "veryfast"}
    else:
        options |= {"b:v": "40M"}
    return _words(ffmpeg.output(node, _OUTPUT, **options), pair, output, program)


def _open(pair: Pair, start: Fraction, seconds: Fraction, max_pixels: int) -> tuple[Any, Any]:
    at, long = {"ss": f"{float(start):.3f}"}, {"t": f"{float(seconds):.3f}"}
    video = pair.video
    options = {**source_options(pair.plan, video, max_pixels), **long}
    if start:  # not every demuxer that reads from the beginning can seek there
        options |= at
    source = ffmpeg.input(_SOURCE, noautorotate=None, **options)[str(video.source_index)]
    # Another frame rate is made by taking the nearest pictures, and so they are compared.
    filters = [one for one in picture_filters(video) if one[0] != "fps"]
    # ffmpeg counts from where a file begins. The original's beginning is the result's time 0, be
    # its own first picture or sound later than that.
    told = {**input_options(pair.formats, max_pixels), **long, **at, "seek_timestamp": 1}
    made = ffmpeg.input(_RESULT, **told)["v:0"]
    return chain(source, filters), made


def _words(output: Any, pair: Pair, path: bytes, program: bytes) -> tuple[bytes, ...]:  # noqa: ANN401 - untyped library
    paths = {
        _SOURCE: part_of(pair.plan.source_bytes) + b"file:" + pair.source,
        _RESULT: b"file:" + pair.result,
        _OUTPUT: b"file:" + path,
    }
    words = ffmpeg.get_args(output)
    return (program, *map(str.encode, GLOBAL), *(bind(word, paths) for word in words))

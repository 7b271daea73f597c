"""Commands that make pictures of a finished output: stills, sheets, an animation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import ffmpeg

from darkstream.media.command.convert import GLOBAL, bind, input_options
from darkstream.media.command.filters import Filter, tonemap
from darkstream.model.base import Frozen
from darkstream.model.plan import Picture, Poster, Preview, Sprites, Thumbnails

_SOURCE, _OUTPUT = "file:source", "file:output"
_ALLOWED = {"hls": {"allowed_extensions": "ALL", "extension_picky": 0}}
_JUDGED_WIDTH = 320
_GOOD_JPEG, _SMALL_JPEG = 2, 5
"""`-q:v`: 2 is the best that is worth its bytes."""
_PREVIEW_RATE = 10
_WEBP_QUALITY = 60


class Shown(Frozen):
    """An output to look at: absolute path, its demuxers, and which of its video streams."""

    path: bytes
    formats: str
    stream: str = "v:0"


def judge_command(
    shown: Shown, every: Fraction, *, keys_only: bool, program: bytes, max_pixels: int
) -> tuple[bytes, ...]:
    """Say brightness, contrast and blur of a picture every so many seconds, with its own time.

    `keys_only`: of key frames alone, which cost a twentieth.
    """
    apart = f"isnan(prev_selected_t)+gte(t-prev_selected_t,{float(every):g})"
    filters: list[Filter] = [
        ("select", {"expr": apart}),
        ("scale", {"w": _JUDGED_WIDTH, "h": -2}),
        ("format", {"pix_fmts": "yuv420p"}),
        ("signalstats", {}),
        ("blurdetect", {}),
        ("metadata", {"mode": "print"}),
    ]
    node = _through(_open(shown, max_pixels, keys_only=keys_only), filters)
    options = {"format": "null", "fps_mode": "passthrough"}
    return _words(ffmpeg.output(node, "-", **options), shown, b"", program)


def poster_command(
    poster: Poster, shown: Shown, at: Fraction, output: bytes, *, program: bytes, max_pixels: int
) -> tuple[bytes, ...]:
    """One still, `at` seconds."""
    source = _open(shown, max_pixels, ss=f"{float(at):.3f}")
    node = _through(source, [*_sized(poster), ("format", {"pix_fmts": "yuvj420p"})])
    options = {"c:v": "mjpeg", "q:v": _GOOD_JPEG, "frames:v": 1, "update": 1, "f": "image2"}
    return _words(ffmpeg.output(node, _OUTPUT, **options), shown, output, program)


def small_command(
    wish: Sprites | Thumbnails,
    shown: Shown,
    count: int,
    pattern: bytes,
    *,
    program: bytes,
    max_pixels: int,
) -> tuple[bytes, ...]:
    """`count` small pictures, one every `wish.seconds`, alone or in sheets; made of key frames.

    `pattern` names the files as ffmpeg's image2 does ('%d.jpg'). Each is the latest key frame
    of its time; the last one stands for times behind it.
    """
    filters: list[Filter] = [
        ("fps", {"fps": str(1 / wish.seconds), "round": "up", "start_time": 0}),
        *_exactly(count),
        *_sized(wish),
        ("format", {"pix_fmts": "yuvj420p"}),
    ]
    if isinstance(wish, Sprites):
        filters.append(("tile", {"layout": f"{wish.columns}x{wish.rows}"}))
    node = _through(_open(shown, max_pixels, keys_only=True), filters)
    options = {"c:v": "mjpeg", "q:v": _SMALL_JPEG, "start_number": 0, "f": "image2"}
    options["fps_mode"] = "passthrough"
    return _words(ffmpeg.output(node, _OUTPUT, **options), shown, pattern, program)


def preview_command(
    preview: Preview,
    shown: Shown,
    places: Sequence[Fraction],
    seconds: Fraction,
    output: bytes,
    *,
    program: bytes,
    max_pixels: int,
) -> tuple[bytes, ...]:
    """An animation of so many seconds from each place."""
    parts = [
        _open(shown, max_pixels, ss=f"{float(place):.3f}", t=f"{float(seconds):.3f}")
        for place in places
    ]
    filters: list[Filter] = [
        ("fps", {"fps": _PREVIEW_RATE, "round": "up", "start_time": 0}),
        *_exactly(max(1, int(seconds * _PREVIEW_RATE))),
        *_sized(preview),
    ]
    node = _through(ffmpeg.concat(*(_through(part, filters) for part in parts), n=len(parts)), [])
    options: dict[str, str | int] = {"loop": 0, "f": preview.format}
    if preview.format == "gif":
        both = node.filter_multi_output("split")
        palette = both.stream(0).filter("palettegen", stats_mode="diff")
        node = ffmpeg.filter([both.stream(1), palette], "paletteuse", dither="bayer")
    else:
        options |= {"c:v": "libwebp_anim", "quality": _WEBP_QUALITY, "pix_fmt": "yuv420p"}
    return _words(ffmpeg.output(node, _OUTPUT, **options), shown, output, program)


def _exactly(count: int) -> Iterator[Filter]:
    """So many pictures, the last of which stands still where there are too few."""
    yield "tpad", {"stop": -1, "stop_mode": "clone"}
    yield "trim", {"end_frame": count}


def _sized(picture: Picture) -> Iterator[Filter]:
    """To its size and, from HDR, to what every screen shows."""
    yield "scale", {"w": picture.width, "h": picture.height, "flags": "lanczos"}
    yield "setsar", {"sar": "1"}
    if picture.hdr is not None:
        yield from tonemap(picture.hdr)


def _open(shown: Shown, max_pixels: int, *, keys_only: bool = False, **place: str) -> Any:  # noqa: ANN401 - untyped library
    allowed = _ALLOWED.get(shown.formats.partition(",")[0], {})
    options = {**allowed, **input_options(shown.formats, max_pixels), **place}
    # Copied streams may change what they say of themselves: the filters must not begin anew.
    options["reinit_filter"] = 0
    if keys_only:
        options["skip_frame"] = "nokey"
    return ffmpeg.input(_SOURCE, **options)[shown.stream]


def _through(node: Any, filters: Sequence[Filter]) -> Any:  # noqa: ANN401 - untyped library
    for name, options in filters:
        node = node.filter(name, **options)
    return node


def _words(output: Any, shown: Shown, path: bytes, program: bytes) -> tuple[bytes, ...]:  # noqa: ANN401 - untyped library
    paths = {_SOURCE: b"file:" + shown.path, _OUTPUT: b"file:" + path}
    words = ffmpeg.get_args(output)
    return (program, *map(str.encode, GLOBAL), *(bind(word, paths) for word in words))

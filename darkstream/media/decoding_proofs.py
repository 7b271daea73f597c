"""Hardware decoders, proved and measured: their pictures against software's, and their time.

A clip of a real size is made on the spot, decoded and made smaller both ways. As many pictures must
come out, alike (PSNR); how many times as fast hardware was is kept, for the planner to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Literal

from darkstream.errors import ProcessFailed
from darkstream.media.command.acceleration import SCALERS, hwaccel_options, scale_on_device
from darkstream.media.devices import decoding_devices
from darkstream.media.process import Limits
from darkstream.media.proofs import RATE, Workshop, filter_text, option_words, pattern
from darkstream.model.capabilities import DecodingFamily, HardwareDecoder

_SIZE, _SMALLER = (1920, 1080), (1280, 720)
_SECONDS, _LOOPS = 4, 5
_ALIKE_DB = 40.0
"""PSNR of the pictures after scaling, against swscale's Lanczos. Measured with other scalers on the
same clip: bicubic 52.8, bilinear 44.5, nearest neighbour 36.1."""
_LIMITS = Limits(wall_s=120)
_PSNR = re.compile(r"PSNR .*average:(inf|[0-9.]+)")
_PICTURE = re.compile(r"showinfo.* n: *\d+ ")
_MOST_DB = 100.0
"""What equal pictures have, whose PSNR is infinite."""


@dataclass(frozen=True)
class Clip:
    """What is decoded: a codec, its depth, and the encoder of software that makes it."""

    codec: str
    bits: Literal[8, 10]
    encoder: tuple[str, ...]


CLIPS = (
    Clip("h264", 8, ("libx264", "-preset", "superfast")),
    Clip("hevc", 8, ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")),
    Clip("hevc", 10, ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")),
    Clip("av1", 8, ("libsvtav1", "-preset", "12")),
    Clip("av1", 10, ("libsvtav1", "-preset", "12")),
    Clip("vp9", 8, ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1")),
)


def prove_decoders(
    workshop: Workshop, encoders: Sequence[str], filters: Sequence[str]
) -> tuple[HardwareDecoder, ...]:
    """Every decoder of hardware that works here; nothing is made where there is no device."""
    families = [(name, device) for name, device in decoding_devices() if SCALERS[name] in filters]
    if not families:
        return ()
    with TemporaryDirectory(prefix="darkstream-proof-") as directory:
        found: list[HardwareDecoder] = []
        for clip in CLIPS:
            if clip.encoder[0] in encoders and (path := _make(workshop, clip, directory)):
                found += _prove_all(workshop, clip, path, directory, families)
        return tuple(found)


def _make(workshop: Workshop, clip: Clip, directory: str) -> str | None:
    path = f"file:{directory}/{clip.codec}-{clip.bits}.mkv"
    samples = "yuv420p10le" if clip.bits == 10 else "yuv420p"
    source = ("-f", "lavfi", "-i", f"{pattern(_SIZE, _SECONDS)},noise=alls=8:allf=t")
    encode = ("-pix_fmt", samples, "-c:v", *clip.encoder, "-b:v", "10M", path)
    try:
        workshop.run([*source, *encode], directory, _LIMITS)
    except (ProcessFailed, OSError):
        return None
    return path


def _prove_all(
    workshop: Workshop,
    clip: Clip,
    path: str,
    directory: str,
    families: Sequence[tuple[DecodingFamily, str | None]],
) -> Iterator[HardwareDecoder]:
    software: float | None = None
    done: set[DecodingFamily] = set()
    for family, device in families:
        if family in done:
            continue
        psnr = _compare(workshop, clip, path, directory, family, device)
        if psnr is None:
            continue
        done.add(family)
        software = software or _time(workshop, path, directory, (), _scale())
        before = tuple(option_words(hwaccel_options(family, device)))
        hardware = _time(workshop, path, directory, before, _chain(family, clip))
        if software and hardware:
            yield HardwareDecoder(
                family=family,
                codec=clip.codec,
                bits=clip.bits,
                device=device,
                scales=psnr >= _ALIKE_DB,
                psnr=round(psnr, 1),
                speed=round(software / hardware, 2),
            )


def _compare(
    workshop: Workshop,
    clip: Clip,
    path: str,
    directory: str,
    family: DecodingFamily,
    device: str | None,
) -> float | None:
    """dB between hardware's pictures and software's; None: hardware does not make them all."""
    before = option_words(hwaccel_options(family, device))
    graph = (
        f"[0:v]{_chain(family, clip)},format=yuv420p,showinfo[a];"
        f"[1:v]{_scale()},format=yuv420p[b];[a][b]psnr"
    )
    words = [*before, "-i", path, "-i", path, "-lavfi", graph, "-f", "null", "-"]
    try:
        lines = workshop.run(words, directory, _LIMITS)
    except (ProcessFailed, OSError):
        return None
    told = [found[1] for line in lines if (found := _PSNR.search(line))]
    pictures = sum(_PICTURE.search(line) is not None for line in lines)
    if not told or pictures != RATE * _SECONDS:
        return None
    return min(float(told[-1]), _MOST_DB)


def _time(
    workshop: Workshop, path: str, directory: str, before: Sequence[str], filters: str
) -> float | None:
    """Seconds to decode the clip, several times over, and to make it smaller."""
    loops = ("-stream_loop", str(_LOOPS - 1))
    words = ["-v", "error", *before, *loops, "-i", path, "-vf", filters, "-f", "null", "-"]
    try:
        return workshop.time(words, directory, _LIMITS)
    except (ProcessFailed, OSError):
        return None


def _scale() -> str:
    return f"scale=w={_SMALLER[0]}:h={_SMALLER[1]}:flags=lanczos"


def _chain(family: DecodingFamily, clip: Clip) -> str:
    made = scale_on_device(family, *_SMALLER, bits=clip.bits)
    return ",".join(map(filter_text, made))

"""Hardware encoders, proved: what they make is decoded again and held against what went in.

The very words of a plan are tried: constant quality as for files, and a ceiling with key frames on
the beat as for ladders. A picture must come out for each that went in, alike (SSIM), as deep, and
with the key frames that were asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from darkstream.errors import ProcessFailed
from darkstream.media.command.encoders import Options, encoder_options
from darkstream.media.command.hardware import device_words, upload_filters
from darkstream.media.devices import device_files, devices_of
from darkstream.media.process import Limits, run
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Encoder, HardwareFamily
from darkstream.model.plan import VideoEncode
from darkstream.model.preset import VideoCodec
from darkstream.planning.hardware import FAMILIES

RATE, SECONDS = 24, 2
_SIZE = (640, 360)
_BEAT = Fraction(1, 2)
_ASKED = {int(beat * _BEAT * RATE) for beat in range(int(SECONDS / _BEAT))}
_CEILING = 4_000_000
_ALIKE = 0.9
"""SSIM of all pictures; a green or grey picture has a third of it."""
_LIMITS = Limits(wall_s=60)
"""Seconds: a driver may need ten to open a device for the first time."""
_SAMPLE = resources.files("darkstream.media") / "samples" / "dynamic_hdr.hevc"
_SAMPLE_PICTURES = 2
_STATIC = ("Mastering display metadata", "Content light level metadata")
_QUALITY: dict[VideoCodec, int] = {"h264": 20, "hevc": 22, "av1": 26, "vp9": 28}
_PIXELS = {8: "yuv420p", 10: "yuv420p10le"}
_PICTURE = re.compile(r" n: *\d+ .*pts_time:(\S+) .*fmt:(\S+) .*iskey:([01])")
_SSIM = re.compile(r"SSIM .*?\bAll:([0-9.]+)", re.DOTALL)
"""ffmpeg writes it in pieces, between which other threads of it may write."""


@dataclass(frozen=True)
class Workshop:
    """The ffmpeg that is tried, and its cage."""

    ffmpeg: str
    sandbox: Sandbox

    def run(self, words: Sequence[str], directory: str, limits: Limits = _LIMITS) -> list[str]:
        """What ffmpeg says; raises ProcessFailed and OSError."""
        lines: list[str] = []
        run(self._caged(words, directory), limits=limits, on_stderr_line=lines.append)
        return lines

    def time(self, words: Sequence[str], directory: str, limits: Limits = _LIMITS) -> float:
        """How many seconds ffmpeg takes; raises ProcessFailed and OSError."""
        return run(self._caged(words, directory), limits=limits).wall_s

    def _caged(self, words: Sequence[str], directory: str) -> list[bytes]:
        argv = [self.ffmpeg, "-nostdin", "-hide_banner", *words]
        return self.sandbox.wrap(argv, write=[os.fsencode(directory)], devices=device_files())


def prove_hardware(workshop: Workshop, known: Sequence[str]) -> tuple[Encoder, ...]:
    """Every hardware encoder of ffmpeg's `known` ones that works here, on the first such device."""
    tries = [
        (name, codec, encoder)
        for name, family in FAMILIES.items()
        for codec, encoder in family.encoders.items()
        if encoder in known and devices_of(name)
    ]
    if not tries:
        return ()
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(lambda one: _prove(workshop, *one), tries)
        return tuple(encoder for encoder in found if encoder is not None)


def _prove(
    workshop: Workshop, family: HardwareFamily, codec: VideoCodec, name: str
) -> Encoder | None:
    depths = (8, 10) if codec in FAMILIES[family].deep else (8,)
    for device in devices_of(family):
        one = Encoder(
            name=name, codec=codec, hardware=True, family=family, device=device, bits=depths
        )
        bits = tuple(depth for depth in depths if _encodes(workshop, one, depth, rung=False))
        if bits:
            rungs = all(_encodes(workshop, one, depth, rung=True) for depth in bits)
            hdr10 = 10 in bits and _keeps_static(workshop, one)
            return one.model_copy(update={"bits": bits, "rungs": rungs, "hdr10": hdr10})
    return None


def rendition(encoder: Encoder, codec: VideoCodec, bits: int, *, rung: bool) -> VideoEncode:
    """The rendition that proves an encoder."""
    profiles = {"h264": {8: "high", 10: "high10"}, "hevc": {8: "main", 10: "main10"}}
    return VideoEncode(
        name="proof",
        source_index=0,
        codec=codec,
        encoder=encoder.name,
        hardware=True,
        device=encoder.device,
        width=_SIZE[0],
        height=_SIZE[1],
        pix_fmt=_PIXELS[bits],
        rate=Fraction(RATE),
        quality=_QUALITY[codec],
        speed=None,
        keyframe_interval=_BEAT,
        max_bit_rate=_CEILING if rung else None,
        profile=profiles.get(codec, {}).get(bits),
    )


def _encodes(workshop: Workshop, encoder: Encoder, bits: int, *, rung: bool) -> bool:
    video = rendition(encoder, _codec(encoder), bits, rung=rung)
    with TemporaryDirectory(prefix="darkstream-proof-") as directory:
        output = f"file:{directory}/proof.mkv"
        source = ("-f", "lavfi", "-i", pattern())
        try:
            workshop.run(
                [*device_words([video]), *source, *_encode_words(video, aligned=rung), output],
                directory,
            )
            seen = workshop.run(["-i", output, *source, *_compare(), "-f", "null", "-"], directory)
        except (ProcessFailed, OSError):
            return False
    return _is_as_asked(seen, video, rung=rung)


def pattern(size: tuple[int, int] = _SIZE, seconds: int = SECONDS) -> str:
    """A moving test picture, as ffmpeg's source makes it."""
    return f"testsrc2=s={size[0]}x{size[1]}:r={RATE}:d={seconds}"


def _encode_words(video: VideoEncode, *, aligned: bool, before: str = "") -> Iterator[str]:
    filters = ",".join(
        [f"{before}format=pix_fmts={video.pix_fmt}", *map(filter_text, upload_filters(video))]
    )
    yield from ("-vf", filters, "-fps_mode", "passthrough")
    yield from option_words(encoder_options(video, 0, aligned=aligned))


def option_words(options: Options) -> Iterator[str]:
    """Options as words of a command."""
    for name, value in options.items():
        yield from (f"-{name}", str(value))


def filter_text(one: tuple[str, dict[str, str | int]]) -> str:
    """A filter as a word of a graph."""
    name, options = one
    told = ":".join(f"{key}={value}" for key, value in options.items())
    return f"{name}={told}" if told else name


def _compare() -> tuple[str, ...]:
    counted = f"settb=1/{RATE},setpts=N,format=yuv420p"
    return ("-lavfi", f"[0:v]showinfo,{counted}[a];[1:v]{counted}[b];[a][b]ssim")


def _is_as_asked(lines: Sequence[str], video: VideoEncode, *, rung: bool) -> bool:
    pictures = [found for line in lines if (found := _PICTURE.search(line))]
    alike = [float(found) for found in _SSIM.findall("\n".join(lines))]
    if len(pictures) != RATE * SECONDS or not alike or alike[-1] < _ALIKE:
        return False
    begin = float(pictures[0][1])
    keys = {round((float(found[1]) - begin) * RATE) for found in pictures if found[3] == "1"}
    deep = all(("10" in found[2]) == ("10" in video.pix_fmt) for found in pictures)
    return deep and (keys == _ASKED if rung else 0 in keys)


def _keeps_static(workshop: Workshop, encoder: Encoder) -> bool:
    """Whether pictures of HDR10 have their static data again."""
    video = rendition(encoder, _codec(encoder), 10, rung=False)
    with TemporaryDirectory(prefix="darkstream-proof-") as directory:
        Path(directory, "sample.hevc").write_bytes(_SAMPLE.read_bytes())
        output = f"file:{directory}/proof.mp4"
        source = ("-f", "hevc", "-i", f"file:{directory}/sample.hevc")
        scaled = f"scale=w={_SIZE[0]}:h={_SIZE[1]},"
        words = [*_encode_words(video, aligned=False, before=scaled), output]
        try:
            workshop.run([*device_words([video]), *source, *words], directory)
            seen = workshop.run(["-i", output, "-vf", "showinfo", "-f", "null", "-"], directory)
        except (ProcessFailed, OSError):
            return False
    return all(
        sum(f"side data - {data}" in line for line in seen) == _SAMPLE_PICTURES for data in _STATIC
    )


def _codec(encoder: Encoder) -> VideoCodec:
    return next(
        codec
        for family in FAMILIES.values()
        for codec, name in family.encoders.items()
        if name == encoder.name
    )

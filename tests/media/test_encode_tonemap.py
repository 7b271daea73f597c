"""Tone mapping against its formulas: SMPTE ST 2084, BT.2100's HLG, BT.2087, Hable's curve.

The reference is computed here, from the standards, and knows nothing of ffmpeg's filters.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from fixtures_planning import Clips, Walker

Colour = tuple[float, float, float]
_WHITE = 100.0
"""cd/m2 of SDR's white."""
_PEAK = 10.0
"""Times white: what is mapped to white, where the file names no mastering display (1000 cd/m2)."""
_PATCH = 32
_TO_709 = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
"""BT.2087-0, from BT.2020 to BT.709, linear light."""


def _pq(nits: float) -> float:
    """ST 2084, inverse EOTF: the signal (0 to 1) of a luminance."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = (nits / 10_000) ** m1
    return float(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def _hable(x: float) -> float:
    a, b, c, d, e, f = 0.15, 0.5, 0.1, 0.2, 0.02, 0.3
    return (x * (x * a + b * c) + d * e) / (x * (x * a + b) + d * f) - e / f


def _expected(nits: Colour) -> list[float]:
    """What 8-bit RGB of full range shows; the curve is applied to the brightest of the three."""
    linear = [
        sum(factor * value / _WHITE for factor, value in zip(row, nits, strict=True))
        for row in _TO_709
    ]
    brightest = max(*linear, 1e-6)
    scale = _hable(brightest) / _hable(_PEAK) / brightest
    return [255 * max(0.0, min(1.0, value * scale)) ** (1 / 2.4) for value in linear]


def _clip(clips: Clips, name: str, signals: list[Colour], transfer: str) -> Path:
    """A row of patches of BT.2020 RGB signals, 10 bits."""
    codes = [[round(1023 * part) for part in signal] for signal in signals]
    planes: list[str] = []
    for channel in (1, 2, 0):  # geq's order of planes is G, B, R
        value = f"{codes[-1][channel]}"
        for number in range(len(codes) - 2, -1, -1):
            value = f"if(lt(X,{_PATCH * (number + 1)}),{codes[number][channel]},{value})"
        planes.append(value)
    tags = f"setparams=color_primaries=bt2020:color_trc={transfer}"
    graph = (
        f"nullsrc=s={_PATCH * len(codes)}x{_PATCH}:r=25:d=0.2,format=gbrp10,"
        f"geq=g='{planes[0]}':b='{planes[1]}':r='{planes[2]}',{tags},"
        "zscale=rangein=full:range=limited:matrix=bt2020nc,format=yuv444p10"
    )
    params = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=error:lossless=1"
    options = ("-c:v", "libx265", "-x265-params", params, "-preset", "ultrafast")
    return clips.make(name, "-f", "lavfi", "-i", graph, *options)


def _seen(path: str, count: int) -> list[list[float]]:
    """The middle of each patch, 8-bit RGB."""
    with av.open(path) as container:
        frame = next(container.decode(video=0)).reformat(format="rgb24")
    plane = frame.planes[0]
    data = bytes(plane)
    row = data[plane.line_size * (_PATCH // 2) :]
    middles = [3 * (_PATCH * number + _PATCH // 2) for number in range(count)]
    return [[float(value) for value in row[at : at + 3]] for at in middles]


def _map(walker: Walker, source: Path, work: Path, count: int) -> list[list[float]]:
    done = walker.walk(source, "web", work)
    assert done.presentation is not None, done.reason
    made = walker.prober.probe(done.presentation.path).video[0]
    assert (made.colour.primaries, made.colour.transfer, made.hdr) == ("bt709", "bt709", "none")
    return _seen(os.fsdecode(done.presentation.path), count)


@pytest.mark.parametrize(
    ("name", "patches"),
    [
        ("greys", [(n, n, n) for n in (0.5, 2.0, 10.0, 50.0, 100.0, 203.0, 400.0, 1000.0)]),
        (
            "colours",
            [(80.0, 60.0, 40.0), (30.0, 60.0, 90.0), (120.0, 160.0, 100.0), (300.0, 250.0, 200.0)],
        ),
    ],
)
def test_pq_becomes_what_the_formulas_say(
    walker: Walker, clips: Clips, tmp_path: Path, name: str, patches: list[Colour]
) -> None:
    signals = [(_pq(r), _pq(g), _pq(b)) for r, g, b in patches]
    source = _clip(clips, f"pq-{name}.mkv", signals, "smpte2084")
    seen = _map(walker, source, tmp_path, len(patches))
    for patch, colour in zip(patches, seen, strict=True):
        assert colour == pytest.approx(_expected(patch), abs=4), patch


def _hlg_nits(signal: float) -> float:
    """BT.2100: EOTF of HLG for grey on a display of 1000 cd/m2, system gamma 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = signal**2 / 3 if signal <= 0.5 else (math.exp((signal - c) / a) + b) / 12
    return float(1000 * scene**1.2)


def test_hlg_becomes_what_the_formulas_say(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    levels = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
    source = _clip(clips, "hlg.mkv", [(v, v, v) for v in levels], "arib-std-b67")
    seen = _map(walker, source, tmp_path, len(levels))
    for level, colour in zip(levels, seen, strict=True):
        nits = _hlg_nits(level)
        assert colour == pytest.approx(_expected((nits, nits, nits)), abs=4), level


def test_brighter_stays_brighter(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    nits = [1.0, 5.0, 20.0, 80.0, 200.0, 500.0, 900.0]
    brightness: Callable[[list[float]], float] = sum
    source = _clip(clips, "ramp.mkv", [(_pq(n), _pq(n), _pq(n)) for n in nits], "smpte2084")
    seen = [brightness(colour) for colour in _map(walker, source, tmp_path, len(nits))]
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] > 400

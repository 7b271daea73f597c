"""One film by the preset `web` against HandBrakeCLI, told the same: x264, preset, CRF, audio.

The source's H.264 and AAC are both encoded anew. What HandBrake looks for in films by itself
(bars, fields) is turned off, as `web` does not look for it either. Ours is checked as before
publishing; the decode for proof, which the peer has not, is a row of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.encoding import Machine, film_of, machine_in
from benchmarks.figures import Figure, run
from benchmarks.peers import Tool, handbrake
from benchmarks.profiles import score
from benchmarks.turns import Work, bound, compare, take_turns
from darkstream.media.command import convert_command
from darkstream.media.package import package
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_CHANGES = ("video.copy_codecs=[]", "audio.copy_codecs=[]")
_SECONDS, _QUICK_SECONDS = 30, 4
_PEER, _PLAIN = "HandBrakeCLI", "plain ffmpeg, the same command"
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5point1"}


def measure(options: argparse.Namespace) -> list[Figure]:
    """Wall, CPU, bytes and VMAF."""
    seconds = _QUICK_SECONDS if options.quick else options.seconds
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="darkstream-one-file-")
        directory = Path(stack.enter_context(temporary))
        machine = stack.enter_context(machine_in(directory))
        source = film_of(directory, "bigbuckbunny", seconds)
        plan = machine.plan(source, load_preset("web", changes=_CHANGES))
        peer = handbrake()
        ways: dict[str, Work] = {
            "ours": lambda: _convert(machine, plan, source, directory / "ours", proof=False),
            "proved": lambda: _convert(machine, plan, source, directory / "proved", proof=True),
            _PLAIN: lambda: _run_plainly(machine, plan, source, directory / "plain"),
        }
        handmade = directory / "handbrake.mp4"
        if peer.path is not None:
            ways[_PEER] = lambda: _run_handbrake(peer, plan, source, handmade)
        costs = take_turns(ways, 1 if options.quick else options.rounds)
        cpu = {name: [cost.cpu_s for cost in made] for name, made in costs.items()}
        wall = {name: [cost.wall_s for cost in made] for name, made in costs.items()}
        rows = [
            compare("one file, wall", "s", wall["ours"], _PLAIN, wall[_PLAIN]),
            compare("one file with proof, CPU", "s", cpu["proved"], _PLAIN, cpu[_PLAIN]),
            bound("one file, wall beside its bound", wall["ours"], cpu["ours"], _cores()),
        ]
        if peer.path is None:
            return [Figure("one file, wall", None, "s", _PEER, at_most=1.0, note=peer.why), *rows]
        video = plan.renditions[0]
        if not isinstance(video, VideoEncode):
            raise SystemExit("nothing is encoded")
        output = next((directory / "ours" / "output").glob("output.*"))
        size = (video.width, video.height)
        scores = [score(machine.ffmpeg, one, source, size) for one in (output, handmade)]
        sizes = [one.stat().st_size / 1e6 for one in (output, handmade)]
        note = f"VMAF {scores[0]:.2f} against {scores[1]:.2f}"
        proved = wall["proved"]
        return [
            compare("one file, wall", "s", wall["ours"], _PEER, wall[_PEER], at_most=1.0),
            compare("one file, CPU", "s", cpu["ours"], _PEER, cpu[_PEER]),
            compare("one file, wall with proof", "s", proved, _PEER, wall[_PEER]),
            Figure("one file, bytes", sizes[0], "MB", _PEER, sizes[1], note=note),
            *rows,
        ]


def _convert(machine: Machine, plan: EncodePlan, source: Path, work: Path, *, proof: bool) -> None:
    shutil.rmtree(work, ignore_errors=True)
    encoded = machine.encode(plan, source, work)
    if proof:
        machine.verify(plan, encoded)
    package(plan, encoded)


def _run_plainly(machine: Machine, plan: EncodePlan, source: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    argv = convert_command(
        plan,
        program=os.fsencode(machine.ffmpeg),
        source=os.fsencode(source),
        directory=os.fsencode(to),
        max_pixels=MediaSettings().max_pixels,
    )
    subprocess.run(argv, check=True, capture_output=True)


def _run_handbrake(peer: Tool, plan: EncodePlan, source: Path, to: Path) -> None:
    video, sound = plan.renditions[0], plan.audio[0]
    if not isinstance(video, VideoEncode) or video.quality is None or sound.bit_rate is None:
        raise SystemExit("the plan has no constant quality, or its audio no rate")
    argv = [str(peer.path), "--input", str(source), "--output", str(to), "--format", "av_mp4"]
    argv += ["--optimize", "--encoder", "x264", "--encoder-preset", str(video.speed)]
    argv += ["--encoder-profile", "high", "--quality", f"{video.quality:g}", "--vfr"]
    argv += ["--width", str(video.width), "--height", str(video.height), "--crop", "0:0:0:0"]
    argv += ["--no-comb-detect", "--no-decomb", "--no-deinterlace", "--no-markers"]
    argv += ["--aencoder", "av_aac", "--ab", str(sound.bit_rate // 1000)]
    argv += ["--mixdown", _LAYOUTS[sound.channels], "--encopts"]
    argv += [f"keyint={-(-video.rate * video.keyframe_interval // 1)}"]
    subprocess.run(argv, check=True, capture_output=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of film")
    parser.add_argument("--rounds", type=int, default=3)


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

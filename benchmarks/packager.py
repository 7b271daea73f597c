"""Packaging alone, without encoding: ffmpeg's DASH muxer and our manifests against Shaka Packager.

The renditions of the preset `abr` of a real clip, in one MP4 each and ten minutes long by copies,
become segments with an HLS and a DASH entrance. Both read the same files, they take turns. In a
conversion DarkStream has no such files: its ffmpeg writes the segments while it encodes, so that
only the manifests come on top, and a packager of its own would write every byte twice.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from benchmarks.peers import Tool, shaka_packager
from darkstream.media.binary import find_ffmpeg
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.command import convert_command
from darkstream.media.command.convert import MANIFEST, muxer_options
from darkstream.media.manifests import MASTER, write_manifests
from darkstream.media.probe import Prober
from darkstream.media.tracks import read_tracks
from darkstream.media.validator import check_presentation
from darkstream.model.plan import AbrPackage, EncodePlan
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_SECONDS, _QUICK_SECONDS = 600, 60


def measure(options: argparse.Namespace) -> list[Figure]:
    """Wall and CPU seconds of each, the share of the manifests, and the size of the packages."""
    with tempfile.TemporaryDirectory(prefix="darkstream-packager-") as temporary:
        directory = Path(temporary)
        packager = shaka_packager(directory)
        plan, tracks = _renditions(directory, _QUICK_SECONDS if options.quick else _SECONDS)
        ways: dict[str, Callable[[Path], None]] = {"ours": lambda to: _package(plan, tracks, to)}
        if packager.path is not None:
            ways["peer"] = lambda to: _package_with(packager, plan, tracks, to)
        walls: dict[str, list[float]] = {name: [] for name in ways}
        cpus: dict[str, list[float]] = {name: [] for name in ways}
        sizes: dict[str, int] = {}
        for _ in range(1 if options.quick else 5):
            for name, way in ways.items():
                to = directory / name
                shutil.rmtree(to, ignore_errors=True)
                to.mkdir()
                cpu, began = _cpu(), time.perf_counter()
                way(to)
                walls[name].append(time.perf_counter() - began)
                cpus[name].append(_cpu() - cpu)
                sizes[name] = sum(path.stat().st_size for path in to.iterdir())
        return _figures(packager, walls, cpus, sizes, _afterwards(plan, directory / "ours"))


def _figures(
    packager: Tool,
    walls: dict[str, list[float]],
    cpus: dict[str, list[float]],
    sizes: dict[str, int],
    afterwards: tuple[float, float],
) -> list[Figure]:
    peer = "Shaka Packager"
    middle = statistics.median

    def beside(what: str, unit: str, found: dict[str, float]) -> Figure:
        return Figure(what, found["ours"], unit, peer, found.get("peer"), note=packager.why)

    written, checked = afterwards
    return [
        beside("packaging, wall", "s", {name: middle(all_) for name, all_ in walls.items()}),
        beside("packaging, CPU", "s", {name: middle(all_) for name, all_ in cpus.items()}),
        beside("package", "MiB", {name: size / 2**20 for name, size in sizes.items()}),
        Figure("of it manifests, wall", written, "s"),
        Figure("checking the package, wall", checked, "s"),
    ]


def _renditions(directory: Path, seconds: int) -> tuple[EncodePlan, list[Path]]:
    """The plan of a clip, and each of its tracks as an MP4 of so many seconds."""
    settings = MediaSettings()
    clip = next(clip for clip in fetch_clips(directory / "clips") if clip.stem == "bigbuckbunny")
    capabilities = detect_capabilities(settings, directory / "capabilities")
    with Prober(settings) as prober:
        media = prober.probe(os.fsencode(clip))
    plan = make_plan(media, load_preset("abr"), capabilities, validate(media))
    if not isinstance(plan, EncodePlan):
        raise SystemExit(f"{clip.name} makes no presentation: {plan.reason}")
    encoded = directory / "encoded"
    encoded.mkdir()
    command = convert_command(
        plan,
        program=os.fsencode(capabilities.ffmpeg),
        source=os.fsencode(clip),
        directory=os.fsencode(encoded),
        max_pixels=settings.max_pixels,
    )
    subprocess.run(command, check=True, capture_output=True)
    made = []
    for track in read_tracks(os.fsencode(encoded)):
        names = [str(track.init), *(segment.name for segment in track.segments)]
        whole = directory / f"{track.kind}-{track.id}-once.mp4"
        whole.write_bytes(b"".join((encoded / name).read_bytes() for name in names))
        long = directory / f"{track.kind}-{track.id}.mp4"
        loops = ("-stream_loop", "-1")
        derive(whole, long, "-c", "copy", "-t", str(seconds), before=loops)
        made.append(long)
    return plan, made


def _package(plan: EncodePlan, tracks: Sequence[Path], to: Path) -> None:
    """As a conversion does, but that nothing is encoded."""
    inputs = [word for track in tracks for word in ("-i", str(track))]
    maps = [word for number in range(len(tracks)) for word in ("-map", str(number))]
    told = muxer_options(plan)
    words = ["-f", told.pop("format"), *(w for n, v in told.items() for w in (f"-{n}", v))]
    ffmpeg = str(find_ffmpeg(MediaSettings()))
    argv = [ffmpeg, "-v", "error", "-nostdin", *inputs, *maps, "-c", "copy", *map(str, words)]
    subprocess.run([*argv, str(to / MANIFEST)], check=True)
    write_manifests(plan, os.fsencode(to))


def _package_with(packager: Tool, plan: EncodePlan, tracks: Sequence[Path], to: Path) -> None:
    """The same with HLS and DASH entrances of Shaka Packager's own."""
    streams = []
    for track in tracks:
        kind = track.stem.partition("-")[0]
        words = [f"in={track}", f"stream={kind}", f"init_segment={to}/{track.stem}-init.mp4"]
        words += [f"segment_template={to}/{track.stem}-$Number%05d$.m4s"]
        words += [f"playlist_name={track.stem}.m3u8"]
        if kind == "video":
            words.append(f"iframe_playlist_name={track.stem}-keys.m3u8")
        streams.append(",".join(words))
    if not isinstance(plan.package, AbrPackage):
        raise SystemExit("the plan makes no presentation")
    argv = [str(packager.path), *streams, "--quiet", "--generate_static_live_mpd"]
    argv += ["--segment_duration", str(float(plan.package.segment_seconds))]
    argv += ["--mpd_output", str(to / MANIFEST), "--hls_master_playlist_output", str(to / MASTER)]
    subprocess.run(argv, check=True, capture_output=True, env=packager.environment)


def _afterwards(plan: EncodePlan, package: Path) -> tuple[float, float]:
    """Seconds for the manifests alone, again, and for the check of everything."""
    began = time.perf_counter()
    write_manifests(plan, os.fsencode(package))
    written = time.perf_counter()
    if violations := check_presentation(os.fsencode(package), MASTER, MANIFEST):
        raise SystemExit(f"our own package breaks a rule: {violations[0]}")
    return written - began, time.perf_counter() - written


def _cpu() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


if __name__ == "__main__":
    run(__doc__ or "", measure)

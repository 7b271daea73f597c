"""A film in chunks, one after another on one machine, against the same plan in one piece.

Both are the commands that DarkStream runs, at a preset's own speed. On so few cores chunks cannot
win time: what is measured is what they cost, and what is serial about them (reading the packets,
joining, and the one command that writes the file). A film of a third of the length tells which of
it comes once and which with every second. From that follows how much of many cores a film of two
hours could use. The sound is encoded beside the chunks, in one thread: with C seconds of work in
chunks, A in the sound and S serial ones, n cores are through after max((C + A) / n, A) + S. It
leaves out that the last chunks end unevenly, and verification.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from benchmarks.profiles import score
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.chunks import Joint, encode_chunk, join_chunks
from darkstream.media.command.convert import convert_command, output_name
from darkstream.media.command.soundtrack import soundtrack_name
from darkstream.media.decoding import Decoder
from darkstream.media.encode import encode_rest
from darkstream.media.probe import Prober
from darkstream.media.sandbox import Sandbox
from darkstream.media.soundtrack import encode_soundtrack
from darkstream.model.capabilities import Capabilities
from darkstream.model.encoded import Assembled, Soundtrack
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning import make_plan, validate
from darkstream.planning.chunks import cut
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_CODECS = {"hevc": "web", "av1": "web", "vp9": "webm", "h264": "web"}
_SECONDS = 60
_SHORTER = 3
_CHUNK = Fraction(10)
_TWO_HOURS = 7200


@dataclass(frozen=True)
class _Made:
    """Seconds, bytes and what came out."""

    path: Path
    wall_s: float
    cpu_s: float
    serial_s: float
    sound_s: float = 0.0

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class _Film:
    source: Path
    whole: EncodePlan
    parts: EncodePlan
    capabilities: Capabilities
    index_s: float


def measure(options: argparse.Namespace) -> list[Figure]:
    """CPU, size, VMAF and pictures of each codec, and the share of many cores that follows."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="darkstream-chunks-") as temporary:
        directory = Path(temporary)
        bikes = next(one for one in fetch_clips(directory / "clips") if one.stem == "bikes")
        sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
        sources = []
        for length in (_SECONDS, _SECONDS // _SHORTER):
            sources.append(directory / f"film-{length}.mkv")
            derive(
                *(bikes, sources[-1], *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy"),
                *("-c:a", "libopus", "-t", str(length)),
                before=("-stream_loop", "-1"),
            )
        rounds = 1 if options.quick else 3
        for codec in ["h264"] if options.quick else options.codecs:
            film, shorter = (_plan(codec, source, directory) for source in sources)
            figures += _compare(codec, film, shorter, directory, rounds)
    return figures


def _plan(codec: str, source: Path, directory: Path) -> _Film:
    capabilities = detect_capabilities(MediaSettings(), directory / "capabilities")
    preset = load_preset(_CODECS[codec])
    if preset.video is None:
        raise SystemExit("the preset has no video")
    rule = preset.video.model_copy(
        update={"codec": codec, "copy_codecs": (), "speed": None, "chunk_seconds": _CHUNK}
    )
    preset = preset.model_copy(update={"video": rule})
    with Prober(MediaSettings()) as prober:
        media = prober.probe(os.fsencode(source))
        whole = make_plan(media, preset, capabilities, validate(media))
        if not isinstance(whole, EncodePlan):
            raise SystemExit(f"{source.name} is not encoded: {whole.reason}")
        began = time.perf_counter()
        times = prober.list_times(os.fsencode(source), whole.renditions[0].source_index)
        index_s = time.perf_counter() - began
    return _Film(source, whole, cut(whole, media, preset, times), capabilities, index_s)


def _compare(codec: str, film: _Film, shorter: _Film, directory: Path, rounds: int) -> list[Figure]:
    whole: list[_Made] = []
    parts: list[_Made] = []
    less: list[_Made] = []
    for number in range(rounds):
        whole.append(_in_one_piece(film, directory / f"{codec}-whole-{number}"))
        parts.append(_in_chunks(film, directory / f"{codec}-parts-{number}"))
        less.append(_in_chunks(shorter, directory / f"{codec}-less-{number}"))
    video = film.whole.renditions[0]
    if not isinstance(video, VideoEncode):
        raise SystemExit("nothing is encoded")
    size = (video.width, video.height)
    ffmpeg = film.capabilities.ffmpeg
    vmaf = [score(ffmpeg, made[0].path, film.source, size) for made in (parts, whole)]
    sizes = [made[0].size / 1e6 for made in (parts, whole)]
    pictures = [_count(ffmpeg, made[0].path) for made in (parts, whole)]
    middle = statistics.median
    cpu = [middle(one.cpu_s for one in made) for made in (parts, whole)]
    spread = [
        max(one.cpu_s for one in made) - min(one.cpu_s for one in made) for made in (parts, whole)
    ]
    length = float(film.whole.expect.duration or _SECONDS)
    work = cpu[0] / length * _TWO_HOURS
    # Round by round; what is not longer for a longer film is taken to come once.
    more = (length - length / _SHORTER, _TWO_HOURS - length)
    serial = middle(
        one.serial_s + max(0.0, one.serial_s - other.serial_s) / more[0] * more[1]
        for one, other in zip(parts, less, strict=True)
    )
    sound = middle(one.sound_s for one in parts) / length * _TWO_HOURS
    peer = "in one piece"
    noise = f"spread {spread[0]:.1f} and {spread[1]:.1f} s"
    return [
        Figure(f"{codec} in chunks, CPU", cpu[0], "s", peer, cpu[1], at_most=1.05, note=noise),
        Figure(f"{codec}, size", sizes[0], "MB", peer, sizes[1], at_most=1.02),
        Figure(
            *(f"{codec}, VMAF less by", vmaf[1] - vmaf[0], ""),
            at_most=0.2,
            of="ours",
            note=f"{vmaf[0]:.2f} against {vmaf[1]:.2f}",
        ),
        Figure(f"{codec}, pictures", pictures[0], "", peer, pictures[1], at_most=1, at_least=1),
        *(
            Figure(
                f"{codec}, two hours on {cores} cores, share of them used",
                work / (cores * (max(work / cores, sound) + serial)),
                "",
                at_least=least,
                of="ours",
                note=f"by {serial:.0f} serial s, {sound:.0f} of sound, {work:.0f} of work",
            )
            for cores, least in ((16, 0.9), (64, 0.75))
        ),
    ]


def _in_one_piece(film: _Film, directory: Path) -> _Made:
    directory.mkdir()
    argv = convert_command(
        film.whole,
        program=os.fsencode(film.capabilities.ffmpeg),
        source=os.fsencode(film.source),
        directory=os.fsencode(directory),
        max_pixels=MediaSettings().max_pixels,
    )
    cpu, began = _cpu(), time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    wall = time.perf_counter() - began
    return _Made(directory / output_name(film.whole), wall, _cpu() - cpu, 0.0)


def _in_chunks(film: _Film, directory: Path) -> _Made:
    directory.mkdir()
    sandbox = Sandbox.detect("auto")
    decoder = Decoder(film.capabilities, sandbox)
    source = os.fsencode(film.source)
    cpu, began = _cpu(), time.perf_counter()
    joints = []
    if film.parts.chunking is None:
        raise SystemExit("the film was not cut")
    for chunk in film.parts.chunking.chunks:
        into = os.fsencode(directory / f"{chunk.index}")
        made = encode_chunk(film.parts, chunk, source, into, decoder, lambda _: None)
        files = tuple(os.path.join(into, file.name.encode()) for file in made.files)
        joints.append(Joint(made, files))
    encoded = time.perf_counter()
    sound = _encode_sound(film.parts, source, os.fsencode(directory / "sound"), decoder)
    heard = time.perf_counter()
    joined = os.fsencode(directory / "joined")
    video: Assembled = join_chunks(film.parts, joints, joined, decoder, encoded=len(joints))
    video = video.model_copy(update={"soundtrack": sound})
    rest = encode_rest(
        film.parts,
        video,
        source,
        os.fsencode(directory),
        capabilities=film.capabilities,
        sandbox=sandbox,
    )
    ended = time.perf_counter()
    made_of = Path(os.fsdecode(rest.directory)) / os.fsdecode(rest.main)
    serial_s = ended - heard + film.index_s
    return _Made(made_of, ended - began, _cpu() - cpu, serial_s, heard - encoded)


def _encode_sound(
    plan: EncodePlan, source: bytes, directory: bytes, decoder: Decoder
) -> Soundtrack | None:
    """The sound of a film; None where it is copied."""
    if soundtrack_name(plan) is None:
        return None
    made = encode_soundtrack(plan, source, directory, decoder)
    if made is None:
        raise SystemExit("the sound was not encoded")
    return Soundtrack(made=made, path=os.path.join(directory, made.files[0].name.encode()))


def _count(ffmpeg: str, path: Path) -> int:
    argv = [ffmpeg, "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0"]
    argv += ["-fps_mode", "passthrough", "-f", "framecrc", "-"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return sum(not line.startswith("#") for line in done.stdout.splitlines())


def _cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which."""
    parser.add_argument("--codecs", nargs="+", choices=_CODECS, default=list(_CODECS))


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

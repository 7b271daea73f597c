"""What this machine's ffmpeg can truly do: every encoder proved by an encode that is decoded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from blake3 import blake3
from pydantic import ValidationError

from darkstream.errors import ProcessFailed, ToolMissing
from darkstream.media.binary import ffmpeg_version, find_ffmpeg
from darkstream.media.decoding_proofs import prove_decoders
from darkstream.media.devices import device_marks, gpu_names
from darkstream.media.hdr10plus import read_scene, write_scenes
from darkstream.media.prober.dynamic import Units
from darkstream.media.process import Limits, run
from darkstream.media.proofs import Workshop, prove_hardware
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.media import DynamicHdr
from darkstream.model.survey import Hdr10Plus
from darkstream.settings import MediaSettings

_SOFTWARE = (
    ("libx264", "h264", ("-preset", "ultrafast")),
    ("libx265", "hevc", ("-preset", "ultrafast", "-x265-params", "log-level=none")),
    ("libsvtav1", "av1", ("-preset", "12")),
    ("libvpx-vp9", "vp9", ("-deadline", "realtime", "-cpu-used", "8")),
    ("libvvenc", "vvc", ("-preset", "faster")),
    ("prores_ks", "prores", ()),
    ("ffv1", "ffv1", ()),
)
_AUDIO = (
    ("aac", "aac"),
    ("libopus", "opus"),
    ("ac3", "ac3"),
    ("eac3", "eac3"),
    ("flac", "flac"),
    ("libmp3lame", "mp3"),
)
_LIMITS = Limits(wall_s=20)
_REVISION = "4"
"""Counts up with what is proved: earlier proofs say nothing of it."""
_STALE = ".stale"
"""Proofs of which those of hardware no longer count."""
_DOLBY_VISION = ("-dolbyvision", "1", "-maxrate", "50M", "-bufsize", "50M")
_SAMPLE = resources.files("darkstream.media") / "samples" / "dynamic_hdr.hevc"
"""Two grey pictures of HDR10 with Dolby Vision (8.1) and HDR10+ data."""
_SAMPLE_PICTURES = 2
_RECORD = re.compile(r"DOVI configuration record: .*profile: (8|10), .*compatibility id: 1\b")
_MARKS: dict[DynamicHdr, str] = {
    "dolby_vision": "side data - Dolby Vision Metadata",
    "hdr10plus": "side data - HDR Dynamic Metadata SMPTE2094-40",
}
"""What ffmpeg's filter showinfo says of a picture that has such data."""
_KEEPERS: dict[str, tuple[DynamicHdr, ...]] = {
    "libx265": ("dolby_vision", "hdr10plus"),
    "libsvtav1": ("dolby_vision",),
}


def detect_capabilities(settings: MediaSettings, cache: Path) -> Capabilities:
    """Prove what ffmpeg can do, or read what was proved for the very same binary and machine.

    `cache` is the directory of earlier proofs. Raises ToolMissing where no ffmpeg works, and
    SandboxUnavailable where one is required and missing.
    """
    ffmpeg = find_ffmpeg(settings)
    sandbox = Sandbox.detect(settings.sandbox)
    # By what stat says: reading 80 MB for their hash would cost each flow run a tenth of a second.
    marks = (_REVISION, str(ffmpeg), *_stat(ffmpeg), sandbox.level, *device_marks())
    key = blake3("\0".join(marks).encode()).hexdigest()
    path = cache / f"{key[:32]}.json"
    if (known := _read(path)) is not None:
        return known
    workshop = Workshop(str(ffmpeg), sandbox)
    software = _read(path.with_suffix(_STALE)) or _prove(ffmpeg, _build(ffmpeg), sandbox)
    found = _prove_hardware(software, workshop)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(found.model_dump_json())
    part.replace(path)
    return found


def _read(path: Path) -> Capabilities | None:
    try:
        return Capabilities.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def forget_hardware(cache: Path) -> None:
    """Have hardware be proved anew: it failed, and had worked. Proofs of software stay."""
    for path in cache.glob("*.json"):
        with suppress(FileNotFoundError):  # another process was quicker
            path.replace(path.with_suffix(_STALE))


def _stat(ffmpeg: Path) -> list[str]:
    found = ffmpeg.stat()
    return list(map(str, (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)))


def _build(ffmpeg: Path) -> str:
    version = ffmpeg_version(ffmpeg)
    if version is None:
        raise ToolMissing(f"{ffmpeg} does not run as ffmpeg")
    return f"{version}-{blake3(ffmpeg.read_bytes()).hexdigest()[:16]}"


def _prove(ffmpeg: Path, build: str, sandbox: Sandbox) -> Capabilities:
    tries = list(_tries())
    with ThreadPoolExecutor(max_workers=2) as pool:
        proofs = pool.map(lambda attempt: _works(ffmpeg, sandbox, attempt[1]), tries)
        proved = [attempt[0] for attempt, works in zip(tries, proofs, strict=True) if works]
        encoders = list(pool.map(lambda one: _prove_dynamic_hdr(ffmpeg, sandbox, one), proved))
    if not encoders:
        raise ToolMissing(f"{ffmpeg} could not encode anything here")
    return Capabilities(
        ffmpeg=str(ffmpeg),
        version=ffmpeg_version(ffmpeg) or "",
        build=build,
        encoders=tuple(encoders),
        decoders=_names(ffmpeg, "-decoders"),
        filters=_names(ffmpeg, "-filters"),
        muxers=_names(ffmpeg, "-muxers"),
        sandbox=sandbox.level,
    )


def _prove_hardware(software: Capabilities, workshop: Workshop) -> Capabilities:
    able = tuple(one for one in software.encoders if not one.hardware)
    known = _names(Path(workshop.ffmpeg), "-encoders")
    encoders = prove_hardware(workshop, known)
    decoders = prove_decoders(workshop, [one.name for one in able], software.filters)
    gpu = next(iter(gpu_names()), encoders[0].family) if encoders else None
    changes = {"encoders": (*able, *encoders), "hardware_decoders": decoders, "gpu": gpu}
    return software.model_copy(update=changes)


def _tries() -> Iterator[tuple[Encoder, list[str]]]:
    """Each encoder of software with ffmpeg's options after the test picture."""
    for name, codec, options in _SOFTWARE:
        yield Encoder(name=name, codec=codec), ["-c:v", name, *options]
    for name, codec in _AUDIO:
        yield Encoder(name=name, codec=codec), ["-c:a", name]


def _works(ffmpeg: Path, sandbox: Sandbox, words: list[str]) -> bool:
    with TemporaryDirectory(prefix="darkstream-proof-") as directory:
        output = os.path.join(directory, "proof.mkv")
        source = "testsrc2=s=320x240:r=10:d=0.5" if "-c:v" in words else "sine=d=0.5"
        encode = ["-f", "lavfi", "-i", source, *words, f"file:{output}"]
        decode = ["-xerror", "-i", f"file:{output}", "-f", "null", "-"]
        try:
            for options in (encode, decode):
                argv = [str(ffmpeg), "-nostdin", "-hide_banner", "-v", "error", *options]
                run(sandbox.wrap(argv, write=[os.fsencode(directory)]), limits=_LIMITS)
        except (ProcessFailed, OSError):
            return False
    return True


def _prove_dynamic_hdr(ffmpeg: Path, sandbox: Sandbox, encoder: Encoder) -> Encoder:
    """The encoder with the data for single scenes that come out of it as they go in."""
    kept = tuple(
        kind for kind in _KEEPERS.get(encoder.name, ()) if _keeps(ffmpeg, sandbox, encoder, kind)
    )
    return encoder.model_copy(update={"dynamic_hdr": kept})


def _keeps(ffmpeg: Path, sandbox: Sandbox, encoder: Encoder, kind: DynamicHdr) -> bool:
    """Whether each picture of the sample has its data again, in a file that says so."""
    options = next(list(rest) for name, _, rest in _SOFTWARE if name == encoder.name)
    with TemporaryDirectory(prefix="darkstream-proof-") as directory:
        source, output, scenes = (
            os.path.join(directory, name) for name in ("sample.hevc", "proof.mp4", "scenes.json")
        )
        sample = _SAMPLE.read_bytes()
        Path(source).write_bytes(sample)
        if kind == "dolby_vision":
            options += _DOLBY_VISION
        else:
            message = Units(0).find_hdr10plus(sample) or b""
            told = Hdr10Plus(messages=(message.hex(),), runs=((0, _SAMPLE_PICTURES),))
            write_scenes(Path(scenes), [read_scene(message) or {}], told)
            options[-1] += f":dhdr10-info={scenes}"
        encode = ["-f", "hevc", "-i", f"file:{source}", "-c:v", encoder.name, *options]
        encode += ["-f_strict", "unofficial", f"file:{output}"]
        decode = ["-i", f"file:{output}", "-vf", "showinfo", "-f", "null", "-"]
        lines: list[str] = []
        try:
            for words in (encode, decode):
                argv = [str(ffmpeg), "-nostdin", "-hide_banner", *words]
                lines.clear()
                caged = sandbox.wrap(argv, write=[os.fsencode(directory)])
                run(caged, limits=_LIMITS, on_stderr_line=lines.append)
        except (ProcessFailed, OSError):
            return False
    declared = kind == "hdr10plus" or any(map(_RECORD.search, lines))
    return declared and sum(_MARKS[kind] in line for line in lines) == _SAMPLE_PICTURES


def _names(ffmpeg: Path, option: str) -> tuple[str, ...]:
    done = run([os.fsencode(ffmpeg), b"-hide_banner", os.fsencode(option)], limits=_LIMITS)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    found = (re.match(r"\s*[A-Z.|]{1,8}\s+([a-z0-9_,-]+)\s", line) for line in lines)
    return tuple(sorted({name for match in found if match for name in match.group(1).split(",")}))

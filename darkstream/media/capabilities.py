"""What this machine's ffmpeg can truly do: every encoder proved by an encode that is decoded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from blake3 import blake3
from pydantic import ValidationError

from darkstream.errors import ProcessFailed, ToolMissing
from darkstream.media.binary import ffmpeg_version, find_ffmpeg
from darkstream.media.process import Limits, run
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.settings import MediaSettings

_SOFTWARE = (
    ("libx264", "h264", ("-preset", "ultrafast")),
    ("libx265", "hevc", ("-preset", "ultrafast", "-x265-params", "log-level=none")),
    ("libsvtav1", "av1", ("-preset", "12")),
    ("libvpx-vp9", "vp9", ("-deadline", "realtime", "-cpu-used", "8")),
)
_AUDIO = (("aac", "aac"), ("libopus", "opus"), ("flac", "flac"), ("libmp3lame", "mp3"))
_NVENC = (("h264_nvenc", "h264"), ("hevc_nvenc", "hevc"), ("av1_nvenc", "av1"))
_VAAPI = (("h264_vaapi", "h264"), ("hevc_vaapi", "hevc"), ("av1_vaapi", "av1"))
_RENDER_NODE = "/dev/dri/renderD128"
_LIMITS = Limits(wall_s=20)


def detect_capabilities(settings: MediaSettings, cache: Path) -> Capabilities:
    """Prove what ffmpeg can do, or read what was proved for the very same binary and machine.

    `cache` is the directory of earlier proofs. Raises ToolMissing where no ffmpeg works, and
    SandboxUnavailable where one is required and missing.
    """
    ffmpeg = find_ffmpeg(settings)
    sandbox = Sandbox.detect(settings.sandbox)
    # By what stat says: reading 80 MB for their hash would cost each flow run a tenth of a second.
    marks = (str(ffmpeg), *_stat(ffmpeg), sandbox.level, *_devices())
    key = blake3("\0".join(marks).encode()).hexdigest()
    path = cache / f"{key[:32]}.json"
    try:
        return Capabilities.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        found = _prove(ffmpeg, _build(ffmpeg), sandbox)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(found.model_dump_json())
    part.replace(path)
    return found


def _stat(ffmpeg: Path) -> list[str]:
    found = ffmpeg.stat()
    return list(map(str, (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)))


def _build(ffmpeg: Path) -> str:
    version = ffmpeg_version(ffmpeg)
    if version is None:
        raise ToolMissing(f"{ffmpeg} does not run as ffmpeg")
    return f"{version}-{blake3(ffmpeg.read_bytes()).hexdigest()[:16]}"


def _devices() -> list[str]:
    """Devices that make hardware encoders possible, and the driver that runs them."""
    found = [name for name in ("/dev/nvidiactl", _RENDER_NODE) if os.path.exists(name)]
    driver = Path("/proc/driver/nvidia/version")
    return [*found, *([driver.read_text().splitlines()[0]] if driver.exists() else [])]


def _prove(ffmpeg: Path, build: str, sandbox: Sandbox) -> Capabilities:
    tries = list(_tries())
    with ThreadPoolExecutor(max_workers=2) as pool:
        proofs = pool.map(lambda attempt: _works(ffmpeg, sandbox, *attempt), tries)
        encoders = [attempt[0] for attempt, proved in zip(tries, proofs, strict=True) if proved]
    if not encoders:
        raise ToolMissing(f"{ffmpeg} could not encode anything here")
    hardware = [encoder.name for encoder in encoders if encoder.hardware]
    return Capabilities(
        ffmpeg=str(ffmpeg),
        version=ffmpeg_version(ffmpeg) or "",
        build=build,
        encoders=tuple(encoders),
        decoders=_names(ffmpeg, "-decoders"),
        filters=_names(ffmpeg, "-filters"),
        muxers=_names(ffmpeg, "-muxers"),
        sandbox=sandbox.level,
        gpu=_gpu_name() if hardware else None,
    )


def _tries() -> Iterator[tuple[Encoder, list[str], list[str]]]:
    """Each encoder with ffmpeg's options before and after the test picture."""
    for name, codec, options in _SOFTWARE:
        yield Encoder(name=name, codec=codec), [], ["-c:v", name, *options]
    for name, codec in _AUDIO:
        yield Encoder(name=name, codec=codec), [], ["-c:a", name]
    if os.path.exists("/dev/nvidiactl"):
        for name, codec in _NVENC:
            yield Encoder(name=name, codec=codec, hardware=True), [], ["-c:v", name]
    if os.path.exists(_RENDER_NODE):
        for name, codec in _VAAPI:
            before = ["-vaapi_device", _RENDER_NODE]
            after = ["-vf", "format=nv12,hwupload", "-c:v", name]
            yield Encoder(name=name, codec=codec, hardware=True), before, after


def _works(
    ffmpeg: Path, sandbox: Sandbox, encoder: Encoder, before: list[str], after: list[str]
) -> bool:
    with TemporaryDirectory(prefix="darkstream-proof-") as directory:
        output = os.path.join(directory, "proof.mkv")
        devices = [os.fsencode(d) for d in _device_files()] if encoder.hardware else []
        source = "testsrc2=s=320x240:r=10:d=0.5" if "-c:v" in after else "sine=d=0.5"
        encode = ["-f", "lavfi", "-i", source, *after, f"file:{output}"]
        decode = ["-xerror", "-i", f"file:{output}", "-f", "null", "-"]
        try:
            for options in ([*before, *encode], decode):
                argv = [str(ffmpeg), "-nostdin", "-hide_banner", "-v", "error", *options]
                write = [os.fsencode(directory)]
                run(sandbox.wrap(argv, write=write, devices=devices), limits=_LIMITS)
        except (ProcessFailed, OSError):
            return False
    return True


def _device_files() -> list[str]:
    names = ["nvidiactl", "nvidia0", "nvidia-uvm", "dri"]
    return [path for name in names if os.path.exists(path := f"/dev/{name}")]


def _gpu_name() -> str:
    for path in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        if found := re.search(r"^Model:\s*(.+)$", path.read_text(), re.MULTILINE):
            return found.group(1)
    return "VAAPI device"


def _names(ffmpeg: Path, option: str) -> tuple[str, ...]:
    done = run([os.fsencode(ffmpeg), b"-hide_banner", os.fsencode(option)], limits=_LIMITS)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    found = (re.match(r"\s*[A-Z.|]{1,8}\s+([a-z0-9_,-]+)\s", line) for line in lines)
    return tuple(sorted({name for match in found if match for name in match.group(1).split(",")}))

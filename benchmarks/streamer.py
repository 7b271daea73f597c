"""What Shaka Streamer is told, for a ladder of H.264 and one track of AAC, in HLS and DASH.

It always encodes H.264 with x264's preset `slow`, at a given bit rate, with a key frame at each
segment. JSON is YAML, which is what it reads.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import Streamer, program_for

SPEED = "slow"
_SEGMENT_S = 4


@dataclass(frozen=True)
class Rate:
    """A rung of the peer's ladder; bit/s."""

    width: int
    height: int
    bit_rate: int


def stream(
    streamer: Streamer,
    source: Path,
    to: Path,
    rungs: Sequence[Rate] | Sequence[str],
    *,
    sound: bool = True,
    ffmpeg: str | None = None,
) -> None:
    """Make a presentation in `to`; `rungs`: some of its own by name, or those of a ladder.

    `sound`: whether the source has some. `ffmpeg`: in place of the one that came with it.
    """
    to.mkdir(parents=True)
    names = [one if isinstance(one, str) else f"rung{one.height}" for one in rungs]
    told = {
        "input": {
            "inputs": [
                {"name": str(source), "media_type": kind}
                for kind in (("video", "audio") if sound else ("video",))
            ]
        },
        "pipeline": {
            "streaming_mode": "vod",
            "limit_resolution_by": "width",
            "quiet": True,
            "resolutions": names,
            "channel_layouts": ["stereo"],
            "audio_codecs": ["aac"],
            "video_codecs": ["h264"],
            "manifest_format": ["dash", "hls"],
            "segment_size": _SEGMENT_S,
            "generate_iframe_playlist": True,
        },
    }
    own = [one for one in rungs if isinstance(one, Rate)]
    if own:
        told["bitrate"] = {
            "video_resolutions": {
                f"rung{one.height}": {
                    "max_width": one.width,
                    "max_height": one.height,
                    "bitrates": {"h264": f"{one.bit_rate / 1000:.1f}k"},
                }
                for one in own
            }
        }
    argv = [str(streamer.program), "--output", str(to / "presentation")]
    for name, config in told.items():
        path = to / f"{name}.yaml"
        path.write_text(json.dumps(config))
        argv += [f"--{name}-config", str(path)]
    environment = dict(os.environ)
    if ffmpeg is not None and streamer.binaries is not None:
        argv += ["--use-system-binaries", "--skip-deps-check"]
        environment["PATH"] = f"{_link(to, ffmpeg, streamer.binaries)}:{environment['PATH']}"
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    if done.returncode or not any((to / "presentation").glob("*.m3u8")):
        raise SystemExit(f"shaka-streamer failed: {done.stdout[-500:]}{done.stderr[-1500:]}")


def _link(to: Path, ffmpeg: str, binaries: Path) -> Path:
    """A directory with one name for each program it looks for."""
    directory = to / "bin"
    directory.mkdir()
    (directory / "ffmpeg").symlink_to(ffmpeg)
    for program in ("ffprobe", "packager"):
        (directory / program).symlink_to(program_for(binaries, program))
    return directory

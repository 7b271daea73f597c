"""A stand-in for hardware that this machine does not have: NVENC, played by software.

Third-party hardware cannot run here: the script takes the words that NVENC is told, has the real
ffmpeg's software encoders do it, and lies or fails where a test asks for it.
"""

from __future__ import annotations

from pathlib import Path

_SCRIPT = """#!/usr/bin/env python3
import os, sys

FFMPEG, LIE = {ffmpeg!r}, {lie!r}
SOFTWARE = {{"h264_nvenc": "libx264", "hevc_nvenc": "libx265", "av1_nvenc": "libsvtav1"}}
SAMPLES = {{"nv12": "yuv420p", "p010le": "yuv420p10le"}}
ONLY_NVENC = {{"-rc", "-b", "-spatial-aq", "-tune", "-no-scenecut", "-preset"}}
words, made = sys.argv[1:], []
mine = [word for word in words if word in SOFTWARE]
if mine and "-encoders" not in words:
    {fault}
    left = iter(words)
    for word in left:
        if word.split(":")[0] in ONLY_NVENC:
            next(left)
            continue
        word = word.replace("-cq:", "-crf:")
        for one, other in {{**SOFTWARE, **SAMPLES}}.items():
            word = word if word.startswith("file:") else word.replace(one, other)
        made.append(word)
    quick = {{
        "libx264": ["-preset", "ultrafast", "-sc_threshold", "0"],
        "libx265": ["-preset", "ultrafast", "-x265-params", "scenecut=0:open-gop=0:log-level=1"],
        "libsvtav1": ["-preset", "12"],
    }}
    made[-1:-1] = [*quick[SOFTWARE[mine[0]]], *LIE]
else:
    made = words
os.execv(FFMPEG, [FFMPEG, *made])
"""


def nvenc_stand_in(
    directory: Path, ffmpeg: str, *, lie: tuple[str, ...] = (), fault: str = "pass"
) -> Path:
    """An ffmpeg whose NVENC works; `lie`: words it adds; `fault`: a statement before it encodes."""
    path = directory / "ffmpeg"
    path.write_text(_SCRIPT.format(ffmpeg=ffmpeg, lie=list(lie), fault=fault))
    path.chmod(0o755)
    return path


def fails(said: str) -> str:
    """A fault: ffmpeg ends with these words of the encoder."""
    line = f"[h264_nvenc @ 0x55] [error] {said}\n"
    return f"sys.stderr.write({line!r}); sys.exit(218)"


LOSES_PICTURES = 'LIE = ["-frames:v", "10"]'
"""A fault: the encoder leaves pictures out, and says nothing."""


_DECODER = """#!/usr/bin/env python3
import os, sys, time

FFMPEG = {ffmpeg!r}
words = sys.argv[1:]
if "-hwaccel" in words:
    {fault}
    for name in ("-hwaccel", "-hwaccel_output_format"):
        at = words.index(name)
        assert words[at + 1] == "cuda"
        del words[at : at + 2]
    told = (
        ("scale_cuda", "scale"), ("interp_algo=lanczos", "flags=" + {scaler!r}),
        (":format=nv12", ""), (":format=p010le", ""), ("format=nv12:", ""), ("hwdownload", "null"),
    )
    for one, other in told:
        words = [word.replace(one, other) for word in words]
os.execv(FFMPEG, [FFMPEG, *words])
"""


def cuda_stand_in(
    directory: Path, ffmpeg: str, *, fault: str = "pass", scaler: str = "lanczos"
) -> Path:
    """An ffmpeg whose CUDA decodes and scales, by software."""
    path = directory / "ffmpeg"
    path.write_text(_DECODER.format(ffmpeg=ffmpeg, fault=fault, scaler=scaler))
    path.chmod(0o755)
    return path

"""What benchmarks start: a flow that says when it began and what it costs, one that encodes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from prefect import flow


@flow
def trivial(path: str) -> None:
    began = time.time()
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    memory = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    private = memory["Private_Clean"] + memory["Private_Dirty"]
    facts = {
        "began": began,
        "pid": os.getpid(),
        "pss_mib": memory["Pss"] / 1024,
        "private_mib": private / 1024,
    }
    part = Path(f"{path}.part")
    part.write_text(json.dumps(facts), encoding="utf-8")
    part.rename(path)


@flow
def encode(ffmpeg: str, source: str, output: str) -> None:
    """No more than ffmpeg itself."""
    words = [ffmpeg, "-nostdin", "-v", "error", "-i", f"file:{source}", "-c:v", "libx264"]
    subprocess.run([*words, "-c:a", "aac", output], check=True)

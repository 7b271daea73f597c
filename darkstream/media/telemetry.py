"""How busy the GPUs are, as NVIDIA's nvidia-smi tells; where there is none, there is nothing.

Source: `nvidia-smi --help-query-gpu`.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence

from darkstream.errors import ProcessFailed
from darkstream.media.process import Limits, run
from darkstream.model.capabilities import Gpu

_FIELDS = {
    "name": "name",
    "driver": "driver_version",
    "busy": "utilization.gpu",
    "memory_used_mib": "memory.used",
    "memory_mib": "memory.total",
    "temperature_c": "temperature.gpu",
    "sessions": "encoder.stats.sessionCount",
    "encoder_busy": "utilization.encoder",
    "decoder_busy": "utilization.decoder",
}
_NEWER = ("encoder_busy", "decoder_busy")
"""Fields that drivers before 525 do not know: they refuse the whole question."""
_LIMITS = Limits(wall_s=5)


def read_gpus() -> tuple[Gpu, ...]:
    """Each GPU's state, in the driver's order; none where no tool tells, or it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    known = tuple(_FIELDS)
    for asked in (known, tuple(name for name in known if name not in _NEWER)):
        fields = ",".join(_FIELDS[name] for name in asked)
        argv = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        try:
            done = run(argv, limits=_LIMITS)
        except (ProcessFailed, OSError):
            continue
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        return tuple(_gpu(asked, row) for row in csv.reader(lines) if len(row) == len(asked))
    return ()


def _gpu(names: Sequence[str], row: Sequence[str]) -> Gpu:
    told = {name: value.strip() for name, value in zip(names, row, strict=True)}
    text = {"name": told.pop("name"), "driver": told.pop("driver")}
    # What a GPU does not have is '[N/A]' or '[Not Supported]'.
    numbers = {name: int(value) for name, value in told.items() if value.isdecimal()}
    return Gpu.model_validate(text | numbers)

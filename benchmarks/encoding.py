"""What encodes as the product does: probe, plan, and the caged ffmpeg of a plan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.encode import encode
from darkstream.media.probe import Prober
from darkstream.media.sandbox import Sandbox
from darkstream.media.verify import verify
from darkstream.model.capabilities import Capabilities
from darkstream.model.encoded import Encoded
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import Preset
from darkstream.planning import make_plan, validate
from darkstream.settings import MediaSettings

_COLOURS = (
    "h264_metadata=colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"
    ":video_full_range_flag=0"
)


@dataclass(frozen=True)
class Machine:
    """What encodes, and what probes."""

    capabilities: Capabilities
    sandbox: Sandbox
    prober: Prober

    @property
    def ffmpeg(self) -> str:
        """The program."""
        return self.capabilities.ffmpeg

    def plan(self, source: Path, preset: Preset) -> EncodePlan:
        """What is done to a file that is to be encoded."""
        media = self.prober.probe(os.fsencode(source))
        plan = make_plan(media, preset, self.capabilities, validate(media))
        if not isinstance(plan, EncodePlan) or plan.decision != "convert":
            raise SystemExit(f"{preset.name} does not encode {source.name}: {plan.reason}")
        return plan

    def encode(self, plan: EncodePlan, source: Path, work: Path) -> Encoded:
        """Encode as a conversion does; `work` is made."""
        work.mkdir(parents=True)
        return encode(
            plan,
            os.fsencode(source),
            os.fsencode(work),
            capabilities=self.capabilities,
            sandbox=self.sandbox,
            prober=self.prober,
        )

    def verify(self, plan: EncodePlan, encoded: Encoded) -> None:
        """Decode the output to its end, as before every commit."""
        verify(
            plan,
            encoded,
            capabilities=self.capabilities,
            sandbox=self.sandbox,
            prober=self.prober,
        )


@contextmanager
def machine_in(directory: Path) -> Iterator[Machine]:
    """What encodes on this machine; what it can do is kept in `directory`."""
    settings = MediaSettings()
    found = detect_capabilities(settings, directory / "capabilities")
    with Prober(settings) as prober:
        yield Machine(found, Sandbox.detect("auto"), prober)


def film_of(directory: Path, clip: str, seconds: float) -> Path:
    """A clip again and again until it is so long; it says its colours, so that none is guessed."""
    source = next(one for one in fetch_clips(directory / "clips") if one.stem == clip)
    target = directory / f"{clip} of {seconds:g} s.mp4"
    looped = ("-stream_loop", "-1")
    copied = ("-map", "0", "-c", "copy", "-bsf:v", _COLOURS, "-t", str(seconds))
    derive(source, target, *copied, before=looped)
    return target

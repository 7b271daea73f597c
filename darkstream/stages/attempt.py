"""One attempt at one job: what was claimed, whether to stop, how far it is and what it cost."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from darkstream.errors import Cancelled
from darkstream.media.process import FfmpegProgress
from darkstream.model.base import ContentId
from darkstream.model.job import Claim, ContentKey, Outcome, Progress
from darkstream.model.media import Finding
from darkstream.model.paths import display
from darkstream.model.source import Identity, SourceFile
from darkstream.observe.cancel import CancelToken
from darkstream.stages.toolbox import Toolbox

_LOG_CHARACTERS = 64_000


class Attempt:
    """The record that goes from step to step; `str()` of it is the file's display name.

    Steps run in other threads than the one that waits for them: one at a time, each in `step`.
    """

    def __init__(self, claim: Claim, tools: Toolbox) -> None:
        self.claim = claim
        self.tools = tools
        self.cancel = CancelToken()
        self.progress = Progress(step="start")
        self.in_touch = True
        """Whether the server answered the last heartbeat."""
        self.source: SourceFile | None = None
        self.identity: Identity | None = None
        self.key: ContentKey | None = None
        self.media: dict[str, Any] | None = None
        self.plan: dict[str, Any] | None = None
        self.verification: dict[str, Any] | None = None
        self.findings: tuple[Finding, ...] = ()
        self.command: str | None = None
        self.log = ""
        self.outcome: Outcome | None = None
        """Set once the job's end is decided: from then on only its commit is left."""
        self._busy = threading.Lock()
        self._wall = time.monotonic()
        self._cpu = _cpu_seconds()

    def __str__(self) -> str:
        """Display form of the path in the library."""
        return display(self.claim.relative)

    @property
    def content(self) -> ContentId:
        """Blake3 of the source; raises ValueError before it was identified."""
        if self.identity is None:
            raise ValueError(f"{self} was not identified yet")
        return self.identity.content

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do one step; raises what the job was cancelled with before it."""
        with self._busy:
            self.cancel.check()
            self.progress = Progress(step=name)
            yield

    def stop(self, reason: str, *, within_s: float) -> bool:
        """End the running step; whether it ended in time."""
        self.cancel.cancel(Cancelled(reason))
        ended = self._busy.acquire(timeout=within_s)
        if ended:
            self._busy.release()
        return ended

    def note(self, seen: FfmpegProgress, duration: Fraction | None) -> None:
        """Remember how far ffmpeg is; `duration` in seconds of media."""
        done = None
        if duration and seen.out_time is not None:
            done = min(max(float(seen.out_time / duration), 0.0), 1.0)
        left = None
        if done is not None and duration and seen.speed:
            left = (1 - done) * float(duration) / seen.speed
        self.progress = Progress(
            step=self.progress.step,
            done=done,
            frame=seen.frame,
            fps=seen.fps,
            speed=seen.speed,
            eta_s=left,
        )

    def tell(self, text: str) -> None:
        """Add what a tool said to the job's log, of which the end is kept."""
        self.log = f"{self.log}{text.rstrip()}\n"[-_LOG_CHARACTERS:] if text.strip() else self.log

    def costs(self) -> dict[str, float]:
        """Wall and CPU seconds so far, of this process and of its children that ended."""
        return {
            "wall_s": time.monotonic() - self._wall,
            "cpu_s": max(0.0, _cpu_seconds() - self._cpu),
        }


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)

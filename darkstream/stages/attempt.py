"""One attempt at one job: what was claimed, whether to stop, how far it is and what it cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from darkstream.errors import Cancelled
from darkstream.media.process import FfmpegProgress
from darkstream.media.usage import spent_seconds
from darkstream.model.base import ContentId
from darkstream.model.job import Claim, ContentKey, Outcome, Progress
from darkstream.model.media import Finding
from darkstream.model.node import PauseKind
from darkstream.model.paths import display
from darkstream.model.source import Identity, SourceFile
from darkstream.observe.cancel import CancelToken
from darkstream.planning.validation import choose_level
from darkstream.stages.toolbox import Toolbox

_LOG_CHARACTERS = 64_000


class Attempt:
    """The record that goes from step to step; `str()` of it is the file's display name.

    Steps run in other threads than the one that waits for them: one at a time, each in `step`.
    """

    def __init__(self, claim: Claim, tools: Toolbox) -> None:
        self.claim = claim
        self.tools = tools
        self.level = choose_level(claim.preset, tools.settings.media.validation)
        """How thoroughly the source is looked over."""
        self.cancel = CancelToken()
        self.progress = Progress(step="start")
        self.in_touch = True
        """Whether the server answered the last heartbeat."""
        self.rest: PauseKind | None = None
        """How this node is to rest, as the last heartbeat was answered; a hard rest is in `cancel`.

        Work in pieces that can go on later may end with its piece at a soft one, not at a drain.
        """
        self.source: SourceFile | None = None
        self.identity: Identity | None = None
        self.key: ContentKey | None = None
        self.media: dict[str, Any] | None = None
        self.plan: dict[str, Any] | None = None
        self.verification: dict[str, Any] | None = None
        self.findings: tuple[Finding, ...] = ()
        self.failed: dict[str, Finding] = {}
        """Families of hardware that failed: they are planned around."""
        self.command: str | None = None
        self.log = ""
        self.quarantine = claim.quarantine
        """Where this attempt, or one before it, began to replace the original."""
        self.outcome: Outcome | None = None
        """Set once the job's end is decided: from then on only its commit is left."""
        self.helped_s = 0.0
        """CPU seconds that others spent on it."""
        self._busy = threading.Lock()
        self._wall = time.monotonic()
        self._cpu = spent_seconds()

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

    def note_pictures(self, seen: FfmpegProgress, pictures: int, finished_chunks: int) -> None:
        """Remember how far the encode of so many pictures is, in chunks."""
        done = min((seen.frame or 0) / pictures, 1.0)
        self.progress = Progress(
            step=self.progress.step,
            done=done,
            frame=seen.frame,
            fps=seen.fps,
            speed=seen.speed,
            eta_s=(pictures - (seen.frame or 0)) / seen.fps if seen.fps else None,
            finished_chunks=finished_chunks,
        )

    def note_wait(self) -> None:
        """Remember that all chunks are there, and that nobody knows how long the rest takes."""
        self.progress = self.progress.model_copy(
            update={"done": None, "fps": None, "speed": None, "eta_s": None}
        )

    def tell(self, text: str) -> None:
        """Add what a tool said to the job's log, of which the end is kept."""
        self.log = f"{self.log}{text.rstrip()}\n"[-_LOG_CHARACTERS:] if text.strip() else self.log

    def costs(self) -> dict[str, float]:
        """Wall and CPU seconds so far, of this process, its children that ended, and helpers."""
        return {
            "wall_s": time.monotonic() - self._wall,
            "cpu_s": max(0.0, spent_seconds() - self._cpu) + self.helped_s,
        }

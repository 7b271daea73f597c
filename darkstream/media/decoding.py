"""Decoding files to nowhere in the cage, counted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from darkstream.media.command import decode_command
from darkstream.media.process import Completed, FfmpegProgress, Limits, run
from darkstream.media.sandbox import Sandbox
from darkstream.media.tally import Tally
from darkstream.model.capabilities import Capabilities
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.observe.cancel import CancelToken

MAX_PIXELS = 8192 * 8192


_SHORT_PIXELS = 1 << 30
"""Twenty seconds of 1080p: some four seconds of decoding."""


def choose_threads(plan: EncodePlan, frames: Sequence[int]) -> int | None:
    """How many threads should decode an output of so many pictures; None: as ffmpeg likes.

    Those of a short one cost a tenth more CPU time, which other jobs can use, to save a second.
    """
    pixels = 0
    for video, count in zip(plan.renditions, frames, strict=True):
        if not isinstance(video, VideoEncode):
            return None
        pixels += video.width * video.height * count
    return 1 if pixels < _SHORT_PIXELS else None


@dataclass(frozen=True)
class Decoder:
    """A node's ffmpeg and its cage, and what one run of it may use."""

    capabilities: Capabilities
    sandbox: Sandbox
    limits: Limits | None = None
    max_pixels: int = MAX_PIXELS
    threads: int | None = None
    cancel: CancelToken | None = None

    def decode(
        self,
        sources: Sequence[bytes],
        *,
        reads: Sequence[bytes],
        formats: str,
        strict: bool,
        key_frames: bool = False,
    ) -> tuple[Tally, Completed]:
        """Decode all sound and pictures of all sources in one process; `reads` is what it may see.

        `key_frames`: of the pictures those alone.

        An exit code other than 0 is in the answer and in the tally's errors. Raises ProcessTimeout
        and what the token was given.
        """
        argv = decode_command(
            sources,
            program=os.fsencode(self.capabilities.ffmpeg),
            formats=formats,
            max_pixels=self.max_pixels,
            strict=strict,
            key_frames=key_frames,
            threads=self.threads,
        )
        tally = Tally()
        done = run(
            self.sandbox.wrap(argv, read=reads),
            limits=self.limits,
            cancel=self.cancel,
            on_progress=_ignore,
            on_stderr_line=tally.note,
            check=False,
        )
        if done.code and not tally.errors:
            tally.note(f"[error] ffmpeg ended with exit code {done.code}")
        return tally, done


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

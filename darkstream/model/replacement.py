"""Replacing originals: the rule of a library, what takes whose place, and where that stands."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from darkstream.model.base import Frozen, JobId
from darkstream.model.source import ChangeHint

CLIP = b"compare.mp4"
"""What a clip of an original and its result is called, beside a result that waits."""
QUARANTINE = b".darkstream-originals"
"""The directory in which originals are kept until their time is over."""


class InPlace(Frozen):
    """That results take the place of their originals, and how."""

    approve: Literal["ask", "auto"] = Field(
        "auto", description="ask: a result waits until somebody approves it."
    )
    keep_originals_days: int = Field(
        30, ge=1, le=36_500, description="So long an original can be put back."
    )
    hard_links: Literal["skip", "replace"] = Field(
        "skip", description="What is done with a file that has other names."
    )
    open_files: Literal["skip", "replace"] = Field(
        "skip", description="What is done with a file that another program holds open."
    )
    mtime: Literal["keep", "now"] = Field(
        "keep", description="The result's time: the original's, or when it was put in place."
    )


class KnownFile(Frozen):
    """One file on disk, told by what `stat` says of it, or else by its bytes."""

    size: int
    mtime_ns: int
    inode: int
    blake3: str
    ctime_ns: int | None = None
    """What renames and links change too: only of use before the first of them."""


class Evidence(Frozen):
    """What speaks for a result that waits to take its original's place.

    `metric` says how alike the pictures are at places all over the film: VMAF from 0 to 100, SSIM
    from 0 to 1; `mean` of the places, the `least` of them, and at which second that one is.
    """

    metric: Literal["vmaf", "ssim"] | None = None
    mean: float | None = None
    least: float | None = None
    least_at: float | None = None
    clip: bool = False
    """Whether there is a clip of both, the original at the left."""
    note: str = ""
    """Why something of this is missing."""


class Replacement(Frozen):
    """Which result takes the place of which original; paths are relative to `root`.

    The same `source` and `target`: the result gets the original's very name.
    """

    job: JobId
    root: bytes
    """Absolute path of the library's root."""
    source: bytes
    target: bytes
    quarantine: bytes
    """The directory, on the file system of the original, that holds what is in no place."""
    original: KnownFile
    result: KnownFile
    rule: InPlace
    disk: str = ""
    """The id of what holds the quarantine; empty: made before there were such."""
    evidence: Evidence | None = None
    """Only where it waits to be approved."""

    @property
    def same_name(self) -> bool:
        """Whether the result gets the original's very name."""
        return self.source == self.target


class ReplacementState(StrEnum):
    """Where a replacement stands."""

    placing = "placing"
    """An attempt is at it; what it left is settled by the next one."""
    pending = "pending"
    """The result waits to be approved."""
    placed = "placed"
    """The result is in place, the original in quarantine."""
    kept = "kept"
    """The result was thrown away, the original stayed."""
    undone = "undone"
    """The original is back, the result is gone."""
    expired = "expired"
    """The result is in place, the original is gone for good."""


class FileNow(Frozen):
    """The file that a scan finds from now on, where a replacement or its undoing left it."""

    path: bytes
    """Relative to the library's root."""
    hint: ChangeHint
    sample: str
    content: str


ReplacementAction = Literal["approve", "keep", "undo", "expire", "abandon"]
"""What is to be done with one; `abandon`: its job ended otherwise, so go back."""


class ReplacementInfo(Frozen):
    """A job's replacement, as people are told of it."""

    state: ReplacementState
    requested: ReplacementAction | None = None
    """What was asked for and is not done yet."""
    error: str = ""
    """Why what was asked for last could not be done."""
    quarantine: str
    """Where the original, or a result that waits, lies; absolute."""
    original_bytes: int
    result_bytes: int
    evidence: Evidence | None = None
    """What to decide by, of a result that waits or waited."""
    clip: str | None = None
    """A few seconds of both, original left and result right, while a result waits; absolute."""
    kept_until: datetime | None = None
    """Until then an original in quarantine can be put back."""

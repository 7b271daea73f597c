"""A job and how it ends."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from darkstream.model.base import (
    ContentId,
    DispatchId,
    FencingToken,
    Fingerprint,
    Frozen,
    JobId,
    LibraryId,
    NodeName,
    Priority,
    ScanId,
)
from darkstream.model.media import Finding
from darkstream.model.plan import Target
from darkstream.model.preset import Preset
from darkstream.model.replacement import FileNow, InPlace, Replacement, ReplacementInfo
from darkstream.model.work import Work


class JobStatus(StrEnum):
    """Where a job is: the last five are ends."""

    queued = "queued"
    dispatched = "dispatched"
    running = "running"
    done = "done"
    failed = "failed"
    skipped = "skipped"
    rejected = "rejected"
    cancelled = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the job unless it is retried."""
        return self not in {JobStatus.queued, JobStatus.dispatched, JobStatus.running}


DecisionName = Literal["convert", "remux", "skip", "reject"]


IfFailed = Literal["stop", "go-on"]
"""What a job does when one that it comes after fails, is rejected or is cancelled."""


class OutputFile(Frozen):
    """One published file: path relative to the destination."""

    path: bytes
    size: int
    blake3: str


class Outcome(Frozen):
    """What a worker says at the end of an attempt; `reason` is one sentence for the user.

    `status` is an end. `log` is the tail of the tools' output, `command` the shell-quoted argv.
    """

    status: Literal["done", "failed", "skipped", "rejected", "cancelled"]
    decision: DecisionName | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    source_gone: bool = False
    """There was no source, or it was in use: the next scan that meets it makes a job again."""
    outputs: tuple[OutputFile, ...] = ()
    presentation: bytes | None = None
    """What to open first: the single file, or the HLS master playlist."""
    source_bytes: int | None = None
    output_bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    reused: JobId | None = None
    """The job whose result was linked or copied instead of encoding again."""
    shared: bool = False
    """It was left alone because others use it: looked at anew once it was touched."""
    replacement: Replacement | None = None
    """What took the place of the source, or waits to be approved."""
    placed: FileNow | None = None
    """The result in the original's place; none while it waits."""
    media: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    verification: dict[str, Any] | None = None
    command: str | None = None
    log: str = ""


class Progress(Frozen):
    """How far a running job is; `done` is 0 to 1, None where the duration is unknown."""

    step: str
    done: float | None = None
    frame: int | None = None
    fps: float | None = None
    speed: float | None = None
    eta_s: float | None = None
    finished_chunks: int = 0
    """By this attempt: no later one encodes them again."""


class Job(Frozen):
    """One conversion of one source by one preset, as the catalog knows it."""

    id: JobId
    status: JobStatus
    source: str
    """Display form of the absolute source path."""
    source_b64: str | None = None
    """The exact path where it is not valid UTF-8."""
    preset: str
    destination: str
    library: str | None = None
    batch: str | None = None
    scan: ScanId | None = None
    pool: Literal["cpu", "gpu"]
    queue: Literal["urgent", "normal", "bulk"]
    priority: Priority
    created: datetime
    not_before: datetime | None = None
    after: tuple[JobId, ...] = ()
    """The jobs that had to end before this one begins."""
    if_failed: IfFailed = "stop"
    waits_for: tuple[JobId, ...] = ()
    """Those of them that have not ended."""
    started: datetime | None = None
    ended: datetime | None = None
    attempts: int = 0
    node: NodeName | None = None
    flow_run: str | None = None
    cancel_requested: bool = False
    source_bytes: int | None = None
    progress: Progress | None = None
    decision: DecisionName | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    outputs: tuple[str, ...] = ()
    """Display forms, relative to `destination`."""
    outputs_b64: tuple[str, ...] | None = None
    output_bytes: int | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    reused: JobId | None = None
    replacement: ReplacementInfo | None = None
    """Where results take the place of their originals: where that stands."""


class Hint(Frozen):
    """What reached a target in earlier jobs of the same library: where a search may begin."""

    rendition: str
    encoder: str
    target: Target
    quality: float


class Claim(Frozen):
    """One job given to one worker: valid while its token is the newest."""

    job: JobId
    token: FencingToken
    attempt: int
    source: bytes
    """Absolute path."""
    relative: bytes
    """Path relative to the library's root (names the output); the file name for single files."""
    destination: bytes
    """Absolute path of the destination directory."""
    preset: Preset
    library: LibraryId | None = None
    in_place: InPlace | None = None
    """The result takes the place of the original below `destination`, which is the root."""
    quarantine: bytes | None = None
    """Relative to the root: where an earlier attempt began to replace; to be settled first."""
    hints: tuple[Hint, ...] = ()
    heartbeat_s: float
    lease_s: float


class Reservation(Frozen):
    """The server's answer to a plan: what the worker does next.

    `encode`: go on. `reuse`: the same content and plan was published by `job` with `outputs` below
    `destination`; link or copy it. `wait`: another job is encoding just that; the lease is over.
    """

    action: Literal["encode", "reuse", "wait"]
    job: JobId | None = None
    destination: bytes | None = None
    outputs: tuple[OutputFile, ...] = ()
    presentation: bytes | None = None


class PublishTarget(Frozen):
    """Final names the server reserved for a job's files, relative to the destination.

    `replaces`: blake3 of each of the source's own earlier outputs that may be at that name, and may
    then be replaced; empty: nothing may be there. For an ABR presentation `path` is the directory.
    """

    path: bytes
    replaces: tuple[str, ...] = ()


def _is_none(value: object) -> bool:
    return value is None


class ReportLine(Frozen):
    """One line of the report: one file that was met."""

    source: str
    source_b64: str | None = Field(None, exclude_if=_is_none)
    """Only in the line of a name that is not UTF-8; `outputs_b64` likewise."""
    decision: DecisionName
    status: Literal["done", "failed", "skipped", "rejected", "cancelled", "planned"]
    """`planned`: a dry run; `output_bytes` is then the estimate."""
    reason: str
    findings: tuple[Finding, ...] = ()
    outputs: tuple[str, ...] = ()
    outputs_b64: tuple[str, ...] | None = Field(None, exclude_if=_is_none)
    source_bytes: int
    output_bytes: int
    wall_s: float
    cpu_s: float
    attempts: int
    job: JobId | None
    work: Work | None = Field(None, exclude_if=_is_none)
    """Only in a dry run: what the plan has to do."""


class DispatchOrder(Frozen):
    """One flow run to create: which jobs, where; or which job's `film` it helps with."""

    id: DispatchId
    pool: Literal["cpu", "gpu"]
    queue: Literal["urgent", "normal", "bulk"]
    jobs: tuple[JobId, ...] = ()
    film: JobId | None = None


class ContentKey(Frozen):
    """What makes two encodes the same."""

    content: ContentId
    fingerprint: Fingerprint

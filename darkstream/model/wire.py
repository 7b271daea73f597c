"""Bodies of the HTTP APIs, shared by the client and the server."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from darkstream.model.base import (
    ContentId,
    FencingToken,
    Frozen,
    JobId,
    NodeName,
    Priority,
)
from darkstream.model.capabilities import Capabilities
from darkstream.model.job import (
    ContentKey,
    JobStatus,
    Outcome,
    Progress,
    PublishTarget,
    ReportLine,
)
from darkstream.model.library import Candidate, DirectoryListing, SampledFile
from darkstream.model.preset import Preset


class SubmitJob(Frozen):
    """One conversion to do. `preset` is a known name, or the whole preset."""

    source: str | None = Field(None, description="Absolute path.")
    source_b64: str | None = Field(None, description="The path as base64 where it is not UTF-8.")
    preset: str | Preset
    destination: str | None = Field(None, description="Absolute directory; default: the source's.")
    destination_b64: str | None = Field(None, description="The same where it is not UTF-8.")
    source_bytes: int | None = Field(
        None, ge=0, description="Its size, where known: small ones share a flow run."
    )
    priority: Priority = 50
    at: datetime | None = Field(None, description="Do not start before (with time zone).")
    flow_run: str | None = Field(None, description="The Prefect flow run that works on it itself.")


class AddLibrary(Frozen):
    """A library to remember; paths absolute."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    root: str
    root_b64: str | None = None
    destination: str
    destination_b64: str | None = None
    preset: str | Preset
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    schedule: str | None = None
    priority: Priority = 50
    replace: bool = Field(False, description="Change the library of that name if there is one.")


class StartScan(Frozen):
    """A look over a library."""

    dry_run: bool = False
    check_outputs: bool = Field(False, description="Convert again what lost its outputs.")
    retry_failed: bool = Field(False, description="Convert again what failed before.")
    flow_run: str | None = Field(None, description="The Prefect flow run that does the walk.")


class NodeReport(Frozen):
    """What a worker says of itself, at start and every 10 s."""

    capabilities: Capabilities
    pools: tuple[str, ...]
    slots: int
    cores: int
    version: str
    work_free_bytes: int | None = None


class Node(NodeReport):
    """A node as the catalog knows it."""

    name: NodeName
    live: bool
    seen: datetime


class LeaseReport(Frozen):
    """One job a worker works on now."""

    job: JobId
    token: FencingToken
    progress: Progress | None = None


class Heartbeat(Frozen):
    """Renews leases."""

    node: NodeName
    leases: tuple[LeaseReport, ...]


class HeartbeatAnswer(Frozen):
    """Jobs to stop: somebody cancelled them, or they are not the sender's any more."""

    cancel: tuple[JobId, ...] = ()
    lost: tuple[JobId, ...] = ()


class ClaimRequest(Frozen):
    """The next job of a dispatch, for this worker.

    When it has none left: another one of the same queue that nobody works on, of at most `adopt_s`
    seconds of work as estimated. The same request sent again, because its answer was lost, gets the
    same answer.
    """

    id: str = Field(default_factory=lambda: uuid.uuid4().hex, min_length=1, max_length=64)
    node: NodeName
    flow_run: str
    adopt_s: float = Field(0.0, ge=0)


class PlanReport(Frozen):
    """A plan, before its encode starts."""

    token: FencingToken
    key: ContentKey
    sample: str
    size: int
    media: dict[str, Any]
    plan: dict[str, Any]
    refused: tuple[JobId, ...] = ()
    """Earlier jobs whose published files turned out to be gone or changed."""


class FileToPublish(Frozen):
    """A verified file (or package directory) and the names it may have, best first."""

    candidates: tuple[bytes, ...]
    refused: tuple[bytes, ...] = ()
    """Names that are taken on disk by something that is not ours."""
    size: int
    blake3: str


class TargetRequest(Frozen):
    """Names wanted for the files of one job."""

    token: FencingToken
    files: tuple[FileToPublish, ...]


class Commit(Frozen):
    """The end of an attempt. `content` where it was hashed; `key` where something was encoded."""

    token: FencingToken
    outcome: Outcome
    content: ContentId | None = None
    key: ContentKey | None = None


class Release(Frozen):
    """A lease given back before the end: the job is queued again."""

    token: FencingToken
    reason: str
    count_attempt: bool = False
    delay_s: float = Field(0.0, ge=0, le=86_400)


class ScanKeepAlive(Frozen):
    """A scan that is still walking."""

    node: NodeName
    flow_run: str | None = None


class Listings(Frozen):
    """Directories that differ; the answer names the candidates in them."""

    directories: tuple[DirectoryListing, ...]


class SampledFiles(Frozen):
    """Candidates with their samples; the server makes jobs of those that need one."""

    files: tuple[SampledFile, ...]


class ScanLines(Frozen):
    """Report lines that need no job: irregular entries, growing files, dry-run plans."""

    lines: tuple[ReportLine, ...]


class Health(Frozen):
    """The server is alive."""

    status: Literal["ok"] = "ok"
    version: str
    uptime_s: float


class Readiness(Frozen):
    """Whether jobs would be worked on now, and if not, why."""

    ready: bool
    reasons: tuple[str, ...] = ()


class PresetInfo(Frozen):
    """A preset the server knows."""

    name: str
    description: str


class LibraryFile(Frozen):
    """A file of a library as the catalog knows it; `path` is relative to the library's root."""

    path: str
    path_b64: str | None = None
    size: int
    content: ContentId | None = None
    job: JobId | None = None
    """The newest job of this file."""
    status: JobStatus | None = None


class Prioritise(Frozen):
    """A new priority for a waiting job."""

    priority: Priority


class Reason(Frozen):
    """Why something ended."""

    reason: str


class Announcement(Frozen):
    """Another `mark` than before: flow runs may be waiting in Prefect.

    Without one, nothing is missed by whoever asks Prefect every `ask_again_s` seconds.
    """

    mark: int
    ask_again_s: float


class GoOn(Frozen):
    """Whether the scan should go on; false once somebody cancelled it."""

    go_on: bool


class Candidates(Frozen):
    """Files to be sampled, of the directories just sent."""

    candidates: tuple[Candidate, ...]


class WantedContent(Frozen):
    """Paths whose full blake3 the server wants before it decides."""

    paths: tuple[bytes, ...]


class Places(Frozen):
    """Absolute directories."""

    paths: tuple[bytes, ...]


class Targets(Frozen):
    """The names reserved, in the order of the files asked for."""

    targets: tuple[PublishTarget, ...]


ProblemKind = Literal[
    "usage",
    "unknown_preset",
    "invalid_preset",
    "settings",
    "no_such_path",
    "not_found",
    "conflict",
    "lease_lost",
    "cancelled",
    "unavailable",
    "internal",
]
"""Which error of the tree a problem stands for."""


class Problem(Frozen):
    """RFC 9457 problem details; `id` is in the server's log."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    id: str | None = None
    error: ProblemKind

"""Bodies of the HTTP APIs, shared by the client and the server."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from darkstream.model.base import (
    ContentId,
    FencingToken,
    Frozen,
    JobId,
    NodeName,
    Priority,
)
from darkstream.model.batch import Batch
from darkstream.model.capabilities import Capabilities, Gpu
from darkstream.model.job import (
    ContentKey,
    IfFailed,
    JobStatus,
    Outcome,
    Progress,
    PublishTarget,
    ReportLine,
)
from darkstream.model.library import Candidate, DirectoryListing, SampledFile
from darkstream.model.node import Hours, PauseKind
from darkstream.model.preset import Preset
from darkstream.model.replacement import (
    FileNow,
    InPlace,
    Replacement,
    ReplacementAction,
    ReplacementState,
)
from darkstream.model.work import Work

_MOST = 2**63 - 1
"""What a database holds in an integer."""
MOST_FILES = 100_000
MOST_BEFORE = 1000
"""Files of one addition to a batch, and jobs that one may come after."""
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""What people may call a library or a batch."""


class SubmitJob(Frozen):
    """One conversion to do. `preset` is a known name, or the whole preset."""

    source: str | None = Field(None, description="Absolute path.")
    source_b64: str | None = Field(None, description="The path as base64 where it is not UTF-8.")
    preset: str | Preset
    destination: str | None = Field(None, description="Absolute directory; default: the source's.")
    destination_b64: str | None = Field(None, description="The same where it is not UTF-8.")
    source_bytes: int | None = Field(
        None, ge=0, le=_MOST, description="Its size, where known: small ones share a flow run."
    )
    priority: Priority = 50
    at: datetime | None = Field(None, description="Do not start before (with time zone).")
    after: tuple[Annotated[JobId, Field(ge=1, le=_MOST)], ...] = Field(
        (), max_length=MOST_BEFORE, description="Begin once these jobs have ended."
    )
    if_failed: IfFailed = Field(
        "stop", description="When one of them does not succeed: be cancelled, or begin anyway."
    )
    flow_run: str | None = Field(None, description="The Prefect flow run that works on it itself.")


class BatchFile(Frozen):
    """One file to convert; `folder` where it was found in one that was asked for."""

    source: str | None = Field(None, description="Absolute path.")
    source_b64: str | None = Field(None, description="The path as base64 where it is not UTF-8.")
    source_bytes: int | None = Field(
        None, ge=0, le=_MOST, description="Its size, where known: small ones share a flow run."
    )
    folder: str | None = Field(
        None,
        description="The result lies as deep below the destination as the file below this; "
        "a file that is itself a result is left out.",
    )
    folder_b64: str | None = Field(None, description="The same where it is not UTF-8.")


class AddToBatch(Frozen):
    """Files for a batch. `preset` is a known name, or the whole preset."""

    files: tuple[BatchFile, ...] = Field(min_length=1, max_length=MOST_FILES)
    preset: str | Preset
    destination: str | None = Field(None, description="Absolute directory; default: the source's.")
    destination_b64: str | None = Field(None, description="The same where it is not UTF-8.")
    priority: Priority = 50
    at: datetime | None = Field(None, description="Do not start before (with time zone).")
    after: tuple[Annotated[JobId, Field(ge=1, le=_MOST)], ...] = Field(
        (), max_length=MOST_BEFORE, description="Begin once these jobs have ended."
    )
    if_failed: IfFailed = Field(
        "stop", description="When one of those does not succeed: be cancelled, or begin anyway."
    )


class BatchAddition(Frozen):
    """A batch with what was added to it."""

    batch: Batch
    added: int
    left_out: int = Field(description="In work already, named twice, or results of conversions.")


class AddLibrary(Frozen):
    """A library to remember; paths absolute."""

    name: str = Field(pattern=NAME)
    root: str
    root_b64: str | None = None
    destination: str | None = Field(None, description="Where results go; not with `in_place`.")
    destination_b64: str | None = None
    in_place: InPlace | None = Field(
        None, description="Have results take the place of their originals, and how."
    )
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
    hours: Hours | None = None
    """When it works; None: always."""
    gpus: tuple[Gpu, ...] = ()
    gpu_sessions: int | None = None
    """Encoding sessions that its GPUs have at once; None: as many as it has slots."""


class Node(NodeReport):
    """A node as the catalog knows it."""

    name: NodeName
    live: bool
    seen: datetime
    pause: PauseKind | None = None
    """What people said, until they resume it."""
    rest: PauseKind | None = None
    """How it rests now: as people said, or softly outside of its hours; None: it takes work."""
    changes: datetime | None = None
    """When its hours begin or end next."""
    running: int = 0
    """Jobs it works on, and chunks of others' films."""


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
    """Jobs to stop: somebody cancelled them, or they are not the sender's any more.

    `rest`: how the node is to rest from now on.
    """

    cancel: tuple[JobId, ...] = ()
    lost: tuple[JobId, ...] = ()
    rest: PauseKind | None = None


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
    work: Work | None = None
    """What the plan has to do; None: nobody can tell."""
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


class ReplacementReport(Frozen):
    """Where an attempt is about to replace its original; with `replacement`, at once."""

    token: FencingToken
    quarantine: bytes
    replacement: Replacement | None = None


class ReplacementOrder(Frozen):
    """What is to be done with one replacement."""

    job: JobId
    root: bytes
    quarantine: bytes
    action: ReplacementAction
    force: bool = False
    replacement: Replacement | None = None
    """As the catalog knows it; the journal in the quarantine is nearer to the truth."""


class ReplacementOrders(Frozen):
    """What is to be done now, oldest first; when these are done, more may be due."""

    orders: tuple[ReplacementOrder, ...]


class ReplacementEnd(Frozen):
    """What became of an order; `state` is none where nothing changed, and `error` says why.

    `file` is what a scan finds from now on, `replacement` what took whose place.
    """

    action: ReplacementAction
    state: ReplacementState | None = None
    error: str = ""
    file: FileNow | None = None
    replacement: Replacement | None = None


class Undo(Frozen):
    """Put originals back."""

    force: bool = Field(False, description="Even where the result was changed since.")


class Judge(Frozen):
    """All results that wait, or those of one library."""

    library: str | None = None


class JobList(Frozen):
    """Jobs for which something was asked for."""

    jobs: tuple[JobId, ...]


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
    """A preset the server knows: its YAML, and whose it is; `problem`: why it cannot be used."""

    name: str
    description: str
    place: Literal["shipped", "yours", "saved"]
    problem: str | None = None
    text: str


class SavePreset(Frozen):
    """A preset as YAML, to be kept as a template."""

    text: str = Field(max_length=1 << 18)
    replace: bool = False


class PresetAnswer(Frozen):
    """What a text would be as a preset, or why it is none."""

    preset: Preset | None = None
    problem: str | None = None


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
    """Whether a scan or an analysis should go on; false once somebody cancelled it."""

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

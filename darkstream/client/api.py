"""The client of DarkStream's API: one method a route, our errors in, our errors out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
from pydantic import TypeAdapter

from darkstream.client.transport import Transport, adapter, parse, part
from darkstream.model.analyses import (
    AnalysisEnd,
    AnalysisOrder,
    AnalysisProgress,
    AnalysisPulse,
    AnalysisResults,
    AnalysisRun,
    AnalysisWorker,
    StartAnalysis,
)
from darkstream.model.analysis import Analysis
from darkstream.model.base import AnalysisId, DispatchId, JobId, ScanId
from darkstream.model.batch import Batch
from darkstream.model.film import (
    ChunkAnswer,
    ChunkClaim,
    ChunkEnd,
    ChunkPulse,
    ChunkRequest,
    ChunkTurn,
    NextChunk,
    OpenFilm,
)
from darkstream.model.forecast import Forecast
from darkstream.model.job import (
    Claim,
    Job,
    JobStatus,
    PublishTarget,
    ReportLine,
    Reservation,
)
from darkstream.model.library import Candidate, Library, Scan, ScanOrder, ScanSummary
from darkstream.model.node import NodeOrders, PauseKind, PauseNode
from darkstream.model.preset import Preset
from darkstream.model.wire import (
    AddLibrary,
    AddToBatch,
    Announcement,
    BatchAddition,
    Candidates,
    ClaimRequest,
    Commit,
    GoOn,
    Health,
    Heartbeat,
    HeartbeatAnswer,
    JobList,
    Judge,
    LibraryFile,
    Listings,
    Node,
    NodeReport,
    Places,
    PlanReport,
    PresetAnswer,
    PresetInfo,
    Prioritise,
    Readiness,
    Reason,
    Release,
    ReplacementEnd,
    ReplacementOrder,
    ReplacementOrders,
    ReplacementReport,
    SampledFiles,
    SavePreset,
    ScanKeepAlive,
    ScanLines,
    StartScan,
    SubmitJob,
    TargetRequest,
    Targets,
    Undo,
    WantedContent,
)

_JOBS = TypeAdapter(list[Job])
_BATCHES = TypeAdapter(list[Batch])
_ANALYSES = TypeAdapter(list[AnalysisRun])
_LIBRARIES = TypeAdapter(list[Library])
_FILES = TypeAdapter(list[LibraryFile])
_NODES = TypeAdapter(list[Node])
_PRESETS = TypeAdapter(list[PresetInfo])
_DISPATCH = TypeAdapter(DispatchId)
_LONG_S = 600.0
"""What is done with 100,000 jobs of a batch takes about half a minute."""


class Client(Transport):
    """One connection pool to one server; threads may share it, a forked child makes its own.

    `timeout` is in seconds, for each answer. Every method raises ServerUnreachable where no server
    answers, and what the server raised otherwise. Nothing is retried here: the caller knows what
    may be repeated.
    """

    # The state of the server

    def health(self) -> Health:
        """Whether the server is alive, and its version."""
        return self._get("/health", Health)

    def ready(self) -> Readiness:
        """Whether jobs would be worked on now, and if not, why; not ready is no error."""
        response = self._send("GET", "/ready", accept=(503,))
        return parse(adapter(Readiness), response)

    def nodes(self) -> list[Node]:
        """All nodes that ever reported, by name."""
        return parse(_NODES, self._send("GET", "/nodes"))

    def node(self, name: str) -> Node:
        """One node; raises NotFound."""
        return self._get(f"/nodes/{part(name)}", Node)

    def pause_node(self, name: str, kind: PauseKind) -> Node:
        """Let a node rest; raises NotFound."""
        return self._post(f"/nodes/{part(name)}/pause", PauseNode(kind=kind), Node)

    def resume_node(self, name: str) -> Node:
        """Let a node work again; raises NotFound."""
        return self._post(f"/nodes/{part(name)}/resume", None, Node)

    def presets(self) -> list[PresetInfo]:
        """All presets the server knows, by name."""
        return parse(_PRESETS, self._send("GET", "/presets"))

    def preset(self, name: str) -> Preset:
        """One preset with all it inherits; raises UnknownPreset, InvalidPreset."""
        return self._get(f"/presets/{part(name)}", Preset)

    def check_preset(self, preset: SavePreset) -> PresetAnswer:
        """Whether a text would do as a preset; nothing is saved."""
        return self._post("/presets/check", preset, PresetAnswer)

    def save_preset(self, name: str, preset: SavePreset) -> Preset:
        """Keep a template; raises InvalidPreset, Conflict where it is there and not `replace`."""
        response = self._send("PUT", f"/presets/{part(name)}", body=preset)
        return parse(adapter(Preset), response)

    def remove_preset(self, name: str) -> None:
        """Forget a template; raises NotFound, Conflict while another one extends it."""
        self._send("DELETE", f"/presets/{part(name)}")

    # Jobs

    def submit_job(self, job: SubmitJob) -> Job:
        """Queue one conversion."""
        return self._post("/jobs", job, Job)

    def jobs(
        self,
        *,
        status: JobStatus | str | None = None,
        library: str | None = None,
        scan: int | None = None,
        batch: str | None = None,
        replacement: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs, newest first, at most `limit`; `after` is the last id of the page before."""
        query = {
            "status": status,
            "library": library,
            "scan": scan,
            "batch": batch,
            "replacement": replacement,
            "after": after,
            "limit": limit,
        }
        return parse(_JOBS, self._send("GET", "/jobs", query=query))

    def job(self, job: int) -> Job:
        """One job; raises NotFound."""
        return self._get(f"/jobs/{job}", Job)

    def job_log(self, job: int) -> str:
        """What the tools said during the attempts of a job; raises NotFound."""
        return self._send("GET", f"/jobs/{job}/log").text

    def cancel_job(self, job: int) -> Job:
        """Ask a job to end; a running one ends within seconds. Raises NotFound, Conflict."""
        return self._post(f"/jobs/{job}/cancel", None, Job)

    def retry_job(self, job: int) -> Job:
        """Queue an ended job again; raises NotFound, Conflict."""
        return self._post(f"/jobs/{job}/retry", None, Job)

    def prioritise_job(self, job: int, priority: int) -> Job:
        """Change the priority (0 to 100) of a waiting job; raises NotFound, Conflict."""
        body = Prioritise.model_construct(priority=priority)
        return parse(adapter(Job), self._send("PATCH", f"/jobs/{job}", body=body))

    # Batches

    def add_to_batch(self, name: str, files: AddToBatch) -> BatchAddition:
        """Add files to a batch, made where there is none; raises NotFound, Conflict."""
        return self._post(f"/batches/{part(name)}/files", files, BatchAddition, timeout=_LONG_S)

    def batches(self, *, after: int | None = None, limit: int | None = None) -> list[Batch]:
        """Batches, newest first, at most `limit`; `after` is the last id of the page before."""
        query = {"after": after, "limit": limit}
        return parse(_BATCHES, self._send("GET", "/batches", query=query))

    def batch(self, name: str) -> Batch:
        """One batch, and how far it is; raises NotFound."""
        return self._get(f"/batches/{part(name)}", Batch)

    def cancel_batch(self, name: str) -> Batch:
        """Cancel its jobs that have not ended; raises NotFound, Conflict where all have."""
        return self._post(f"/batches/{part(name)}/cancel", None, Batch, timeout=_LONG_S)

    def retry_batch(self, name: str) -> Batch:
        """Queue its failed and cancelled jobs again; raises NotFound, Conflict where none is."""
        return self._post(f"/batches/{part(name)}/retry", None, Batch, timeout=_LONG_S)

    # Results that take the place of their originals

    def undo_job(self, job: int, *, force: bool = False) -> Job:
        """Ask for a job's original to be put back; raises NotFound, Conflict where it cannot be."""
        return self._post(f"/jobs/{job}/undo", Undo(force=force), Job)

    def undo_scan(self, scan: int, *, force: bool = False) -> tuple[JobId, ...]:
        """Ask for all originals of a scan to be put back; the jobs that have any."""
        return self._post(f"/scans/{scan}/undo", Undo(force=force), JobList).jobs

    def approve_job(self, job: int) -> Job:
        """Ask for a result that waits to be put in place; raises NotFound, Conflict."""
        return self._post(f"/jobs/{job}/approve", None, Job)

    def approve_all(self, library: str | None = None) -> tuple[JobId, ...]:
        """Ask that for all results that wait, or those of a library; the jobs."""
        return self._post("/replacements/approve", Judge(library=library), JobList).jobs

    def keep_job(self, job: int) -> Job:
        """Ask for a result that waits to be thrown away; raises NotFound, Conflict."""
        return self._post(f"/jobs/{job}/keep", None, Job)

    def keep_all(self, library: str | None = None) -> tuple[JobId, ...]:
        """Ask that for all results that wait, or those of a library; the jobs."""
        return self._post("/replacements/keep", Judge(library=library), JobList).jobs

    # Libraries and scans

    def add_library(self, library: AddLibrary) -> Library:
        """Remember a library; raises Conflict where the name is taken and not `replace`."""
        return self._post("/libraries", library, Library)

    def libraries(self) -> list[Library]:
        """All libraries, by name."""
        return parse(_LIBRARIES, self._send("GET", "/libraries"))

    def library(self, name: str) -> Library:
        """One library; raises NotFound."""
        return self._get(f"/libraries/{part(name)}", Library)

    def forecast(self, name: str) -> Forecast:
        """When the work on a library will probably be done, and what it saves."""
        return self._get(f"/libraries/{part(name)}/forecast", Forecast)

    def remove_library(self, name: str) -> None:
        """Forget a library, never its files; raises NotFound, Conflict while it is scanned."""
        self._send("DELETE", f"/libraries/{part(name)}")

    def files(
        self, library: str, *, after: LibraryFile | None = None, limit: int | None = None
    ) -> list[LibraryFile]:
        """Files of a library in path order, those after the last one of the page before."""
        query: dict[str, Any] = {"limit": limit}
        if after is not None:
            query |= {"after": after.path, "after_b64": after.path_b64}
        response = self._send("GET", f"/libraries/{part(library)}/files", query=query)
        return parse(_FILES, response)

    def start_scan(self, library: str, scan: StartScan) -> Scan:
        """Look over a library; raises NotFound, Conflict while a scan of it runs."""
        return self._post(f"/libraries/{part(library)}/scans", scan, Scan)

    def scan(self, scan: int) -> Scan:
        """One scan; raises NotFound."""
        return self._get(f"/scans/{scan}", Scan)

    def scan_report(self, scan: int) -> Iterator[ReportLine]:
        """The report of a scan in path order, streamed; raises NotFound."""
        return self._lines(f"/scans/{scan}/report", ReportLine)

    def cancel_scan(self, scan: int) -> Scan:
        """End a scan and cancel the jobs it made; raises NotFound."""
        return self._post(f"/scans/{scan}/cancel", None, Scan)

    # Analyses

    def start_analysis(self, analysis: StartAnalysis) -> AnalysisRun:
        """Have files and folders analysed by a worker; nobody looks here whether they are there."""
        return self._post("/analyses", analysis, AnalysisRun)

    def analyses(self, *, after: int | None = None, limit: int | None = None) -> list[AnalysisRun]:
        """Analyses with the first of their paths, newest first, at most `limit`.

        `after` is the last id of the page before.
        """
        query = {"after": after, "limit": limit}
        return parse(_ANALYSES, self._send("GET", "/analyses", query=query))

    def analysis(self, analysis: int) -> AnalysisRun:
        """An analysis with all its paths, and how far it is; raises NotFound."""
        return self._get(f"/analyses/{analysis}", AnalysisRun)

    def analysis_progress(self, analysis: int) -> AnalysisProgress:
        """How far an analysis is: small, to be asked again and again; raises NotFound."""
        return self._get(f"/analyses/{analysis}/progress", AnalysisProgress)

    def analysis_results(self, analysis: int) -> Iterator[Analysis]:
        """What was found in each file so far, streamed; raises NotFound."""
        return self._lines(f"/analyses/{analysis}/results", Analysis)

    def remove_analysis(self, analysis: int) -> None:
        """Forget an analysis, and end it where it is under way; raises NotFound."""
        self._send("DELETE", f"/analyses/{analysis}")

    # The worker's side: nodes and jobs

    def report_node(self, name: str, report: NodeReport) -> NodeOrders:
        """Say what this node can do, at start and every 10 s; whether it is to rest."""
        response = self._send("PUT", f"/worker/nodes/{part(name)}", body=report)
        return parse(adapter(NodeOrders), response)

    def await_announcement(self, known: int | None) -> Announcement:
        """Wait for news after the known announcement, for 20 s at most; None: do not wait."""
        response = self._send("GET", "/worker/announcement", query={"known": known})
        return parse(adapter(Announcement), response)

    def claim(self, dispatch: DispatchId, request: ClaimRequest) -> Claim | None:
        """The next job of a dispatch; None when none is left."""
        response = self._send("POST", f"/worker/dispatches/{dispatch}/claim", body=request)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        return parse(adapter(Claim), response)

    def end_dispatch(self, dispatch: DispatchId) -> None:
        """The flow run of a dispatch is about to end; what it did not claim is queued again."""
        self._send("POST", f"/worker/dispatches/{dispatch}/end")

    def flow_run_dispatch(self, flow_run: str) -> DispatchId:
        """The dispatch bound to a flow run that submitted its job itself; raises NotFound."""
        response = self._send("GET", f"/worker/flow-runs/{part(flow_run)}/dispatch")
        return parse(_DISPATCH, response)

    def lose_flow_run(self, flow_run: str, reason: str) -> None:
        """The process of a flow run died: its jobs go to another worker."""
        path = f"/worker/flow-runs/{part(flow_run)}/lost"
        self._send("POST", path, body=Reason(reason=reason))

    def leftover_places(self) -> tuple[bytes, ...]:
        """Directories outside of libraries where attempts may have left part files."""
        return self._get("/worker/leftovers", Places).paths

    def beat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Renew leases; the answer names the jobs to stop."""
        return self._post("/worker/heartbeats", heartbeat, HeartbeatAnswer)

    def report_plan(self, job: JobId, report: PlanReport) -> Reservation:
        """Say what is about to be encoded; raises LeaseLost."""
        return self._post(f"/worker/jobs/{job}/plan", report, Reservation)

    def reserve_targets(self, job: JobId, request: TargetRequest) -> tuple[PublishTarget, ...]:
        """Names for the job's files, in their order; raises LeaseLost."""
        return self._post(f"/worker/jobs/{job}/targets", request, Targets).targets

    def commit(self, job: JobId, commit: Commit) -> Job:
        """End an attempt; the same commit may be sent again. Raises LeaseLost."""
        return self._post(f"/worker/jobs/{job}/commit", commit, Job)

    def release(self, job: JobId, release: Release) -> None:
        """Give a lease back before the end; raises LeaseLost."""
        self._send("POST", f"/worker/jobs/{job}/release", body=release)

    def open_film(self, job: JobId, request: OpenFilm) -> None:
        """Let others help with the chunks of a job; raises LeaseLost."""
        self._send("POST", f"/worker/jobs/{job}/film", body=request)

    def next_chunk(self, job: JobId, request: NextChunk) -> ChunkTurn:
        """What the leader of a film does next; raises LeaseLost."""
        return self._post(f"/worker/jobs/{job}/film/next", request, ChunkTurn)

    def claim_chunk(self, dispatch: DispatchId, request: ChunkRequest) -> ChunkClaim | None:
        """The next chunk to help with; None when none is left for this node."""
        response = self._send("POST", f"/worker/dispatches/{dispatch}/chunk", body=request)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        return parse(adapter(ChunkClaim), response)

    def renew_chunk(self, pulse: ChunkPulse) -> ChunkAnswer:
        """Renew the lease of a chunk."""
        return self._post("/worker/chunks/beat", pulse, ChunkAnswer)

    def end_chunk(self, end: ChunkEnd) -> None:
        """Say what became of a chunk; the same may be said again."""
        self._send("POST", "/worker/chunks/end", body=end)

    def report_replacement(self, job: JobId, report: ReplacementReport) -> None:
        """Say that an attempt is about to replace its original; raises LeaseLost."""
        self._send("POST", f"/worker/jobs/{job}/replacement", body=report)

    def replacement_orders(self) -> tuple[ReplacementOrder, ...]:
        """What is to be done with replacements now."""
        return self._get("/worker/replacements", ReplacementOrders).orders

    def settle_replacement(self, job: JobId, end: ReplacementEnd) -> None:
        """Say what became of an order; the same may be said again."""
        self._send("POST", f"/worker/replacements/{job}/settled", body=end)

    # The worker's side: scans

    def scan_order(self, scan: ScanId, request: ScanKeepAlive) -> ScanOrder:
        """Begin the walk of a scan; raises NotFound, Conflict when somebody else walks it."""
        return self._post(f"/worker/scans/{scan}/start", request, ScanOrder)

    def keep_scan(self, scan: ScanId, request: ScanKeepAlive) -> bool:
        """Renew a scan; false: stop, it is over."""
        return self._post(f"/worker/scans/{scan}/alive", request, GoOn).go_on

    def list_directories(self, scan: ScanId, listings: Listings) -> tuple[Candidate, ...]:
        """Send the directories that differ; the answer names the files to sample."""
        return self._post(f"/worker/scans/{scan}/directories", listings, Candidates).candidates

    def add_files(self, scan: ScanId, files: SampledFiles) -> tuple[bytes, ...]:
        """Send samples; the answer names the files whose full blake3 is wanted."""
        return self._post(f"/worker/scans/{scan}/files", files, WantedContent).paths

    def add_lines(self, scan: ScanId, lines: ScanLines) -> None:
        """Send report lines that need no job."""
        self._send("POST", f"/worker/scans/{scan}/lines", body=lines)

    def finish_scan(self, scan: ScanId, summary: ScanSummary) -> None:
        """The walk is complete."""
        self._send("POST", f"/worker/scans/{scan}/finish", body=summary)

    def fail_scan(self, scan: ScanId, reason: str) -> None:
        """The walk could not be completed."""
        self._send("POST", f"/worker/scans/{scan}/fail", body=Reason(reason=reason))

    # The worker's side: analyses

    def analysis_order(self, analysis: AnalysisId, worker: AnalysisWorker) -> AnalysisOrder:
        """Begin an analysis; raises NotFound, Conflict where it is over or another's."""
        return self._post(f"/worker/analyses/{analysis}/start", worker, AnalysisOrder)

    def keep_analysis(self, analysis: AnalysisId, pulse: AnalysisPulse) -> bool:
        """Renew an analysis; false: stop, it is over."""
        return self._post(f"/worker/analyses/{analysis}/alive", pulse, GoOn).go_on

    def add_analysis_results(self, analysis: AnalysisId, results: AnalysisResults) -> bool:
        """Send results; the same may be sent again. False: stop, it is over."""
        return self._post(f"/worker/analyses/{analysis}/results", results, GoOn).go_on

    def release_analysis(self, analysis: AnalysisId, worker: AnalysisWorker) -> None:
        """Give an analysis back before its end; it counts as no loss."""
        self._send("POST", f"/worker/analyses/{analysis}/release", body=worker)

    def finish_analysis(self, analysis: AnalysisId, end: AnalysisEnd) -> None:
        """There are no more results."""
        self._send("POST", f"/worker/analyses/{analysis}/end", body=end)

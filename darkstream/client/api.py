"""The client of DarkStream's API: one method a route, our errors in, our errors out."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from darkstream.client.problems import error_of
from darkstream.errors import NotFound, ServerUnreachable, ServiceError
from darkstream.model.base import DispatchId, JobId, ScanId
from darkstream.model.job import (
    Claim,
    Job,
    JobStatus,
    PublishTarget,
    ReportLine,
    Reservation,
)
from darkstream.model.library import Candidate, Library, Scan, ScanOrder, ScanSummary
from darkstream.model.wire import (
    AddLibrary,
    Announcement,
    Candidates,
    ClaimRequest,
    Commit,
    GoOn,
    Health,
    Heartbeat,
    HeartbeatAnswer,
    LibraryFile,
    Listings,
    Node,
    NodeReport,
    Places,
    PlanReport,
    PresetInfo,
    Prioritise,
    Problem,
    Readiness,
    Reason,
    Release,
    SampledFiles,
    ScanKeepAlive,
    ScanLines,
    StartScan,
    SubmitJob,
    TargetRequest,
    Targets,
    WantedContent,
)

_M = TypeVar("_M", bound=BaseModel)
_T = TypeVar("_T")

_JOBS = TypeAdapter(list[Job])
_LIBRARIES = TypeAdapter(list[Library])
_FILES = TypeAdapter(list[LibraryFile])
_NODES = TypeAdapter(list[Node])
_PRESETS = TypeAdapter(list[PresetInfo])
_DISPATCH = TypeAdapter(DispatchId)


class Client:
    """One connection pool to one server; threads may share it, a forked child makes its own.

    `timeout` is in seconds, for each answer. Every method raises ServerUnreachable where no server
    answers, and what the server raised otherwise. Nothing is retried here: the caller knows what
    may be repeated.
    """

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        # A proxy in the environment is for the internet, never for our own server. Without TLS the
        # certificates of the world are not read: it takes as long as ten requests.
        self._http = httpx.Client(
            base_url=f"{self.base_url}/api/v1",
            timeout=timeout,
            trust_env=False,
            verify=self.base_url.startswith("https:"),
        )

    def __enter__(self) -> Client:
        """This client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    # The state of the server

    def health(self) -> Health:
        """Whether the server is alive, and its version."""
        return self._get("/health", Health)

    def ready(self) -> Readiness:
        """Whether jobs would be worked on now, and if not, why; not ready is no error."""
        response = self._send("GET", "/ready", accept=(503,))
        return _parse(_of(Readiness), response)

    def nodes(self) -> list[Node]:
        """All nodes that ever reported, by name."""
        return _parse(_NODES, self._send("GET", "/nodes"))

    def presets(self) -> list[PresetInfo]:
        """All presets the server knows, by name."""
        return _parse(_PRESETS, self._send("GET", "/presets"))

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
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs, newest first, at most `limit`; `after` is the last id of the page before."""
        query = {"status": status, "library": library, "scan": scan, "after": after, "limit": limit}
        return _parse(_JOBS, self._send("GET", "/jobs", query=query))

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
        return _parse(_of(Job), self._send("PATCH", f"/jobs/{job}", body=body))

    # Libraries and scans

    def add_library(self, library: AddLibrary) -> Library:
        """Remember a library; raises Conflict where the name is taken and not `replace`."""
        return self._post("/libraries", library, Library)

    def libraries(self) -> list[Library]:
        """All libraries, by name."""
        return _parse(_LIBRARIES, self._send("GET", "/libraries"))

    def library(self, name: str) -> Library:
        """One library; raises NotFound."""
        return self._get(f"/libraries/{_part(name)}", Library)

    def remove_library(self, name: str) -> None:
        """Forget a library, never its files; raises NotFound, Conflict while it is scanned."""
        self._send("DELETE", f"/libraries/{_part(name)}")

    def files(
        self, library: str, *, after: LibraryFile | None = None, limit: int | None = None
    ) -> list[LibraryFile]:
        """Files of a library in path order, those after the last one of the page before."""
        query: dict[str, Any] = {"limit": limit}
        if after is not None:
            query |= {"after": after.path, "after_b64": after.path_b64}
        response = self._send("GET", f"/libraries/{_part(library)}/files", query=query)
        return _parse(_FILES, response)

    def start_scan(self, library: str, scan: StartScan) -> Scan:
        """Look over a library; raises NotFound, Conflict while a scan of it runs."""
        return self._post(f"/libraries/{_part(library)}/scans", scan, Scan)

    def scan(self, scan: int) -> Scan:
        """One scan; raises NotFound."""
        return self._get(f"/scans/{scan}", Scan)

    def scan_report(self, scan: int) -> Iterator[ReportLine]:
        """The report of a scan in path order, streamed; raises NotFound."""
        try:
            with self._http.stream("GET", f"/scans/{scan}/report") as response:
                if response.is_error:
                    response.read()
                    _raise(response)
                for line in response.iter_lines():
                    yield _read(_of(ReportLine), line, response)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def cancel_scan(self, scan: int) -> Scan:
        """End a scan and cancel the jobs it made; raises NotFound."""
        return self._post(f"/scans/{scan}/cancel", None, Scan)

    # The worker's side: nodes and jobs

    def report_node(self, name: str, report: NodeReport) -> None:
        """Say what this node can do; at start and every 10 s."""
        self._send("PUT", f"/worker/nodes/{_part(name)}", body=report)

    def await_announcement(self, known: int | None) -> Announcement:
        """Wait for news after the known announcement, for 20 s at most; None: do not wait."""
        response = self._send("GET", "/worker/announcement", query={"known": known})
        return _parse(_of(Announcement), response)

    def claim(self, dispatch: DispatchId, request: ClaimRequest) -> Claim | None:
        """The next job of a dispatch; None when none is left."""
        response = self._send("POST", f"/worker/dispatches/{dispatch}/claim", body=request)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        return _parse(_of(Claim), response)

    def end_dispatch(self, dispatch: DispatchId) -> None:
        """The flow run of a dispatch is about to end; what it did not claim is queued again."""
        self._send("POST", f"/worker/dispatches/{dispatch}/end")

    def flow_run_dispatch(self, flow_run: str) -> DispatchId:
        """The dispatch bound to a flow run that submitted its job itself; raises NotFound."""
        response = self._send("GET", f"/worker/flow-runs/{_part(flow_run)}/dispatch")
        return _parse(_DISPATCH, response)

    def lose_flow_run(self, flow_run: str, reason: str) -> None:
        """The process of a flow run died: its jobs go to another worker."""
        path = f"/worker/flow-runs/{_part(flow_run)}/lost"
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

    def _get(self, path: str, model: type[_M]) -> _M:
        return _parse(_of(model), self._send("GET", path))

    def _post(self, path: str, body: BaseModel | None, model: type[_M]) -> _M:
        return _parse(_of(model), self._send("POST", path, body=body))

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        query: dict[str, Any] | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        try:
            response = self._http.request(
                method,
                path,
                content=None if body is None else body.model_dump_json().encode(),
                headers=None if body is None else {"content-type": "application/json"},
                params={k: v for k, v in (query or {}).items() if v is not None},
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error and response.status_code not in accept:
            _raise(response)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> ServerUnreachable:
        if isinstance(error, httpx.TimeoutException):
            return ServerUnreachable(f"the server at {self.base_url} did not answer in time")
        return ServerUnreachable(f"no DarkStream server answers at {self.base_url}: {error}")


def _part(name: str) -> str:
    if not name or "/" in name:
        raise NotFound(f"nothing is named {name!r}: a name has at least one letter and no slash")
    return quote(name, safe="")


def _of(model: type[_M]) -> TypeAdapter[_M]:
    return TypeAdapter(model)


def _parse(kind: TypeAdapter[_T], response: httpx.Response) -> _T:
    return _read(kind, response.content, response)


def _read(kind: TypeAdapter[_T], text: bytes | str, response: httpx.Response) -> _T:
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        raise ServiceError(
            f"{response.url} gave an answer that is none of DarkStream's "
            f"({response.status_code}): is another program listening there, or another version?"
        ) from error


def _raise(response: httpx.Response) -> None:
    raise error_of(_parse(_of(Problem), response))

"""Examples in the API's description: real values, so that they cannot go stale."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel

from darkstream import __version__
from darkstream.model.base import (
    ContentId,
    FencingToken,
    Fingerprint,
    JobId,
    LibraryId,
    NodeName,
    ScanId,
)
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.job import (
    Claim,
    ContentKey,
    Job,
    JobStatus,
    Outcome,
    OutputFile,
    Progress,
    PublishTarget,
    ReportLine,
    Reservation,
)
from darkstream.model.library import (
    Candidate,
    DirectoryDigest,
    DirectoryListing,
    Entry,
    Library,
    SampledFile,
    Scan,
    ScanOrder,
    ScanSummary,
)
from darkstream.model.preset import Preset
from darkstream.model.source import ChangeHint
from darkstream.model.wire import (
    AddLibrary,
    Announcement,
    Candidates,
    ClaimRequest,
    Commit,
    FileToPublish,
    GoOn,
    Health,
    Heartbeat,
    HeartbeatAnswer,
    LeaseReport,
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

_NIGHT = datetime(2030, 1, 5, 3, 0, tzinfo=UTC)
_BLAKE3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
_JOB = JobId(42)
_TOKEN = FencingToken(7)
_NODE = NodeName("den")
_PROGRESS = Progress(step="encode", done=0.37, frame=1110, fps=52.5, speed=2.1, eta_s=36.0)

_KEY = ContentKey(content=ContentId(_BLAKE3), fingerprint=Fingerprint(_BLAKE3))
_OUTPUT = OutputFile(path=b"holiday.mp4", size=1_048_576, blake3=_BLAKE3)
_HINT = ChangeHint(size=2_097_152, mtime_ns=1_893_812_400_000_000_000, ctime_ns=0, inode=7)
_LIBRARY = Library(
    id=LibraryId(1),
    name="movies",
    root=b"/videos",
    destination=b"/converted",
    preset="web",
    schedule="0 3 * * *",
    created=_NIGHT,
)
_REPORT = NodeReport(
    capabilities=Capabilities(
        ffmpeg="/usr/bin/ffmpeg",
        version="9.0",
        build="9.0-static",
        encoders=(Encoder(name="libx264", codec="h264"),),
        decoders=("h264",),
        filters=("scale",),
        muxers=("mp4",),
        sandbox="bubblewrap",
    ),
    pools=("cpu", "control"),
    slots=2,
    cores=8,
    version=__version__,
)

EXAMPLES: tuple[BaseModel, ...] = (
    Health(version=__version__, uptime_s=12.5),
    Readiness(ready=False, reasons=("Prefect is still starting",)),
    PresetInfo(name="web", description="H.264 and AAC in MP4, plays everywhere"),
    SubmitJob(source="/videos/holiday.mkv", preset="web", destination="/converted", at=_NIGHT),
    Prioritise(priority=90),
    Job(
        id=_JOB,
        status=JobStatus.running,
        source="/videos/holiday.mkv",
        preset="web",
        destination="/converted",
        pool="cpu",
        queue="normal",
        priority=50,
        created=_NIGHT,
        started=_NIGHT,
        attempts=1,
        node=_NODE,
        progress=_PROGRESS,
    ),
    AddLibrary(
        name="movies",
        root="/videos",
        destination="/converted",
        preset="web",
        exclude=("extras/**",),
        schedule="0 3 * * *",
    ),
    _LIBRARY,
    StartScan(dry_run=True),
    Scan(
        id=ScanId(3),
        library="movies",
        status="running",
        dry_run=False,
        created=_NIGHT,
        met=120,
        unchanged=100,
        jobs=20,
        jobs_ended=4,
    ),
    ClaimRequest(node=_NODE, flow_run="5b9fbb3c-3a4f-4f37-9d0b-6a1b6a0e1c11"),
    Heartbeat(node=_NODE, leases=(LeaseReport(job=_JOB, token=_TOKEN, progress=_PROGRESS),)),
    HeartbeatAnswer(cancel=(_JOB,)),
    Commit(
        token=_TOKEN,
        outcome=Outcome(
            status="done",
            decision="convert",
            reason="mpeg4 is converted to h264",
            outputs=(_OUTPUT,),
            presentation=b"holiday.mp4",
            output_bytes=1_048_576,
            wall_s=93.2,
            cpu_s=181.0,
        ),
        content=ContentId(_BLAKE3),
        key=_KEY,
    ),
    Release(token=_TOKEN, reason="the worker is shutting down"),
    _REPORT,
    Node(name=_NODE, live=True, seen=_NIGHT, **dict(_REPORT)),
    Claim(
        job=_JOB,
        token=_TOKEN,
        attempt=1,
        source=b"/videos/holiday.mkv",
        relative=b"holiday.mkv",
        destination=b"/converted",
        preset=Preset(name="web"),
        heartbeat_s=1.5,
        lease_s=30.0,
    ),
    PlanReport(token=_TOKEN, key=_KEY, sample="9f1c", size=2_097_152, media={}, plan={}),
    Reservation(action="reuse", job=JobId(41), destination=b"/converted", outputs=(_OUTPUT,)),
    TargetRequest(
        token=_TOKEN,
        files=(FileToPublish(candidates=(b"holiday.mp4",), size=1_048_576, blake3=_BLAKE3),),
    ),
    Targets(targets=(PublishTarget(path=b"holiday.mp4", replaces=(_BLAKE3,)),)),
    LibraryFile(path="holiday.mkv", size=2_097_152, job=_JOB, status=JobStatus.done),
    ScanOrder(
        scan=ScanId(3),
        library=_LIBRARY,
        dry_run=False,
        settle_s=2.0,
        directories=(DirectoryDigest(path=b"", digest="9f1c"),),
        preset=Preset(name="web"),
    ),
    Listings(
        directories=(
            DirectoryListing(
                path=b"", digest="9f1c", entries=(Entry(name=b"holiday.mkv", hint=_HINT),)
            ),
        )
    ),
    Candidates(candidates=(Candidate(path=b"holiday.mkv"),)),
    SampledFiles(files=(SampledFile(path=b"holiday.mkv", hint=_HINT, sample="9f1c"),)),
    WantedContent(paths=(b"holiday.mkv",)),
    Places(paths=(b"/converted",)),
    ScanLines(
        lines=(
            ReportLine(
                source="growing.mkv",
                decision="skip",
                status="skipped",
                reason="still being written",
                source_bytes=4096,
                output_bytes=0,
                wall_s=0.0,
                cpu_s=0.0,
                attempts=0,
                job=None,
            ),
        )
    ),
    ScanSummary(met=120, ignored=3, unchanged=100, wall_s=1.5),
    Announcement(mark=1764000000000, ask_again_s=5.0),
    GoOn(go_on=True),
    ScanKeepAlive(node=_NODE),
    Reason(reason="the flow process was killed"),
    Problem(
        title="Not Found",
        status=404,
        detail="there is no job 42",
        id="1f0c6f0b7f7e4a55",
        error="not_found",
    ),
)

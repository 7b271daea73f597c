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
from darkstream.model.job import ContentKey, Job, JobStatus, Outcome, OutputFile, Progress
from darkstream.model.library import Library, Scan
from darkstream.model.wire import (
    AddLibrary,
    ClaimRequest,
    Commit,
    Health,
    Heartbeat,
    HeartbeatAnswer,
    LeaseReport,
    PresetInfo,
    Prioritise,
    Problem,
    Readiness,
    Reason,
    Release,
    ScanKeepAlive,
    StartScan,
    SubmitJob,
)

_NIGHT = datetime(2030, 1, 5, 3, 0, tzinfo=UTC)
_BLAKE3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
_JOB = JobId(42)
_TOKEN = FencingToken(7)
_NODE = NodeName("den")
_PROGRESS = Progress(step="encode", done=0.37, frame=1110, fps=52.5, speed=2.1, eta_s=36.0)

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
    Library(
        id=LibraryId(1),
        name="movies",
        root=b"/videos",
        destination=b"/converted",
        preset="web",
        schedule="0 3 * * *",
        created=_NIGHT,
    ),
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
            outputs=(OutputFile(path=b"holiday.mp4", size=1_048_576, blake3=_BLAKE3),),
            presentation=b"holiday.mp4",
            output_bytes=1_048_576,
            wall_s=93.2,
            cpu_s=181.0,
        ),
        content=ContentId(_BLAKE3),
        key=ContentKey(content=ContentId(_BLAKE3), fingerprint=Fingerprint(_BLAKE3)),
    ),
    Release(token=_TOKEN, reason="the worker is shutting down"),
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

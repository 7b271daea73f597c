"""Examples in the API's description: real values, so that they cannot go stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from pydantic import BaseModel

from darkstream import __version__
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
from darkstream.model.analysis import Analysis, Interlacing, Picture
from darkstream.model.base import (
    AnalysisId,
    BatchId,
    ContentId,
    DispatchId,
    FencingToken,
    Fingerprint,
    JobId,
    LibraryId,
    NodeName,
    ScanId,
)
from darkstream.model.batch import Batch
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.film import (
    ChunkAnswer,
    ChunkClaim,
    ChunkEnd,
    ChunkLease,
    ChunkPulse,
    ChunkRequest,
    ChunkTurn,
    NextChunk,
    OpenFilm,
    SameFilm,
)
from darkstream.model.forecast import Finish, Forecast, Range
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
from darkstream.model.media import Crop, MediaInfo, VideoStream
from darkstream.model.node import NodeOrders, PauseNode
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.replacement import (
    FileNow,
    InPlace,
    KnownFile,
    Replacement,
    ReplacementState,
)
from darkstream.model.source import ChangeHint
from darkstream.model.wire import (
    AddLibrary,
    AddToBatch,
    Announcement,
    BatchAddition,
    BatchFile,
    Candidates,
    ClaimRequest,
    Commit,
    FileToPublish,
    GoOn,
    Health,
    Heartbeat,
    HeartbeatAnswer,
    JobList,
    Judge,
    LeaseReport,
    LibraryFile,
    Listings,
    Node,
    NodeReport,
    Places,
    PlanReport,
    PresetAnswer,
    PresetInfo,
    Prioritise,
    Problem,
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

_NIGHT = datetime(2030, 1, 5, 3, 0, tzinfo=UTC)
_BLAKE3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
_JOB = JobId(42)
_TOKEN = FencingToken(7)
_NODE = NodeName("den")
_PROGRESS = Progress(step="encode", done=0.37, frame=1110, fps=52.5, speed=2.1, eta_s=36.0)

_KEY = ContentKey(content=ContentId(_BLAKE3), fingerprint=Fingerprint(_BLAKE3))
_FILM = SameFilm(
    key=_KEY,
    mark="5ed0b2a3c4f19687.mark",
    hint=ChangeHint(size=2_097_152, mtime_ns=1_893_812_400_000_000_000, ctime_ns=0, inode=7),
    sample="9f1c",
)
_CHUNK = ChunkLease(
    dispatch=DispatchId(12), job=_JOB, leader=_TOKEN, number=4, token=FencingToken(1)
)
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
_BATCH = Batch(
    id=BatchId(2),
    name="holiday",
    status="running",
    created=_NIGHT,
    jobs=12,
    counts={JobStatus.done: 3, JobStatus.running: 2, JobStatus.queued: 7},
    done=0.31,
    eta_s=540.0,
    source_bytes=3_221_225_472,
    output_bytes=1_073_741_824,
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

_REPLACEMENT = Replacement(
    job=_JOB,
    root=b"/videos",
    source=b"holiday.mkv",
    target=b"holiday.mp4",
    quarantine=b".darkstream-originals/42-9f1c03ab",
    original=KnownFile(size=2_097_152, mtime_ns=1_893_812_400_000_000_000, inode=7, blake3=_BLAKE3),
    result=KnownFile(size=1_048_576, mtime_ns=1_893_812_400_000_000_000, inode=8, blake3=_BLAKE3),
    rule=InPlace(),
)

_FLOW_RUN = "5b9fbb3c-3a4f-4f37-9d0b-6a1b6a0e1c11"
_ANALYSIS = Analysis(
    source="/videos/holiday.mkv",
    media=MediaInfo(
        formats=("matroska", "webm"),
        container="matroska",
        size_bytes=2_097_152,
        duration=Fraction(60),
        video=(
            VideoStream(
                index=0,
                codec="mpeg4",
                width=720,
                height=576,
                sar=Fraction(16, 15),
                pix_fmt="yuv420p",
                bit_depth=8,
                chroma="420",
                average_rate=Fraction(25),
            ),
        ),
        prober="17.0",
    ),
    bit_rate=279_620,
    rate=Fraction(25),
    variable_rate=False,
    picture=Picture(
        crop=Crop(width=720, height=432, x=0, y=72),
        interlacing=Interlacing(scan="tff", tff=460),
        places=10,
    ),
)

EXAMPLES: tuple[BaseModel, ...] = (
    Health(version=__version__, uptime_s=12.5),
    Readiness(ready=False, reasons=("Prefect is still starting",)),
    Preset(name="tiny", description="As web, but smaller", video=VideoRule(quality=28)),
    PresetInfo(
        name="tiny",
        description="As web, but smaller",
        place="saved",
        text="name: tiny\nextends: web\nvideo: {quality: 28}\n",
    ),
    SavePreset(text="name: tiny\nextends: web\nvideo: {quality: 28}\n"),
    PresetAnswer(problem="preset: video.quality: Input should be a valid integer, not 'low'"),
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
    AddToBatch(
        files=(
            BatchFile(source="/videos/holiday/day-1.mkv", folder="/videos/holiday"),
            BatchFile(source="/videos/extra.mov", source_bytes=2_097_152),
        ),
        preset="web",
        destination="/converted",
        after=(JobId(41),),
    ),
    _BATCH,
    BatchAddition(batch=_BATCH, added=12, left_out=1),
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
    ClaimRequest(node=_NODE, flow_run=_FLOW_RUN),
    Heartbeat(node=_NODE, leases=(LeaseReport(job=_JOB, token=_TOKEN, progress=_PROGRESS),)),
    HeartbeatAnswer(cancel=(_JOB,)),
    OpenFilm(token=_TOKEN, film=_FILM, done=(0, 1)),
    NextChunk(token=_TOKEN, done=(0, 1, 2)),
    ChunkTurn(number=3, finished=(5,), elsewhere=(4,)),
    ChunkRequest(node=_NODE),
    ChunkClaim(
        job=_JOB,
        leader=_TOKEN,
        number=4,
        token=FencingToken(1),
        source=b"/videos/holiday.avi",
        destination=b"/converted",
        film=_FILM,
        plan={},
        heartbeat_s=1.5,
    ),
    ChunkPulse(node=_NODE, lease=_CHUNK),
    ChunkAnswer(),
    ChunkEnd(node=_NODE, lease=_CHUNK, outcome="done"),
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
    Forecast(
        library="movies",
        at=_NIGHT,
        files=120,
        new_files=20,
        scan=ScanId(3),
        source_bytes=400_000_000_000,
        work_hours=Range(low=60.0, likely=80.0, high=110.0),
        saved_bytes=Range(low=1.8e11, likely=2.2e11, high=2.6e11),
        finish=Finish(
            earliest=_NIGHT + timedelta(hours=30),
            likely=_NIGHT + timedelta(hours=40),
            latest=_NIGHT + timedelta(hours=55),
        ),
        nodes=(_NODE,),
        guessed=0,
    ),
    PauseNode(kind="hard"),
    NodeOrders(rest="soft"),
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
    Undo(force=False),
    Judge(library="movies"),
    JobList(jobs=(_JOB,)),
    ReplacementReport(token=_TOKEN, quarantine=_REPLACEMENT.quarantine, replacement=_REPLACEMENT),
    ReplacementOrders(
        orders=(
            ReplacementOrder(
                job=_JOB,
                root=_REPLACEMENT.root,
                quarantine=_REPLACEMENT.quarantine,
                action="undo",
                replacement=_REPLACEMENT,
            ),
        )
    ),
    ReplacementEnd(
        action="undo",
        state=ReplacementState.undone,
        file=FileNow(path=b"holiday.mkv", hint=_HINT, sample="9f1c", content=_BLAKE3),
    ),
    StartAnalysis(paths=("/videos/holiday.mkv", "/videos/new"), loudness=True, level="quick"),
    AnalysisRun(
        id=AnalysisId(5),
        status="running",
        paths=("/videos/holiday.mkv", "/videos/new"),
        path_count=2,
        loudness=True,
        level="quick",
        created=_NIGHT,
        node=_NODE,
        files=12,
        analysed=3,
    ),
    AnalysisProgress(
        id=AnalysisId(5), status="running", created=_NIGHT, node=_NODE, files=12, analysed=3
    ),
    _ANALYSIS,
    AnalysisWorker(node=_NODE, flow_run=_FLOW_RUN),
    AnalysisOrder(paths=(b"/videos/holiday.mkv", b"/videos/new"), loudness=True, level="quick"),
    AnalysisPulse(node=_NODE, flow_run=_FLOW_RUN, files=12),
    AnalysisResults(node=_NODE, flow_run=_FLOW_RUN, first=2, results=(_ANALYSIS,)),
    AnalysisEnd(node=_NODE, flow_run=_FLOW_RUN),
    Problem(
        title="Not Found",
        status=404,
        detail="there is no job 42",
        id="1f0c6f0b7f7e4a55",
        error="not_found",
    ),
)

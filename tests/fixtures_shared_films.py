"""Films that several workers encode, as the catalog sees them: no pictures, only who has what."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from blake3 import blake3
from fixtures_catalog import hint, plan_report, start
from fixtures_server import node_report
from sqlalchemy import update

from darkstream.catalog import Catalog
from darkstream.catalog.schema import jobs
from darkstream.model.base import ContentId, DispatchId, Fingerprint, NodeName
from darkstream.model.encoded import ChunkFile, EncodedSoundtrack, StreamTally
from darkstream.model.film import (
    ChunkClaim,
    ChunkEnd,
    ChunkLease,
    ChunkOutcome,
    ChunkPulse,
    ChunkRequest,
    ChunkTurn,
    NextChunk,
    OpenFilm,
    SameFilm,
)
from darkstream.model.job import Claim, ContentKey, DispatchOrder
from darkstream.model.plan import Chunk, Chunking, EncodePlan, Expectation, FilePackage

KEY = ContentKey(content=ContentId("c" * 64), fingerprint=Fingerprint("f" * 64))
SAME = SameFilm(key=KEY, mark="0" * 16 + ".mark", hint=hint(), sample="s")


def plan_of(pictures: Sequence[int]) -> EncodePlan:
    """A plan whose chunks have so many pictures."""
    parts = [
        Chunk(index=index, pictures=count, begin=index, end=index + 1, seek=None)
        for index, count in enumerate(pictures)
    ]
    return EncodePlan(
        decision="convert",
        reason="the video becomes H.264",
        source_formats=("avi",),
        renditions=(),
        audio=(),
        subtitles=(),
        package=FilePackage(container="mp4", extension="mp4"),
        expect=Expectation(
            duration=None, frames=None, video_streams=1, audio_streams=0, subtitle_streams=0
        ),
        chunking=Chunking(
            time_base=Fraction(1, 25), start=Fraction(0), chunks=tuple(parts)
        ),
        build="test",
        planner="1",
    )  # fmt: skip


def lead(
    catalog: Catalog, pictures: Sequence[int], name: str = "film.mkv", done: tuple[int, ...] = ()
) -> Claim:
    """Begin a job whose film is open to helpers; every picture is worth a second."""
    held = start(catalog, name)
    report = plan_report(held, plan=plan_of(pictures).model_dump(mode="json"))
    key = KEY.model_copy(update={"fingerprint": Fingerprint(name.ljust(64, "f")[:64])})
    catalog.results.report_plan(held.job, report.model_copy(update={"key": key}))
    with catalog.database.write() as connection:
        costs = update(jobs).where(jobs.c.id == held.job).values(cost_s=float(sum(pictures)))
        connection.execute(costs)
    catalog.films.open(held.job, OpenFilm(token=held.token, film=SAME, done=done))
    return held


def alive(catalog: Catalog, *names: str, slots: int = 1) -> dict[str, int]:
    """Nodes that are alive, and their slots."""
    for name in names:
        catalog.nodes.report(name, node_report(slots=slots))
    return dict.fromkeys(names, slots)


def plan_help(
    catalog: Catalog, slots: dict[str, int], batch_seconds: float = 10.0
) -> list[DispatchOrder]:
    """Dispatches for helpers, each with its flow run."""
    orders = catalog.films.plan_help(pool="cpu", batch_seconds=batch_seconds, most=100, slots=slots)
    for order in orders:
        catalog.dispatches.bind(order.id, f"run-{order.id}")
    return orders


def take(
    catalog: Catalog,
    dispatch: DispatchId,
    node: str = "other",
    request: str | None = None,
    pools: tuple[str, ...] = ("cpu",),
) -> ChunkClaim | None:
    """What a helper gets that asks now."""
    asked = ChunkRequest(node=NodeName(node), pools=pools)
    if request is not None:
        asked = asked.model_copy(update={"id": request})
    return catalog.films.claim(dispatch, asked)


def lease_of(dispatch: DispatchId, claim: ChunkClaim) -> ChunkLease:
    """What a helper holds."""
    return ChunkLease(
        dispatch=dispatch,
        job=claim.job,
        leader=claim.leader,
        number=claim.number,
        token=claim.token,
    )


def is_lost(catalog: Catalog, lease: ChunkLease, node: str = "other") -> bool:
    """Whether a helper hears that it is not its chunk any more."""
    return catalog.films.beat(ChunkPulse(node=NodeName(node), lease=lease)).lost


def finish(
    catalog: Catalog, lease: ChunkLease, outcome: ChunkOutcome = "done", node: str = "other"
) -> None:
    """What a helper says at its end."""
    catalog.films.end(ChunkEnd(node=NodeName(node), lease=lease, outcome=outcome))


def turn(
    catalog: Catalog, held: Claim, done: Sequence[int] = (), missing: Sequence[int] = ()
) -> ChunkTurn:
    """What the leader is to do."""
    asked = NextChunk(token=held.token, done=tuple(done), missing=tuple(missing))
    return catalog.films.next(held.job, asked)


def soundtrack_in(directory: Path, data: bytes = b"sound") -> EncodedSoundtrack:
    """The finished sound of a film with one track, its file in a directory."""
    directory.mkdir(exist_ok=True)
    (directory / "sound.mp4").write_bytes(data)
    file = ChunkFile(name="sound.mp4", size=len(data), blake3=blake3(data).hexdigest())
    tally = StreamTally(index=1, kind="audio", packets=9, frames=9, errors=0)
    return EncodedSoundtrack(
        files=(file,),
        tracks=(0,),
        packets=(9,),
        sources=(tally,),
        gains=(),
        command="ffmpeg",
        wall_s=1,
        cpu_s=1,
    )

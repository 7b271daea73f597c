"""The steps of one job as Prefect tasks, named after the file; each does one stage."""

from __future__ import annotations

from prefect import task
from pydantic import TypeAdapter

from darkstream.model.encoded import Encoded, Presentation, Verification
from darkstream.model.job import Reservation
from darkstream.model.media import Finding, MediaInfo, ValidationReport
from darkstream.model.plan import Decision, EncodePlan
from darkstream.model.source import Identity, SourceFile
from darkstream.stages import (
    discover,
    encode,
    identify,
    measure,
    package,
    plan,
    probe,
    publish,
    replace,
    search,
    validate,
)
from darkstream.stages.attempt import Attempt
from darkstream.stages.published import Published
from flows.caching import (
    inspect_key,
    measure_key,
    plan_key,
    probe_key,
    search_key,
    validate_key,
)
from flows.wiring import CACHED, FRESH, stoppable

Json = str
"""A value of the model as JSON: small to keep, and Prefect does not look for futures in it."""

DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)
FINDINGS: TypeAdapter[tuple[Finding, ...]] = TypeAdapter(tuple[Finding, ...])


@task(name="resume", task_run_name="resume {attempt}", **FRESH)
@stoppable
def resume_replacement(attempt: Attempt) -> Published | None:
    """Settle what an earlier attempt began to put in the original's place."""
    with attempt.step("publish"):
        return replace.resume(attempt)


@task(name="identify", task_run_name="identify {attempt}", **FRESH)
@stoppable
def identify_source(attempt: Attempt) -> tuple[SourceFile, Identity]:
    """Wait until the source is complete, then read all of it once."""
    with attempt.step("identify"):
        replace.check_source(attempt)
        settle_s = attempt.tools.settings.library.settle_s
        source = discover.discover(attempt.claim.source, settle_s, attempt.cancel)
        return source, identify.identify(source, attempt.cancel)


@task(name="probe", task_run_name="probe {attempt}", cache_key_fn=probe_key, **CACHED)
@stoppable
def probe_source(attempt: Attempt, found: tuple[SourceFile, Identity]) -> Json:
    """Look into the source; cached by its content."""
    with attempt.step("probe"):
        return probe.probe(attempt.tools, found[0]).model_dump_json()


@task(name="measure", task_run_name="measure {attempt}", cache_key_fn=measure_key, **CACHED)
@stoppable
def measure_source(attempt: Attempt, media: Json) -> Json:
    """Look for bars and fields in the pictures; cached by content and ffmpeg build."""
    with attempt.step("measure"):
        return measure.see_picture(attempt, MediaInfo.model_validate_json(media)).model_dump_json()


@task(name="validate", task_run_name="validate {attempt}", cache_key_fn=validate_key, **CACHED)
@stoppable
def validate_media(attempt: Attempt, media: Json) -> Json:
    """Judge what is wrong with the source; cached by its content and the level."""
    with attempt.step("validate"):
        report = validate.look_over(attempt, MediaInfo.model_validate_json(media))
        return report.model_dump_json()


@task(name="plan", task_run_name="plan {attempt}", cache_key_fn=plan_key, **CACHED)
@stoppable
def make_plan(attempt: Attempt, media: Json, report: Json, damage: Json) -> Json:
    """Decide what is done; cached by content, preset and ffmpeg build."""
    with attempt.step("plan"):
        seen = MediaInfo.model_validate_json(media)
        decision = plan.plan(
            attempt.tools,
            attempt.claim.preset,
            seen,
            ValidationReport.model_validate_json(report),
            FINDINGS.validate_json(damage),
            attempt.failed,
        )
        return plan.cut_film(attempt, decision, seen).model_dump_json()


@task(name="search", task_run_name="search {attempt}", cache_key_fn=search_key, **CACHED)
@stoppable
def search_quality(attempt: Attempt, decision: Json) -> Json:
    """Find the settings that reach the quality wished; cached by content and plan."""
    with attempt.step("search"):
        return search.search(attempt, _as_plan(decision)).model_dump_json()


@task(name="inspect", task_run_name="inspect {attempt}", cache_key_fn=inspect_key, **CACHED)
@stoppable
def inspect_source(attempt: Attempt, media: Json, decision: Json) -> Json:  # noqa: ARG001 - wires the graph
    """Decode a source that is to stay as it is, to its end; cached by its content."""
    with attempt.step("inspect"):
        found = measure.inspect(attempt, MediaInfo.model_validate_json(media))
        return FINDINGS.dump_json(found).decode()


@task(name="encode", task_run_name="encode {attempt}", **FRESH)
@stoppable
def encode_source(attempt: Attempt, decision: Json, directory: bytes) -> Encoded:
    """Encode or copy the streams, as planned."""
    with attempt.step("encode"):
        return encode.encode(attempt, _as_plan(decision), directory)


@task(name="verify", task_run_name="verify {attempt}", **FRESH)
@stoppable
def verify_output(attempt: Attempt, decision: Json, encoded: Encoded) -> Verification:
    """Decode the output to its end and hold it against the plan."""
    with attempt.step("verify"):
        return measure.verify(attempt, _as_plan(decision), encoded)


@task(name="publish", task_run_name="publish {attempt}", **FRESH)
@stoppable
def publish_output(
    attempt: Attempt,
    decision: Json,
    encoded: Encoded,
    verification: Verification,
) -> Published:
    """Package the verified files and give them their final name."""
    with attempt.step("publish"):
        chosen = _as_plan(decision)
        packaged: Presentation = package.package(attempt, chosen, encoded, verification)
        return publish.publish(attempt, chosen, packaged)


@task(name="reuse", task_run_name="reuse for {attempt}", **FRESH)
@stoppable
def reuse_result(attempt: Attempt, decision: Json, earlier: Reservation) -> Published | None:
    """Publish what an earlier job made of the same content and plan; None where it is gone."""
    with attempt.step("publish"):
        return publish.publish_again(attempt, _as_plan(decision), earlier)


@task(name="keep", task_run_name="keep {attempt}", **FRESH)
@stoppable
def keep_source(attempt: Attempt, decision: Json, hard_link: bool) -> Published:  # noqa: ARG001 - wires the graph
    """Put a source that stays as it is at the destination too."""
    with attempt.step("publish"):
        return publish.publish_source(attempt, hard_link=hard_link)


def _as_plan(decision: Json) -> EncodePlan:
    return EncodePlan.model_validate_json(decision)

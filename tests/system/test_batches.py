"""Batches and jobs that wait for others, as people type them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fixtures_server import wait_until
from fixtures_system import Up, patiently
from fixtures_webhooks import listening

from darkstream.model.job import Job, JobStatus


def test_a_folder_is_converted_after_a_job_of_prefects_and_its_end_is_told_once(
    up: Up, system_clips: dict[str, Path]
) -> None:
    machine = up.machine
    first = machine.film(system_clips["blink"], "before-the-trip.avi")
    (machine.films / "trip" / "day-2").mkdir(parents=True)
    machine.film(system_clips["blink"], "trip/day-1.avi")
    machine.film(system_clips["blink"], "trip/day-2/noon.avi")
    (machine.films / "trip" / "notes.txt").write_text("no film")
    run = machine.prefect(
        *("deployment", "run", "convert/cpu", "-p", f"source={first}", "-p", "preset=slow")
    )
    assert run.returncode == 0, run.stdout + run.stderr

    def submitted() -> Job | None:
        jobs = patiently(lambda: machine.client.jobs(limit=10))
        return next((job for job in jobs if job.source == str(first)), None)

    before = wait_until(submitted, "the job of the flow run", 60)
    with listening(machine.environment["DARKSTREAM_NOTIFY__WEBHOOK_URL"]) as heard:
        added = machine.type(
            *("batch", "add", "trip", str(machine.films / "trip"), "--preset", "slow"),
            *("--to", str(machine.out / "trip"), "--after", str(before.id)),
        )
        assert added.returncode == 0, added.stderr
        waited = machine.type("batch", "wait", "trip", seconds=120)
        assert waited.returncode == 0, waited.stdout + waited.stderr
        assert "jobs:        2: 2 done" in waited.stdout

        def told() -> list[dict[str, Any]]:
            events = [json.loads(body) for _, body in list(heard)]
            return [one["data"] for one in events if one["type"] == "batch.ended"]

        wait_until(told, "the event of the batch", 60)
    (event,) = told()
    assert (event["batch"], event["status"], event["done"]) == ("trip", "done", 1.0)
    assert {"trip/day-1.mp4", "trip/day-2/noon.mp4"} <= set(machine.published())
    ended = machine.wait_end(before.id).ended
    started = [job.started for job in machine.client.jobs(batch="trip")]
    assert ended is not None
    assert all(moment is not None and moment >= ended for moment in started)


def test_a_chain_stops_where_a_file_is_rejected_and_goes_on_by_wish(
    up: Up, system_clips: dict[str, Path]
) -> None:
    up.expect("SourceRejected")
    machine = up.machine
    junk = machine.films / "junk.avi"
    junk.write_bytes(b"this is no film " * 4096)
    later = ("--at", "2100-01-01T00:00")
    bad = machine.convert(junk, "slow", *later)
    source = machine.film(system_clips["blink"], "after-junk.avi")
    stopped = machine.convert(source, "slow", "--after", str(bad))
    chained = machine.convert(source, "slow", "--after", str(stopped))
    anyway = machine.convert(source, "slow", "--after", str(stopped), "--if-failed", "go-on")
    assert machine.job(anyway).waits_for == (stopped,)
    machine.type("cancel", str(bad))
    assert machine.type("retry", str(bad)).returncode == 0
    assert [machine.job(number).status for number in (stopped, chained)] == ["cancelled"] * 2
    assert machine.wait_end(anyway).status is JobStatus.done
    assert machine.wait_end(bad).status is JobStatus.rejected
    refused = machine.type("retry", str(stopped))
    assert (refused.returncode, f"waits for job {bad}" in refused.stderr) == (2, True)
    source_of_reason = machine.job(chained).reason
    assert f"because job {bad} was cancelled" in source_of_reason
    junk.unlink()

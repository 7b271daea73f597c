"""The table of results: what it shows, and names that would break it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from darkstream.model.base import JobId
from darkstream.model.job import Job, JobStatus
from flows.results import Row, describe, summarise


def _job(**more: Any) -> Job:
    values: dict[str, Any] = {
        "id": JobId(7),
        "status": JobStatus.done,
        "source": "/films/a.avi",
        "preset": "web",
        "destination": "/out",
        "pool": "cpu",
        "queue": "normal",
        "priority": 50,
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "decision": "convert",
        "reason": "the video becomes H.264",
        "source_bytes": 4 << 20,
        "output_bytes": 1 << 20,
        "wall_s": 12.345,
    }
    return Job(**(values | more))


def test_a_row_shows_sizes_saving_verification_and_a_link() -> None:
    plan = {"renditions": [{"encoder": "libx264", "quality": 21}]}
    table = describe([Row(_job(), plan, {"frames": [50]})], "http://127.0.0.1:4280")
    row = table.splitlines()[2]
    assert row == (
        "| a.avi | convert | done | 4.0 MiB | 1.0 MiB | 75% | libx264 21 | 50 pictures "
        "| 12.3 s | [7](http://127.0.0.1:4280/api/v1/jobs/7) |"
    )


def test_what_is_not_known_is_a_dash() -> None:
    job = _job(status=JobStatus.rejected, decision="reject", output_bytes=0, wall_s=None)
    row = describe([Row(job, None, None)], "http://x").splitlines()[2]
    assert row.startswith("| a.avi | reject | rejected | 4.0 MiB | - | - | - | - | - |")


@pytest.mark.parametrize(
    ("renditions", "shown"),
    [
        ([{"codec": "h264"}], "copied"),
        ([{"encoder": "libx264", "quality": 21}] * 3, "libx264 21"),
        ([], "-"),
    ],
)
def test_quality_is_what_the_encoder_was_asked_for(renditions: list[Any], shown: str) -> None:
    row = describe([Row(_job(), {"renditions": renditions}, None)], "http://x").splitlines()[2]
    assert row.split(" | ")[6] == shown


def test_a_name_cannot_break_the_table_or_the_page() -> None:
    job = _job(source="/films/a|b](http://evil)<script>`x`.avi", reason="it | is <b>")
    row, reason = describe([Row(job, None, None)], "http://x").splitlines()[2::2]
    assert row.count(" | ") == 9
    assert "<script>" not in row and "](http://evil" not in row and "`" not in row
    assert "<b>" not in reason


def test_a_summary_counts_the_ends() -> None:
    jobs = [_job(), _job(), _job(status=JobStatus.failed)]
    assert summarise(jobs) == "2 done, 1 failed"
    assert summarise([]) == "nothing to do"

"""Sizes, totals and reports as people read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darkstream.cli.tables import (
    describe_quality,
    format_bytes,
    print_table,
    summarise,
    write_report,
)
from darkstream.errors import StorageError
from darkstream.model.job import ReportLine
from darkstream.model.replacement import Evidence


def line(**changes: object) -> ReportLine:
    values: dict[str, object] = {
        "source": "a.mkv",
        "decision": "convert",
        "status": "done",
        "reason": "",
        "source_bytes": 1000,
        "output_bytes": 400,
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "attempts": 1,
        "job": 1,
    }
    return ReportLine.model_validate(values | changes)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1_234_567, "1.2 MB"),
        (3 * 10**18, "3000.0 PB"),
    ],
)
def test_sizes(size: int | None, text: str) -> None:
    assert format_bytes(size) == text


def test_totals_count_only_what_was_converted() -> None:
    lines = [
        line(),
        line(status="skipped", output_bytes=0),
        line(status="rejected", output_bytes=0),
    ]
    assert summarise(lines) == (
        "3 files: 1 done, 1 rejected, 1 skipped; 1.0 KB became 400 B (60% saved)"
    )
    assert summarise([line(status="planned")]).endswith("became about 400 B (60% saved)")
    assert summarise([line(output_bytes=1500)]).endswith("(50% more)")
    assert summarise([]) == "0 files: "


def test_a_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("file",), [("[bold]x[/bold] [1].mp4",)])
    assert "[bold]x[/bold] [1].mp4" in capsys.readouterr().out


def test_a_report_is_json_lines_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    write_report([line(source="Café 🎬.mp4"), line()], str(path))
    rows = [json.loads(text) for text in path.read_text("utf-8").splitlines()]
    assert [row["source"] for row in rows] == ["Café 🎬.mp4", "a.mkv"]
    assert rows[0]["outputs"] == []
    with pytest.raises(StorageError, match="cannot write the report"):
        write_report([], str(tmp_path / "none" / "report.jsonl"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.jsonl"]


def test_how_alike_two_films_are_in_one_line() -> None:
    vmaf = Evidence(metric="vmaf", mean=95.26, least=91.2, least_at=751.4)
    assert describe_quality(vmaf) == "VMAF 95.3 on average, 91.2 at 0:12:31"
    ssim = Evidence(metric="ssim", mean=0.98765, least=0.9, least_at=0.0)
    assert describe_quality(ssim) == "SSIM 0.988 on average, 0.900 at 0:00:00"
    assert describe_quality(Evidence(note="its pictures were copied")) is None

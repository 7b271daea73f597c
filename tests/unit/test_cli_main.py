"""The entrance: help without imports, errors as one line, exit codes."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkstream.cli.convert import parse_time
from darkstream.cli.main import COMMANDS, main
from darkstream.errors import UsageError
from darkstream.settings import Settings

HEAVY = ("prefect", "sqlalchemy", "rich", "fastapi", "av", "httpx", "pydantic")


def run(args: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(args)
    captured = capsys.readouterr()
    return int(str(ended.value.code)), captured.out, captured.err


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from darkstream.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run([name, "--help"], capsys)
    assert code == 0
    assert out.startswith(f"Usage: darkstream {name}")


def test_a_misspelt_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(["libary"], capsys)
    assert code == 2
    assert "Did you mean library?" in err


def test_an_error_is_one_line_and_debug_gives_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKSTREAM_SERVER__PORT", "70000")
    code, _, err = run(["jobs"], capsys)
    assert code == 2
    assert err.startswith("Error: the setting DARKSTREAM_SERVER__PORT cannot be used")
    assert len(err.splitlines()) == 1
    code, _, err = run(["--debug", "jobs"], capsys)
    assert code == 2
    assert err.startswith("Traceback (most recent call last):")
    assert "DARKSTREAM_SERVER__PORT" in err.splitlines()[-1]


def test_a_setting_that_cannot_be_read_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKSTREAM_SERVER", "abc")
    code, _, err = run(["jobs"], capsys)
    assert code == 2
    assert "server" in err and "docs/settings.md" in err
    assert len(err.splitlines()) == 1


def test_pools_are_written_as_the_documents_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("cpu, control", '["cpu", "control"]'):
        monkeypatch.setenv("DARKSTREAM_WORKER__POOLS", text)
        assert Settings().worker.pools == ("cpu", "control")


def test_a_report_that_cannot_be_written_is_told_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["run", str(tmp_path), "--preset", "web", "--to", str(tmp_path / "out")]
    report = "/proc/report.jsonl"
    code, out, err = run([*words, "--report", report], capsys)
    assert (code, out) == (1, "")
    assert f"cannot write the report {report}" in err
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_up_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", "http://127.0.0.1:9")
    code, _, err = run(["jobs"], capsys)
    assert code == 1
    assert "start one with 'darkstream up'" in err
    assert len(err.splitlines()) == 1


def test_a_wrong_folder_is_bad_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(
        ["run", str(tmp_path / "none"), "--preset", "web", "--to", str(tmp_path)], capsys
    )
    assert code == 2
    assert "does not exist" in err


def test_times_are_the_next_ones_in_the_zone_of_their_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        now = datetime(2026, 5, 1, 21, 0)
        assert parse_time("22:30", now) == datetime(2026, 5, 1, 20, 30, tzinfo=UTC)
        assert parse_time("20:00", now) == datetime(2026, 5, 2, 18, 0, tzinfo=UTC)
        assert parse_time("2027-01-31T22:30", now) == datetime(2027, 1, 31, 21, 30, tzinfo=UTC)
        assert parse_time("2027-07-31T22:30", now) == datetime(2027, 7, 31, 20, 30, tzinfo=UTC)
        assert parse_time("2027-07-31T22:30Z", now) == datetime(2027, 7, 31, 22, 30, tzinfo=UTC)
        for wrong in ("tomorrow", "25:00", "9999-12-31T23:59-12:00"):
            with pytest.raises(UsageError, match="22:30"):
                parse_time(wrong, now)
    finally:
        monkeypatch.undo()
        time.tzset()

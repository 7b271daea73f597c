from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from darkstream.observe.logs import configure
from darkstream.observe.redaction import redact
from darkstream.settings import Settings

_POOL = "sqlalchemy.pool.impl.AsyncAdaptedQueuePool"


@pytest.fixture
def logs_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("prefect.task_runs", "prefect.flow_runs", "asyncio", _POOL):
        logging.getLogger(name).filters.clear()
    structlog.reset_defaults()


def _settings(tmp_path: Path, log_format: str) -> Settings:
    return Settings.model_validate({"home": tmp_path, "log_format": log_format})


def test_json_lines_hold_event_level_fields_and_the_exception(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    configure(_settings(tmp_path, "json"))
    try:
        int("no such thing")
    except ValueError:
        structlog.get_logger("x").exception("went_wrong", job=7)
    out, err = capsys.readouterr()
    line = json.loads(err)
    assert out == ""
    assert (line["event"], line["level"], line["job"]) == ("went_wrong", "error", 7)
    assert "no such thing" in line["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_stay_out_of_both_formats(
    log_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    configure(_settings(tmp_path, log_format))
    structlog.get_logger("x").info(
        "told", webhook_secret="hunter2", url="postgresql://me:hunter2@db/x", token=12
    )
    logging.getLogger("other").warning("signed with whsec_%s", "hunter2")
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "12" in err
    assert "whsec_***" in err


def test_an_exception_text_is_redacted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    configure(_settings(tmp_path, "console"))
    try:
        int("postgresql://me:hunter2@db/x")
    except ValueError:
        structlog.get_logger("x").exception("went_wrong")
    assert "hunter2" not in capsys.readouterr().err


def test_lines_below_the_level_are_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    configure(_settings(tmp_path, "console"))
    structlog.get_logger("x").debug("quiet")
    structlog.get_logger("x").info("loud")
    err = capsys.readouterr().err
    assert "loud" in err
    assert "quiet" not in err


class TerminationSignal(BaseException):
    """Named as Prefect's."""


def test_an_end_that_was_asked_for_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    configure(_settings(tmp_path, "json"))
    tasks, flows = (logging.getLogger(f"prefect.{what}_runs") for what in ("task", "flow"))
    tasks.error("Finished in state Cancelled('the job was cancelled')")
    flows.error("Crash detected! Execution was aborted by a termination signal.")
    stopped = TerminationSignal()
    flows.error("Engine execution interrupted by base exception", exc_info=stopped)
    tasks.error("Finished in state Failed('no space left')")
    flows.error("Crash detected! Execution was interrupted by an unexpected exception")
    flows.error("Encountered exception during execution", exc_info=ValueError("no such thing"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["info"] * 3 + ["error"] * 3
    assert ["exception" in line for line in lines] == [False] * 5 + [True]


def test_redact_looks_into_nested_values() -> None:
    value = {"headers": [{"Authorization": "Basic abc"}], "list": ["Bearer 0123456789abcdef"]}
    assert redact(value) == {"headers": [{"Authorization": "***"}], "list": ["Bearer ***"]}


def test_the_end_of_an_observer_of_prefects_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    """Its callback asks a cancelled task for its exception, which raises."""
    configure(_settings(tmp_path, "json"))
    loop = asyncio.new_event_loop()
    for name in ("_handle_polling_task_done", "_another"):
        told = f"Exception in callback FlowRunSuspendingObserver.{name}()"
        loop.call_exception_handler({"message": told, "exception": asyncio.CancelledError()})
    loop.close()
    said = capsys.readouterr().err
    assert "_handle_polling_task_done" not in said
    assert "_another" in said


async def _cancel_a_return(database: Path) -> object:
    """Cancel a task while it gives its connection back, as the end of a server does."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    connection = await greenlet_spawn(engine.sync_engine.raw_connection)
    giving_back = asyncio.create_task(greenlet_spawn(connection.close))
    await asyncio.sleep(0)
    giving_back.cancel()
    (outcome,) = await asyncio.gather(giving_back, return_exceptions=True)
    await engine.dispose()
    return outcome


def test_a_cancelled_return_of_a_connection_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logs_restored: None
) -> None:
    configure(_settings(tmp_path, "console"))
    outcome = asyncio.run(_cancel_a_return(tmp_path / "any.db"))
    assert isinstance(outcome, asyncio.CancelledError)
    assert "CancelledError" not in capsys.readouterr().err
    broken = OSError("disk I/O error")
    logging.getLogger(_POOL).error("Exception during reset or similar", exc_info=broken)
    assert "disk I/O error" in capsys.readouterr().err

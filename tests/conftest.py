"""Loads every tests/fixtures_*.py as a plugin, and holds every test to three rules.

A log at ERROR fails the test that did not expect it (marker `logs_errors`). A package that could
be installed and is not is a skip, and a failure under CI=true. What is deselected is counted by
its marker, also where several processes run the tests.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

_here = Path(__file__).parent
sys.path.insert(0, str(_here))
pytest_plugins = [path.stem for path in sorted(_here.glob("fixtures_*.py"))]

_ELSEWHERE = ("gpu", "other_user", "shared_media", "slow")
_HOW_A_STEP_ENDED = "prefect.task_runs"
"""Where Prefect says at ERROR that a task failed: that is what many tests are about."""
_deselected = pytest.StashKey[Counter[str]]()


class _Errors(logging.Handler):
    """Keeps what is logged at ERROR or above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _HOW_A_STEP_ENDED:
            self.lines.append(f"{record.name}: {record.getMessage()}")


def _to_record(_logger: object, _method: str, event: structlog.typing.EventDict) -> dict[str, Any]:
    message, trace = event.pop("event"), event.pop("exc_info", None)
    return {"msg": message, "exc_info": trace, "extra": {"said": event}}


@pytest.fixture(autouse=True)
def _log_through_logging() -> None:
    """Let structlog speak through logging, as in every entrance; a test before may differ."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            _to_record,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


@pytest.fixture(autouse=True)
def _no_error_is_logged_unasked(request: pytest.FixtureRequest) -> Iterator[None]:
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    yield
    logging.getLogger().removeHandler(errors)
    if request.node.get_closest_marker("logs_errors") is None:
        assert not errors.lines, "logged at ERROR by a test that did not expect it"
    else:
        assert errors.lines, "expected an error in the log, and there was none"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Under CI=true everything that can be installed is there: a skip is a failure."""
    report: pytest.TestReport = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count by the marker that says why."""
    for item in items:
        counts = item.config.stash.setdefault(_deselected, Counter())
        counts.update(name for name in _ELSEWHERE if item.get_closest_marker(name))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process among several tells the one that sums up."""
    if hasattr(session.config, "workeroutput"):
        counts = session.config.stash.get(_deselected, Counter())
        session.config.workeroutput["deselected"] = dict(counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each process collects all tests: what one of them left out, all did."""
    told = getattr(node, "workeroutput", {}).get("deselected", {})
    node.config.stash[_deselected] = Counter(told)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what did not run here, and where it does."""
    counts = config.stash.get(_deselected, Counter())
    if counts:
        text = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"not run here: {text} (see 'make test-long' and the README)")
    skipped = len(terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.write_line(f"skipped for want of something to install: {skipped}")

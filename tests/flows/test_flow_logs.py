"""Every flow logs as the settings say, whoever started its process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from fixtures_flows import Field

from flows.analyse import analyse
from flows.convert import convert
from flows.maintain import maintain
from flows.scan_library import scan_library


@pytest.fixture
def foreign_process() -> Iterator[None]:
    """As in a process of Prefect's own worker: nobody set up our log."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.reset_defaults()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("flow", [analyse, convert, maintain, scan_library])
def test_the_log_of_a_flow_is_ours_in_a_foreign_process(
    flow: Callable[..., Any],
    field: Field,
    foreign_process: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DARKSTREAM_LOG_FORMAT", "json")
    flow(**({"analysis": 99} if flow is analyse else {}), return_state=True)
    capsys.readouterr()
    structlog.get_logger("darkstream.stages").info("said", file="a.mkv")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["file"]) == ("said", "info", "a.mkv")

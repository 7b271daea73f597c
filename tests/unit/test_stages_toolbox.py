"""What the steps of a worker work with, by its settings."""

from __future__ import annotations

import pytest

from darkstream.media.process import Limits
from darkstream.settings import MediaSettings, Settings, WorkerSettings
from darkstream.stages import toolbox
from darkstream.stages.toolbox import Toolbox

GIB = 1 << 30


def limits_of(**worker: object) -> Limits:
    settings = Settings(
        media=MediaSettings(memory_bytes=GIB, no_progress_s=9.0),
        worker=WorkerSettings.model_validate(worker),
    )
    with Toolbox(settings, flow_run="run") as tools:
        return tools.limits


def test_ffmpeg_is_limited_as_the_worker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, int]] = []

    def scope(cpus: float, memory: int) -> tuple[bytes, ...]:
        asked.append((cpus, memory))
        return (b"in", b"a", b"group")

    monkeypatch.setattr(toolbox, "scope_words", scope)
    assert limits_of() == Limits(no_progress_s=9.0, memory_bytes=GIB)
    modest = limits_of(nice=10, ionice="idle")
    assert (modest.nice, modest.ionice, asked) == (10, "idle", [])
    assert limits_of(cpus=1.5).scope == (b"in", b"a", b"group")
    assert asked == [(1.5, GIB)]

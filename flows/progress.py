"""The picture of a running encode in Prefect's UI: a progress artifact, seldom updated."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import structlog
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectConcurrentFuture

from darkstream.stages.attempt import Attempt

log = structlog.get_logger(__name__)

EVERY_S = 5.0


def watch(attempt: Attempt, future: PrefectConcurrentFuture[Any]) -> None:
    """Wait for a step, and show how far it is every 5 s; short ones are not shown at all."""
    picture: UUID | None = None
    while not future.wrapped_future.done():
        future.wait(timeout=EVERY_S)
        # With the server away Prefect's client would wait for it, and the next step for us.
        if not future.wrapped_future.done() and attempt.in_touch:
            picture = _draw(attempt, picture)
    if picture is not None and attempt.in_touch:
        _draw(attempt, picture, done=100.0)


def _draw(attempt: Attempt, picture: UUID | None, done: float | None = None) -> UUID | None:
    progress = attempt.progress
    percent = done if done is not None else round(100 * (progress.done or 0.0), 1)
    try:
        if picture is None:
            what = f"{progress.step} {attempt}"
            return cast(UUID, create_progress_artifact(percent, description=what))
        update_progress_artifact(picture, percent)
    except Exception as error:  # noqa: BLE001 - a picture is no reason to end an encode
        log.warning("progress_not_shown", reason=str(error))
    return picture

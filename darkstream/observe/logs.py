"""One log for all: structlog and the standard library's loggers, to stderr, without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from darkstream.observe.redaction import redact, redact_text

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from darkstream.settings import Settings

_NOISY = (
    "httpx",
    "httpcore",
    "uvicorn.access",
    "aiosqlite",
    "watchfiles",
    "asyncio",
    "docket",
    "prefect.server",
    "alembic",
)
_ASKED_FOR = (
    "Finished in state Cancelled(",
    "Crash detected! Execution was aborted by a termination signal",
)


class _Endings(logging.Filter):
    """Prefect says at ERROR how a run ended that was cancelled, or stopped with its worker.

    Both were asked for and nothing is wrong: whoever reads it would look for what is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lower the level of those lines alone."""
        stopped = record.exc_info and record.exc_info[0] and record.exc_info[0].__name__
        if record.getMessage().startswith(_ASKED_FOR) or stopped == "TerminationSignal":
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = None
        return logging.getLogger(record.name).isEnabledFor(record.levelno)


class _PollingEnds(logging.Filter):
    """Prefect's observers take the cancel of their own polling, at their end, for an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave those lines out alone."""
        kind = record.exc_info[0] if record.exc_info else None
        cancelled = kind is not None and kind.__name__ == "CancelledError"
        return not (cancelled and "_handle_polling_task_done" in record.getMessage())


class _GivenUp(logging.Filter):
    """SQLAlchemy tells at ERROR that a task was cancelled while it gave its connection back.

    It closes that connection, so the database rolls back; Prefect cancels such tasks as it stops.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave those lines out alone."""
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or kind.__name__ != "CancelledError"


_ENDINGS = _Endings()
_POLLING_ENDS = _PollingEnds()
_GIVEN_UP = _GivenUp()
_POOL = "sqlalchemy.pool.impl.AsyncAdaptedQueuePool"
_RUNS = ("prefect.task_runs", "prefect.flow_runs")


def configure(settings: Settings) -> None:
    """Send every log line to stderr in the format of the settings; call it once, in an entrance."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_render(settings.log_format),
            ],
        )
    )
    _install(handler, settings.log_level.upper())


def configure_once(settings: Settings) -> None:
    """As `configure`, in a process that an entrance of somebody else's began."""
    if not structlog.is_configured():
        configure(settings)


def _render(log_format: str) -> Sequence[Processor]:
    if log_format == "json":
        return (
            structlog.processors.format_exc_info,
            _redact_event,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        )
    return (
        structlog.processors.format_exc_info,
        _redact_event,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    )


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        event[key] = redact_text(value) if key == "event" else redact(value, key)
    return event


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _RUNS:
        logging.getLogger(name).addFilter(_ENDINGS)
    logging.getLogger("asyncio").addFilter(_POLLING_ENDS)
    logging.getLogger(_POOL).addFilter(_GIVEN_UP)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True

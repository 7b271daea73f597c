"""A worker for the tests: the flows of worker_flows are loaded beforehand."""

from __future__ import annotations

from darkstream.model.capabilities import Capabilities
from darkstream.model.wire import NodeReport
from darkstream.observe.logs import configure
from darkstream.settings import Settings
from darkstream.worker.main import serve

ENTRYPOINTS = [
    f"worker_flows.{name}"
    for name in ("quick", "slow", "with_child", "stubborn", "failing", "missing")
]


def describe() -> NodeReport:
    return NodeReport(
        capabilities=Capabilities(
            ffmpeg="/none",
            version="0",
            build="none",
            encoders=(),
            decoders=(),
            filters=(),
            muxers=(),
            sandbox="rlimits",
        ),
        pools=("cpu",),
        slots=1,
        cores=1,
        version="0",
    )


if __name__ == "__main__":
    settings = Settings()
    configure(settings)
    serve(settings, report=describe, entrypoints=ENTRYPOINTS)

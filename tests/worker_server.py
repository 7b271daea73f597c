"""A Prefect server with a stand-in for DarkStream's routes: `worker_server.py HOME PORT`.

What is sent to /api/v1 is written to HOME/calls.jsonl and answered with an empty object.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def main(home: Path, port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    os.environ |= {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{listener.getsockname()[1]}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    calls = (home / "calls.jsonl").open("a", buffering=1, encoding="utf-8")
    part = home / "port.part"
    part.write_text(str(listener.getsockname()[1]), encoding="ascii")
    part.rename(home / "port")

    import uvicorn
    from fastapi import FastAPI, Request
    from prefect.server.api.server import create_app

    from darkstream.server.prefect_database import take_turns

    take_turns()
    prefect = create_app()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with prefect.router.lifespan_context(prefect):
            yield

    app = FastAPI(lifespan=lifespan)

    async def record(rest: str, request: Request) -> dict[str, str]:
        body = await request.body()
        sent = json.loads(body) if body else None
        calls.write(json.dumps([request.method, rest, sent]) + "\n")
        return {}

    record.__annotations__["request"] = Request
    app.add_api_route("/api/v1/{rest:path}", record, methods=["GET", "POST", "PUT"])
    app.mount("/", prefect)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI

from darkstream.model.library import SampledFile
from darkstream.model.source import ChangeHint
from darkstream.model.wire import SampledFiles
from darkstream.server.answers import install_error_answers
from darkstream.server.request_id import RequestId
from darkstream.server.requests import json_body

_JSON = {"content-type": "application/json"}


@pytest.fixture
async def asker() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_error_answers(app)
    app.add_middleware(RequestId)

    @app.post("/")
    def count(body: Annotated[SampledFiles, Depends(json_body(SampledFiles))]) -> list[str]:
        return [repr(file.path) for file in body.files]

    @app.get("/odd")
    def odd() -> None:
        raise RuntimeError("hunter2 is the password")

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_bytes_arrive_as_the_client_wrote_them(asker: httpx.AsyncClient) -> None:
    hint = ChangeHint(size=1, mtime_ns=2, ctime_ns=3, inode=4)
    files = SampledFiles(files=(SampledFile(path=b"a/\xff\xfe>?.mkv", hint=hint, sample="0"),))
    answer = await asker.post("/", content=files.model_dump_json(), headers=_JSON)
    assert answer.json() == [repr(b"a/\xff\xfe>?.mkv")]


async def test_a_body_over_the_limit_is_refused_whether_announced_or_not(
    asker: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkstream.server.requests.BODY_LIMIT", 100)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 50

    announced = await asker.post("/", content=b" " * 101, headers=_JSON)
    unannounced = await asker.post("/", content=pieces(), headers=_JSON)
    fitting = await asker.post("/", content=b'{"files": []}', headers=_JSON)
    assert (announced.status_code, unannounced.status_code) == (413, 413)
    assert announced.headers["content-type"] == "application/problem+json"
    assert fitting.json() == []


async def test_a_wrong_field_is_named(asker: httpx.AsyncClient) -> None:
    answer = await asker.post("/", content=b'{"files": [{"path": 3}]}', headers=_JSON)
    assert answer.status_code == 422
    assert "files.0.path" in answer.json()["detail"]


@pytest.mark.logs_errors
async def test_the_unforeseen_is_a_problem_without_its_text(asker: httpx.AsyncClient) -> None:
    answer = await asker.get("/odd")
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal"
    assert "hunter2" not in answer.text


async def test_the_log_of_a_refusal_says_what_was_asked(
    asker: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = await asker.get("/nothing/here?key=secret")
    (record,) = [one for one in caplog.records if one.message == "request_refused"]
    assert record.said["asked"] == "GET /nothing/here"
    assert record.said["request"] == answer.headers["x-request-id"] == answer.json()["id"]

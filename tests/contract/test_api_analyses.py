from __future__ import annotations

import base64
import json

import httpx
import pytest
from fixtures_server import RunningServer, wait_until

from darkstream.client.api import Client
from darkstream.errors import Conflict, NotFound, UsageError
from darkstream.model.analyses import (
    AnalysisEnd,
    AnalysisPulse,
    AnalysisResults,
    AnalysisWorker,
    StartAnalysis,
)
from darkstream.model.analysis import Analysis
from darkstream.model.base import AnalysisId, NodeName

NODE = NodeName("den")


def _start(client: Client, *paths: str, **more: object) -> AnalysisId:
    request = StartAnalysis.model_validate({"paths": paths or ("/in",), **more})
    return client.start_analysis(request).id


def _begin(server: RunningServer, client: Client, number: AnalysisId) -> AnalysisWorker:
    """Take an analysis on, as the flow run that the server made of it."""
    run = wait_until(lambda: _flow_run(server, number), "the flow run")
    worker = AnalysisWorker(node=NODE, flow_run=run)
    client.analysis_order(number, worker)
    return worker


def _flow_run(server: RunningServer, number: AnalysisId) -> str | None:
    runs = server.dispatcher.runs.items()
    return next((run for key, run in runs if key.endswith(f"-{number}-0")), None)


def test_an_analysis_from_request_to_results(server: RunningServer, client: Client) -> None:
    answer = httpx.post(f"{server.url}/api/v1/analyses", json={"paths": ["/in//a.mkv", "/x/./"]})
    assert answer.status_code == 202
    number = AnalysisId(answer.json()["id"])
    new = client.analysis(number)
    assert (new.status, new.paths, new.files) == ("queued", ("/in/a.mkv", "/x"), None)
    worker = _begin(server, client, number)
    assert client.keep_analysis(number, AnalysisPulse(**dict(worker), files=2))
    found = (
        Analysis(source="/in/a.mkv", bit_rate=7),
        Analysis(source="/x/b.mkv", status="failed", reason="/x/b.mkv is gone"),
    )
    results = AnalysisResults(**dict(worker), first=0, results=found)
    assert client.add_analysis_results(number, results)
    half = client.analysis(number)
    assert (half.status, half.files, half.analysed, half.failed) == ("running", 2, 2, 1)
    client.finish_analysis(number, AnalysisEnd(**dict(worker)))
    assert client.analysis(number).status == "done"
    assert tuple(client.analysis_results(number)) == found
    raw = httpx.get(f"{server.url}/api/v1/analyses/{number}/results")
    assert raw.headers["content-type"].startswith("application/jsonl")
    assert raw.text.splitlines() == [one.model_dump_json() for one in found]
    assert json.loads(raw.text.splitlines()[1])["reason"] == "/x/b.mkv is gone"
    with pytest.raises(Conflict, match="there is nothing to do"):
        client.analysis_order(number, worker)


def test_they_are_listed_page_by_page_and_forgotten(client: Client) -> None:
    numbers = [_start(client, f"/in/{number}") for number in range(3)]
    assert [one.id for one in client.analyses(limit=2)] == [numbers[2], numbers[1]]
    assert [one.id for one in client.analyses(after=numbers[1])] == [numbers[0]]
    for number in numbers:
        client.remove_analysis(number)
        with pytest.raises(NotFound, match=f"there is no analysis {number}"):
            list(client.analysis_results(number))
    assert client.analyses() == []
    with pytest.raises(NotFound):
        client.remove_analysis(numbers[0])


def test_lists_and_progress_are_small_also_of_many_paths(
    server: RunningServer, client: Client
) -> None:
    number = _start(client, *(f"/in/{'long ' * 50}{number}" for number in range(500)))
    url = f"{server.url}/api/v1/analyses"
    (listed,) = client.analyses()
    assert (len(listed.paths), listed.path_count) == (3, 500)
    assert len(httpx.get(url).content) < 2_000
    assert len(httpx.get(f"{url}/{number}/progress").content) < 500
    whole = client.analysis(number)
    assert len(whole.paths) == 500
    assert client.analysis_progress(number).status == whole.status == "queued"
    client.remove_analysis(number)
    with pytest.raises(NotFound):
        client.analysis_progress(number)


def test_whoever_is_at_a_forgotten_one_is_told_to_stop(
    server: RunningServer, client: Client
) -> None:
    number = _start(client)
    worker = _begin(server, client, number)
    client.remove_analysis(number)
    assert not client.keep_analysis(number, AnalysisPulse(**dict(worker)))
    assert not client.add_analysis_results(
        number, AnalysisResults(**dict(worker), first=0, results=())
    )


def test_one_that_a_stopped_worker_gives_back_gets_another_flow_run(
    server: RunningServer, client: Client
) -> None:
    number = _start(client)
    worker = _begin(server, client, number)
    client.release_analysis(number, worker)
    client.release_analysis(number, worker)
    wait_until(lambda: len(server.dispatcher.analyses) == 2, "another flow run")
    assert len(set(server.dispatcher.runs.values())) == 2
    free = client.analysis(number)
    assert (free.status, free.attempts, free.releases) == ("queued", 0, 1)


def test_a_name_that_is_no_text_is_kept(server: RunningServer, client: Client) -> None:
    exact = base64.b64encode(b"/in/\xff.mkv").decode()
    number = _start(client, paths=(), paths_b64=(exact,))
    assert client.analysis(number).paths_b64 == (exact,)
    run = wait_until(lambda: _flow_run(server, number), "the flow run")
    order = client.analysis_order(number, AnalysisWorker(node=NODE, flow_run=run))
    assert order.paths == (b"/in/\xff.mkv",)


def test_what_cannot_be_is_refused_as_for_conversions(client: Client) -> None:
    for broken, words in (
        ({"paths": ("a.mkv",)}, "the path must be an absolute path"),
        ({"paths": ("/films/.darkstream-originals/17-ab",)}, "originals are kept until"),
        ({"paths": ("/in/a\0b",)}, "holds a NUL byte"),
        ({"paths_b64": ("?",)}, "is not valid base64"),
        ({"paths": ()}, "name at least one path"),
        ({"paths": ("/in",) * 300, "paths_b64": ("L2lu",) * 300}, "500 at most, not 600"),
        ({"paths": ("/" + "a" * 4095,)}, "no path has more than 4095 bytes"),
    ):
        with pytest.raises(UsageError, match=words):
            client.start_analysis(StartAnalysis.model_validate(broken))
    url = f"{client.base_url}/api/v1/analyses"
    assert httpx.post(url, json={"paths": ["/in"] * 501}).status_code == 422
    assert httpx.post(url, json={"paths": ["/in"], "level": "deep"}).status_code == 422
    assert client.analyses() == []


def test_few_are_under_way_at_once_so_that_scans_need_not_wait(
    server: RunningServer, client: Client
) -> None:
    first, second = _start(client, "/one"), _start(client, "/two")
    worker = _begin(server, client, first)
    assert [one.id for one in server.dispatcher.analyses] == [first]
    client.finish_analysis(first, AnalysisEnd(**dict(worker), reason="no ffmpeg"))
    assert client.analysis(first).reason == "no ffmpeg"
    wait_until(lambda: len(server.dispatcher.analyses) == 2, "the second")
    assert server.dispatcher.analyses[1].id == second

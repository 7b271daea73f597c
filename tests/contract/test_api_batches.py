from __future__ import annotations

import base64

import httpx
import pytest
from fixtures_server import RunningServer, node_report, wait_until

from darkstream.client.api import Client
from darkstream.errors import Conflict, NotFound, UnknownPreset, UsageError
from darkstream.model.base import JobId, NodeName
from darkstream.model.job import Outcome, Progress
from darkstream.model.wire import (
    AddToBatch,
    BatchFile,
    ClaimRequest,
    Commit,
    Heartbeat,
    LeaseReport,
)

NODE = NodeName("den")


def _add(client: Client, *files: BatchFile, **changes: object) -> tuple[int, int]:
    values: dict[str, object] = {"files": files, "preset": "web", "destination": "/out"}
    answer = client.add_to_batch("trip", AddToBatch.model_validate(values | changes))
    return answer.added, answer.left_out


def _file(path: str = "/in/a.mkv", **more: object) -> BatchFile:
    return BatchFile.model_validate({"source": path, **more})


def _work(server: RunningServer, client: Client, status: str = "done") -> JobId:
    orders = server.dispatcher.orders
    order = wait_until(lambda: orders, "a dispatch").pop(0)
    claim = client.claim(order.id, ClaimRequest(node=NODE, flow_run="run"))
    assert claim is not None
    lease = LeaseReport(job=claim.job, token=claim.token, progress=Progress(step="e", done=0.5))
    client.beat(Heartbeat(node=NODE, leases=(lease,)))
    assert 0.0 < client.batch("trip").done < 1.0
    outcome = Outcome.model_validate({"status": status, "decision": "convert", "reason": "x"})
    client.commit(claim.job, Commit(token=claim.token, outcome=outcome))
    client.end_dispatch(order.id)
    return claim.job


def test_a_batch_from_its_files_to_its_end(server: RunningServer, client: Client) -> None:
    client.report_node(NODE, node_report())
    assert _add(client, _file("/in/a.mkv"), _file("/in/b.mkv"), _file("/in/a.mkv")) == (2, 1)
    assert client.batch("trip").jobs == 2
    assert {job.destination for job in client.jobs(batch="trip")} == {"/out"}
    _work(server, client, "failed")
    _work(server, client)
    over = client.batch("trip")
    assert (over.status, over.counts) == ("failed", {"done": 1, "failed": 1})
    assert client.batches() == [over]
    assert client.batches(after=over.id) == []
    with pytest.raises(Conflict, match="has ended already"):
        client.cancel_batch("trip")
    assert client.retry_batch("trip").status != "failed"
    assert client.cancel_batch("trip").counts == {"cancelled": 1, "done": 1}


def test_results_lie_as_deep_as_the_files_of_a_folder_or_beside_them(client: Client) -> None:
    deep = _file("/in/x/y/a.mkv", folder="/in/x/", source_bytes=7)
    _add(client, deep)
    _add(client, deep, destination=None)
    beside, below = client.jobs(batch="trip")
    assert (beside.destination, below.destination) == ("/in/x/y", "/out")
    assert below.source_bytes == 7


def test_a_name_that_is_no_text_is_kept(client: Client) -> None:
    exact = base64.b64encode(b"/in/\xff.mkv").decode()
    _add(client, BatchFile(source_b64=exact))
    (job,) = client.jobs(batch="trip")
    assert job.source_b64 == exact


def test_what_cannot_be_is_refused_whole(client: Client) -> None:
    for broken, error, words in (
        ({"files": (_file("a.mkv"),)}, UsageError, "must be an absolute path"),
        ({"files": (_file("/"),)}, UsageError, "names no file"),
        ({"files": (_file(folder="/elsewhere"),)}, UsageError, "is not in the folder"),
        ({"preset": "wbe"}, UnknownPreset, "web"),
        ({"after": (99,)}, NotFound, "there is no job 99 to come after"),
    ):
        with pytest.raises(error, match=words):
            _add(client, **({"files": (_file(),)} | broken))  # type: ignore[arg-type]
    answer = httpx.post(f"{client.base_url}/api/v1/batches/trip/files", json={"files": []})
    assert answer.status_code == 422
    with pytest.raises(UsageError, match="cannot be named 'My Trip'"):
        client.add_to_batch("My Trip", AddToBatch(files=(_file(),), preset="web"))
    assert client.batches() == []
    with pytest.raises(NotFound, match="there is no batch 'trip'"):
        client.batch("trip")


def test_a_batch_waits_for_a_job_and_is_stopped_with_it(
    server: RunningServer, client: Client
) -> None:
    _add(client, _file())
    (first,) = client.jobs(batch="trip")
    later = AddToBatch(files=(_file("/in/b.mkv"),), preset="web", after=(first.id,))
    assert client.add_to_batch("later", later).batch.status == "queued"
    assert client.jobs(batch="later")[0].waits_for == (first.id,)
    assert _work(server, client, "rejected") == first.id
    assert client.batch("later").status == "cancelled"

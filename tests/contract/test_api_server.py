from __future__ import annotations

import json

import httpx
import jsonschema
import pytest
from fixtures_server import RunningServer, node_report, wait_until

from darkstream import __version__
from darkstream.client.api import Client
from darkstream.errors import NotFound


def test_health_says_the_version(client: Client) -> None:
    health = client.health()
    assert (health.status, health.version) == ("ok", __version__)


def test_ready_turns_false_with_the_reason_while_prefect_is_away(
    server: RunningServer, client: Client
) -> None:
    wait_until(lambda: client.ready().ready, "readiness")
    server.dispatcher.down = True
    client.report_node("den", node_report())
    httpx.post(f"{server.url}/api/v1/jobs", json={"source": "/a.mkv", "preset": "web"})
    state = wait_until(
        lambda: (found := client.ready()).reasons and found, "a reason not to be ready"
    )
    assert not state.ready
    assert "no Prefect answers" in state.reasons[0]
    assert httpx.get(f"{server.url}/api/v1/ready").status_code == 503
    assert client.health().status == "ok"
    server.dispatcher.down = False
    wait_until(lambda: client.ready().ready, "recovery")
    wait_until(lambda: server.dispatcher.orders, "the dispatch of the waiting job")


def test_nodes_and_presets_are_listed(client: Client) -> None:
    client.report_node("den", node_report(gpu="H200"))
    (node,) = client.nodes()
    assert (node.name, node.live, node.capabilities.gpu) == ("den", True, "H200")
    assert "web" in {preset.name for preset in client.presets()}


def test_openapi_is_3_1_describes_every_body_and_needs_no_network(server: RunningServer) -> None:
    schema = httpx.get(f"{server.url}/api/v1/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    bodies = [
        route["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        for routes in schema["paths"].values()
        for route in routes.values()
        if "requestBody" in route
    ]
    assert len(bodies) >= 17
    known = schema["components"]["schemas"]
    assert set(bodies) <= set(known)
    assert known["SubmitJob"]["examples"][0]["preset"] == "web"
    page = httpx.get(f"{server.url}/api/v1/docs").text
    assert "openapi.json" in page
    assert "/api/v1/jobs/{job}/cancel" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_every_reference_of_the_description_resolves(server: RunningServer) -> None:
    text = httpx.get(f"{server.url}/api/v1/openapi.json").text
    known = httpx.get(f"{server.url}/api/v1/openapi.json").json()["components"]["schemas"]
    names = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(known)


def test_everything_sent_and_answered_has_an_example(server: RunningServer) -> None:
    schema = httpx.get(f"{server.url}/api/v1/openapi.json").json()
    paths, known = json.dumps(schema["paths"]), schema["components"]["schemas"]
    names = {part.split('"', 1)[0] for part in paths.split("#/components/schemas/")[1:]}
    names = {name for name in names if known[name]["type"] == "object"}
    assert {name for name in names if not known[name].get("examples")} == set()
    for name in names:
        jsonschema.validate(
            known[name]["examples"][0],
            {"$ref": f"#/components/schemas/{name}", "components": {"schemas": known}},
        )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/health", 405), ("GET", "/jobs?limit=0", 422)],
)
def test_even_strange_requests_get_a_problem(
    server: RunningServer, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, f"{server.url}/api/v1{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["id"] == answer.headers["x-request-id"]


def test_a_body_must_be_json(server: RunningServer) -> None:
    url = f"{server.url}/api/v1/jobs"
    assert httpx.post(url, content="{}").status_code == 415
    broken = httpx.post(url, content="{", headers={"content-type": "application/json"})
    assert broken.status_code == 422


def test_a_foreign_page_and_a_foreign_name_are_refused(server: RunningServer) -> None:
    url = f"{server.url}/api/v1/health"
    assert httpx.get(url, headers={"host": "evil.example"}).status_code == 403
    answer = httpx.get(url, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["error"] == "usage"


def test_nodes_rest_and_work_again(client: Client) -> None:
    assert client.report_node("den 2", node_report()).rest is None
    assert client.pause_node("den 2", "hard").rest == "hard"
    assert client.report_node("den 2", node_report()).rest == "hard"
    assert client.node("den 2").pause == "hard"
    assert client.resume_node("den 2").rest is None
    with pytest.raises(NotFound, match="no node is called 'gone'"):
        client.pause_node("gone", "soft")

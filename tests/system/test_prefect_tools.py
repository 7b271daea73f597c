"""What people who know Prefect type, against a DarkStream that is up."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import httpx
import pytest
from fixtures_server import wait_until
from fixtures_system import START_S, Machine, Up

_ROOT = Path(str(resources.files("darkstream"))).parent
_LINK = re.compile(r"http://\S+/flow-run/([0-9a-f-]{36})")
_PROCESS = """
name: darkstream
pull: []
deployments:
  - name: plain
    flow_name: convert
    entrypoint: flows.convert.convert
    work_pool: {name: plain}
"""


def _run_deployment(machine: Machine, name: str, source: Path) -> str:
    done = machine.prefect(
        *("deployment", "run", name, "-p", f"source={source}", "-p", "preset=web")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = _LINK.search(done.stdout)
    assert found, done.stdout
    page = httpx.get(found[0], headers={"Accept": "text/html"}, trust_env=False)
    assert (page.status_code, "<title>Prefect" in page.text) == (200, True), found[0]
    return found[1]


def _assert_converted(machine: Machine, source: Path, flow_run: str) -> None:
    machine.wait_flow_run(flow_run, "COMPLETED", 90)
    output = source.with_suffix(".mp4")
    assert output.is_file()
    (job,) = [job for job in machine.client.jobs() if job.source == str(source)]
    assert (job.status, job.attempts, job.flow_run) == ("done", 1, flow_run)


def test_prefects_own_deploy_and_run_convert_a_file(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    told = dict(re.findall(r"(PREFECT_\w+)=(\S+)", up.program.log))
    assert told.keys() == {"PREFECT_API_URL", "PREFECT_UI_URL"}
    assert told.items() <= machine.prefect_environment.items()
    deployed = machine.prefect("deploy", "--all", cwd=_ROOT)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    source = machine.film(system_clips["blink"], "by-prefect.avi")
    _assert_converted(machine, source, _run_deployment(machine, "convert/cpu", source))


@pytest.fixture
def process_worker(up: Up) -> Iterator[Machine]:
    """Prefect's own worker on a pool of type process, with a deployment on it."""
    machine = up.machine
    made = machine.prefect("work-pool", "create", "plain", "--type", "process")
    assert made.returncode == 0, made.stdout + made.stderr
    (machine.root / "process.yaml").write_text(_PROCESS, "utf-8")
    deployed = machine.prefect("deploy", "--all", "--prefect-file", "process.yaml")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    log = machine.root / "process-worker.log"
    argv = [str(Path(sys.executable).with_name("prefect")), "worker", "start"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [*argv, "--pool", "plain", "--type", "process"],
            env=machine.prefect_environment,
            cwd=machine.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "started" in log.read_text("utf-8"), "Prefect's worker", START_S)
        yield machine
    finally:
        worker.terminate()
        try:
            worker.wait(15)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def test_prefects_own_process_worker_converts_a_file(
    process_worker: Machine, system_clips: dict[str, Path]
) -> None:
    source = process_worker.film(system_clips["blink"], "by-process.avi")
    flow_run = _run_deployment(process_worker, "convert/plain", source)
    _assert_converted(process_worker, source, flow_run)

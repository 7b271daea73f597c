"""The worker's small parts: slots, environment, entrypoints, messages, the rhythm of polling."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures_server import node_report

from darkstream.cli.worker import describe_node
from darkstream.errors import SettingsError
from darkstream.media import capabilities
from darkstream.model.node import Hours, parse_windows
from darkstream.settings import PrefectSettings, ServerSettings, Settings, WorkerSettings
from darkstream.worker import slots
from darkstream.worker.entrypoints import read_entrypoints
from darkstream.worker.environment import make_environment, name_node
from darkstream.worker.messages import NEWS, Exited, OrderReader, Signal, Start, encode
from darkstream.worker.zone import machine_zone


@pytest.mark.parametrize(
    ("cores", "wanted", "count"),
    [(1, None, 1), (2, None, 2), (8, None, 2), (9, None, 2), (64, None, 16), (2, 5, 5)],
)
def test_slots(monkeypatch: pytest.MonkeyPatch, cores: int, wanted: int | None, count: int) -> None:
    monkeypatch.setattr(slots, "_count_cores", lambda: cores)
    assert slots.count_slots(WorkerSettings(slots=wanted)) == count


def test_places_come_from_the_settings_and_tuning_from_the_user(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        server=ServerSettings(url="http://server.example:4280"),
        worker=WorkerSettings(name="node-1"),
    )
    present = {
        "PREFECT_API_URL": "http://elsewhere/api",
        "PREFECT_CLIENT_MAX_RETRIES": "2",
        "PREFECT_API_AUTH_STRING": "node:token",
        "NO_PROXY": "example.org",
    }
    made = make_environment(settings, present)
    assert made["PREFECT_API_URL"] == "http://server.example:4280/api"
    assert made["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert made["PREFECT_RESULTS_LOCAL_STORAGE_PATH"].startswith(str(tmp_path))
    assert made["DARKSTREAM_WORKER__NAME"] == "node-1"
    assert made["NO_PROXY"] == "example.org,server.example"
    assert "PREFECT_CLIENT_MAX_RETRIES" not in made
    assert "PREFECT_API_AUTH_STRING" not in made
    assert make_environment(settings, {})["PREFECT_CLIENT_MAX_RETRIES"] == "6"


def test_a_prefect_of_ones_own_is_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, prefect=PrefectSettings(api_url="http://mine:4200/api"))
    assert make_environment(settings, {})["PREFECT_API_URL"] == "http://mine:4200/api"


def test_the_node_has_a_name_that_prefect_takes(tmp_path: Path) -> None:
    assert name_node(Settings(home=tmp_path)) == socket.gethostname()
    with pytest.raises(SettingsError, match="DARKSTREAM_WORKER__NAME"):
        name_node(Settings(home=tmp_path, worker=WorkerSettings(name="a/b")))


def test_entrypoints_of_prefect_yaml(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(
        "deployments:\n"
        "- {name: cpu, entrypoint: flows.convert.convert}\n"
        "- {name: gpu, entrypoint: flows.convert.convert}\n"
        "- {name: control, entrypoint: flows.scan_library.scan_library}\n",
        encoding="utf-8",
    )
    found = read_entrypoints(path)
    assert found == ("flows.convert.convert", "flows.scan_library.scan_library")
    path.write_text("", encoding="utf-8")
    assert read_entrypoints(path) == ()


def test_orders_arrive_whole_however_they_are_cut() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        start = Start(flow_run="a", entrypoint=None, directory="/x", environment={"A": "\n\u00e9"})
        sent = encode(start) + encode(Signal(flow_run="a", number=15))
        reader = OrderReader(theirs)
        ours.sendall(sent[:10])
        assert reader.read() == []
        ours.sendall(sent[10:])
        assert reader.read() == [start, Signal(flow_run="a", number=15)]
        ours.close()
        assert reader.read() is None


def test_news_say_what_they_are() -> None:
    news = Exited(flow_run="a", code=-9)
    assert NEWS.validate_json(encode(news)) == news


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def test_the_entrance_is_cheap() -> None:
    """Prefect reads its settings when it is imported: serve() sets them before."""
    code = "import sys, darkstream.worker.main as m; print([n in sys.modules for n in (%s)])"
    assert run_python(code % "'prefect', 'anyio', 'sqlalchemy'") == "[False, False, False]"


def test_prefect_finds_the_type_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    code = (
        "from prefect.workers.base import BaseWorker\n"
        "print(BaseWorker.get_worker_class_from_type('darkstream').__name__)"
    )
    assert run_python(code) == "DarkstreamWorker"


def test_the_zone_of_a_machine_is_found_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    zones = tmp_path / "zoneinfo" / "Asia"
    zones.mkdir(parents=True)
    (zones / "Tokyo").write_bytes(b"")
    (tmp_path / "localtime").symlink_to(zones / "Tokyo")
    monkeypatch.setenv("TZ", ":Europe/Berlin")
    assert machine_zone(str(tmp_path / "localtime")) == "Europe/Berlin"
    monkeypatch.delenv("TZ")
    assert machine_zone(str(tmp_path / "localtime")) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "XYZ-2")
    time.tzset()
    try:
        assert machine_zone(str(tmp_path / "gone")) == "Etc/GMT-2"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_worker_tells_its_hours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = node_report().capabilities
    monkeypatch.setattr(capabilities, "detect_capabilities", lambda *_where: known)
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    def hours(**worker: str) -> Hours | None:
        return describe_node(
            Settings(home=tmp_path, worker=WorkerSettings.model_validate(worker))
        ).hours

    nights = parse_windows("22:00-06:00")
    assert hours() is None
    assert hours(windows="22:00-06:00") == Hours(windows=nights, zone="Asia/Tokyo")
    told = hours(windows="22:00-06:00", time_zone="Europe/Berlin")
    assert told == Hours(windows=nights, zone="Europe/Berlin")

"""Who is told: signed, at least once, also when nobody listened at first."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fixtures_server import wait_until
from fixtures_system import Up
from standardwebhooks.webhooks import Webhook


class _Receiver(BaseHTTPRequestHandler):
    heard: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def _listening(url: str) -> Iterator[list[tuple[dict[str, str], bytes]]]:
    heard: list[tuple[dict[str, str], bytes]] = []
    receiver = type("Receiver", (_Receiver,), {"heard": heard})
    with HTTPServer(("127.0.0.1", urlsplit(url).port or 0), receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()


def test_ends_of_jobs_and_scans_are_told_also_to_who_was_away(
    up: Up, system_clips: dict[str, Path]
) -> None:
    machine = up.machine
    (machine.films / "told").mkdir()
    machine.film(system_clips["blink"], "told/film.avi")
    added = machine.type(
        *("library", "add", "told", str(machine.films / "told"), "--preset", "slow"),
        *("--to", str(machine.out / "told")),
    )
    assert added.returncode == 0, added.stderr
    scanned = machine.type("scan", "told")
    assert scanned.returncode == 0, scanned.stderr
    (job,) = machine.client.jobs(library="told")
    up.program.wait_log("webhook_failed", 30)
    hook = Webhook(machine.environment["DARKSTREAM_NOTIFY__WEBHOOK_SECRET"])
    with _listening(machine.environment["DARKSTREAM_NOTIFY__WEBHOOK_URL"]) as heard:

        def told() -> dict[str, Any] | None:
            events = {}
            for headers, body in list(heard):
                hook.verify(body, headers)
                event = json.loads(body)
                if event["data"].get("job") == job.id or event["data"].get("scan") == job.scan:
                    events[event["type"]] = event["data"]
            return events if events.keys() == {"job.ended", "scan.ended"} else None

        events = wait_until(told, "both events", 60)
    assert events["job.ended"]["status"] == "done"

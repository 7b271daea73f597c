"""Who is told: signed, at least once, also when nobody listened at first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fixtures_server import wait_until
from fixtures_system import Up
from fixtures_webhooks import listening
from standardwebhooks.webhooks import Webhook


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
    with listening(machine.environment["DARKSTREAM_NOTIFY__WEBHOOK_URL"]) as heard:

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

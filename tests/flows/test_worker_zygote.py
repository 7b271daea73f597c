"""The zygote with the flows of prefect.yaml: one thread, all loaded, from any directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HATCH = """
import json, os, sys
from darkstream.settings import Settings
from darkstream.worker.environment import adopt_environment
adopt_environment(Settings())
import darkstream.worker.kind
from darkstream.worker.entrypoints import read_entrypoints
from darkstream.worker.hatching import fork_zygote
hatched = fork_zygote(read_entrypoints())
with hatched.end.makefile("rb") as news:
    ready = json.loads(news.readline())
hatched.end.close()
os.waitpid(hatched.pid, 0)
print(json.dumps(ready))
"""

THREADED = """
import threading
import darkstream.worker.kind
from darkstream.worker.hatching import fork_zygote
threading.Thread(target=threading.Event().wait, daemon=True).start()
fork_zygote([])
"""


def _python(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DARKSTREAM_HOME": str(tmp_path / "home")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_our_flows_are_loaded_in_one_thread(tmp_path: Path) -> None:
    done = _python(HATCH, tmp_path)
    assert done.returncode == 0, done.stderr
    ready = json.loads(done.stdout)
    assert ready["failed"] == {}
    assert set(ready["loaded"]) == {
        "flows.convert.convert",
        "flows.scan_library.scan_library",
        "flows.maintain.maintain",
        "flows.settle.settle",
        "flows.analyse.analyse",
        "flows.encode_chunks.encode_chunks",
    }
    assert ready["threads"] == 1


def test_a_process_with_threads_is_not_forked(tmp_path: Path) -> None:
    done = _python(THREADED, tmp_path)
    assert done.returncode == 1
    assert "before the first thread" in done.stderr


def test_a_flow_whose_import_starts_a_thread_is_not_forked(tmp_path: Path) -> None:
    """A fork of several threads may hang for ever: the run is refused, with the reason."""
    (tmp_path / "busy_flows.py").write_text(
        "import threading\nfrom prefect import flow\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "@flow\ndef busy():\n    pass\n"
    )
    code = HATCH.replace("read_entrypoints()", "['busy_flows.busy']").replace(
        "    ready = json.loads(news.readline())\n",
        "    news.readline()\n"
        "    order = {'kind': 'start', 'flow_run': 'run', 'entrypoint': 'busy_flows.busy',\n"
        "             'directory': '/', 'environment': {}}\n"
        "    hatched.end.sendall(json.dumps(order).encode() + b'\\n')\n"
        "    ready = json.loads(news.readline())\n",
    )
    done = _python(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}", tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["kind"] == "not_started"
    assert "2 threads" in answer["reason"]

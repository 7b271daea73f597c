"""What Prefect and the flow processes find in their environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from darkstream.errors import SettingsError

if TYPE_CHECKING:
    from darkstream.settings import Settings

_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Waits of 2 + 4 + 8 + 16 + 32 + 64 s: an encode outlives two minutes without a server.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    # Seven lines a file that say nothing; the flow run says how each file ended.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "5",
    # One request less for each client of each flow run; the worker is of the same version.
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}


def name_node(settings: Settings) -> str:
    """The name this node is known by; raises SettingsError where Prefect could not use it."""
    name = settings.worker.name or socket.gethostname()
    if not name or "/" in name or "%" in name:
        raise SettingsError(
            f"the node's name {name!r} cannot be used: set DARKSTREAM_WORKER__NAME to a name "
            "without '/' and '%'"
        )
    return name


def make_environment(settings: Settings, present: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment `present` before Prefect is imported.

    Where state and servers are comes from the settings alone; what only tunes Prefect yields to
    what the user has set. PREFECT_API_AUTH_STRING is left as it is.
    """
    prefect_home = settings.home / "prefect"
    return {
        **{name: value for name, value in _DEFAULTS.items() if name not in present},
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(prefect_home / "results"),
        "DARKSTREAM_HOME": str(settings.home),
        "DARKSTREAM_SERVER__URL": settings.server_url,
        "DARKSTREAM_WORKER__NAME": name_node(settings),
        **_bypass_proxies(settings, present),
    }


def _bypass_proxies(settings: Settings, present: Mapping[str, str]) -> dict[str, str]:
    """Keep a proxy, which is for the internet, away from our own servers."""
    hosts = {urlsplit(url).hostname for url in (settings.server_url, settings.prefect_api_url)}
    former = present.get("NO_PROXY") or present.get("no_proxy") or ""
    names = [name for name in former.split(",") if name]
    names += sorted(host for host in hosts if host and host not in names)
    return {"NO_PROXY": ",".join(names), "no_proxy": ",".join(names)}


def adopt_environment(settings: Settings) -> None:
    """Set it for this process and all its children; call it before Prefect is imported."""
    os.environ.update(make_environment(settings, os.environ))
    os.makedirs(os.environ["PREFECT_HOME"], exist_ok=True)

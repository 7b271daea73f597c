"""Which flows the zygote loads: those of the deployments in prefect.yaml."""

from __future__ import annotations

from pathlib import Path

import yaml


def read_entrypoints(path: Path | None = None) -> tuple[str, ...]:
    """The entrypoints of all deployments of prefect.yaml, each once; none without that file."""
    path = path or _find_prefect_yaml()
    if path is None:
        return ()
    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    entries = document.get("deployments") or []
    return tuple(dict.fromkeys(entry["entrypoint"] for entry in entries if "entrypoint" in entry))


def _find_prefect_yaml() -> Path | None:
    """In an installation it lies in the package, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    for path in (package / "prefect.yaml", package.parent / "prefect.yaml"):
        if path.is_file():
            return path
    return None

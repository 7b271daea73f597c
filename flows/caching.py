"""Prefect cache keys of the steps whose result follows from content, tools and preset alone."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

from blake3 import blake3
from pydantic import TypeAdapter

from darkstream import __version__
from darkstream.model.media import MediaInfo, ValidationReport
from darkstream.model.plan import Decision
from darkstream.planning.plan import PLANNER
from darkstream.stages.attempt import Attempt

PREFIX = "darkstream-"
"""Every result these keys name is stored in a file that begins so; `maintain` clears old ones."""


_SHAPE = str(TypeAdapter(tuple[MediaInfo, ValidationReport, Decision]).json_schema())
"""What results look like: those another state of the code left are never read as ours."""


def probe_key(_context: object, parameters: dict[str, Any]) -> str:
    """Content and prober."""
    return _key("probe", *_looked_at(parameters["attempt"]))


def measure_key(_context: object, parameters: dict[str, Any]) -> str:
    """Content, the ffmpeg that decodes it, and what is asked."""
    attempt: Attempt = parameters["attempt"]
    rule = attempt.claim.preset.video
    asked = "" if rule is None else rule.fields
    return _key("measure", *_looked_at(attempt), attempt.tools.capabilities.build, asked)


def validate_key(_context: object, parameters: dict[str, Any]) -> str:
    """What probing depends on, the rules, and how thoroughly it is looked over."""
    attempt: Attempt = parameters["attempt"]
    return _key("validate", *_looked_at(attempt), PLANNER, *_level(attempt))


def plan_key(_context: object, parameters: dict[str, Any]) -> str:
    """What validation depends on, damage seen since, the preset, and what this node can do."""
    attempt: Attempt = parameters["attempt"]
    preset = attempt.claim.preset.model_dump_json()
    able = attempt.tools.capabilities.model_dump_json()
    failed = [f"{name} {finding.message}" for name, finding in attempt.failed.items()]
    told = (parameters["damage"], _mark(attempt), *_level(attempt), *failed)
    return _key("plan", *_looked_at(attempt), PLANNER, preset, able, *told)


def search_key(_context: object, parameters: dict[str, Any]) -> str:
    """Content, and the plan with its targets, which names the ffmpeg build."""
    attempt: Attempt = parameters["attempt"]
    return _key("search", *_looked_at(attempt), parameters["decision"])


def inspect_key(_context: object, parameters: dict[str, Any]) -> str:
    """Content and the ffmpeg that decodes it."""
    attempt: Attempt = parameters["attempt"]
    return _key("inspect", *_looked_at(attempt), attempt.tools.capabilities.build)


def _mark(attempt: Attempt) -> str:
    """What stat says of the image that the preset draws: another image is another plan."""
    overlay = attempt.claim.preset.overlay
    if overlay is None or overlay.image is None or not os.path.exists(overlay.image):
        return ""
    found = os.stat(overlay.image)
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _level(attempt: Attempt) -> tuple[str, ...]:
    """How thoroughly a source is looked over, and the ffmpeg that decodes it then."""
    level, build = attempt.level, attempt.tools.capabilities.build
    return (level,) if level in {"headers", "quick"} else (level, build)


def _looked_at(attempt: Attempt) -> tuple[str, ...]:
    limits = str(attempt.tools.settings.media.max_pixels)
    return attempt.content, __version__, _SHAPE, version("av"), limits


def _key(step: str, *parts: str) -> str:
    return f"{PREFIX}{step}-{blake3(chr(0).join(parts).encode()).hexdigest()}"

"""Snapshots of plans and commands.

`python tests/golden/golden_plans.py` writes tests/golden/plans anew from tests/golden/media;
`python tests/golden/golden_plans.py MEDIA_DIR` first probes the files of those names again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent))

from fixtures_planning import proved  # noqa: E402 - the tests' fixtures are beside this directory

from darkstream.media.command import convert_command  # noqa: E402
from darkstream.media.process import shell_quote  # noqa: E402
from darkstream.model.media import MediaInfo  # noqa: E402
from darkstream.model.plan import EncodePlan  # noqa: E402
from darkstream.planning import fingerprint, make_plan, validate  # noqa: E402
from darkstream.planning.presets import load_preset  # noqa: E402

MEDIA = sorted((_HERE / "media").glob("*.json"))
PRESETS = ("web", "archive", "hevc", "webm", "abr")


def snapshot(path: Path) -> dict[str, Any]:
    """Decision and command of one file for each preset."""
    media = MediaInfo.model_validate_json(path.read_bytes())
    return {preset: _decide(media, preset) for preset in PRESETS}


def _decide(media: MediaInfo, preset: str) -> dict[str, Any]:
    decision = make_plan(media, load_preset(preset), proved(), validate(media))
    found: dict[str, Any] = {"decision": decision.decision, "reason": decision.reason}
    if isinstance(decision, EncodePlan):
        argv = convert_command(
            decision,
            program=b"ffmpeg",
            source=b"/library/source",
            directory=b"/work/job",
            max_pixels=67_108_864,
        )
        found["fingerprint"] = fingerprint(decision)
        found["argv"] = shell_quote(argv)
    found["plan"] = decision.model_dump(mode="json", exclude_defaults=True)
    return found


def plan_path(media: Path) -> Path:
    """Where the snapshot of a media description lies."""
    return _HERE / "plans" / media.name


def _probe_again(directory: Path) -> None:
    from darkstream.media.probe import Prober
    from darkstream.settings import MediaSettings

    with Prober(MediaSettings()) as prober:
        for path in MEDIA:
            found = prober.probe(os.fsencode(directory / path.stem))
            values = found.model_dump(mode="json", exclude_defaults=True)
            path.write_text(json.dumps(values, indent=1) + "\n")


def main() -> None:
    """Write everything anew."""
    if len(sys.argv) > 1:
        _probe_again(Path(sys.argv[1]))
    for path in MEDIA:
        plan_path(path).write_text(json.dumps(snapshot(path), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""Snapshots of plans and commands.

`python tests/golden/golden_plans.py` writes tests/golden/plans anew from tests/golden/media;
`python tests/golden/golden_plans.py MEDIA_DIR` first probes all files there again.
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

from darkstream.errors import SourceRejected  # noqa: E402
from darkstream.media.command import convert_command  # noqa: E402
from darkstream.media.hdr10plus import find_kept  # noqa: E402
from darkstream.media.probe import Prober  # noqa: E402
from darkstream.media.process import shell_quote  # noqa: E402
from darkstream.model.media import MediaInfo  # noqa: E402
from darkstream.model.plan import EncodePlan  # noqa: E402
from darkstream.planning import fingerprint, make_plan, validate  # noqa: E402
from darkstream.planning.presets import load_preset  # noqa: E402
from darkstream.settings import MediaSettings  # noqa: E402

MEDIA = sorted((_HERE / "media").glob("*.json"))
MADE = sorted((_HERE / "made").glob("*.json"))
"""What probing found in clips that only tests make."""
PRESETS = ("web", "archive", "hevc", "webm", "abr", "edit", "lossless")


def snapshot(path: Path) -> dict[str, Any]:
    """Decision and command of one file for each preset; a file that cannot be probed has one."""
    found = json.loads(path.read_bytes())
    if "refused" in found:
        return {"decision": "reject", "reason": found["refused"]}
    media = MediaInfo.model_validate(found)
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
            hdr10plus=None if find_kept(decision) is None else b"/work/job/hdr10plus.json",
            max_pixels=67_108_864,
        )
        found["fingerprint"] = fingerprint(decision)
        found["argv"] = shell_quote(argv)
    found["plan"] = decision.model_dump(mode="json", exclude_defaults=True)
    return found


def plan_path(media: Path) -> Path:
    """Where the snapshot of a media description lies."""
    return _HERE / "plans" / media.name


def probe(prober: Prober, source: Path) -> dict[str, Any]:
    """What is kept of a file in tests/golden/media."""
    try:
        media = prober.probe(os.fsencode(source))
    except SourceRejected as refusal:
        return {"refused": str(refusal)}
    values: dict[str, Any] = media.model_dump(mode="json", exclude_defaults=True)
    return values


def _probe_again(directory: Path) -> None:
    manifest = json.loads((directory / "MANIFEST.json").read_text())
    with Prober(MediaSettings()) as prober:
        for name in (entry["file"] for entry in manifest):
            found = probe(prober, directory / name)
            path = _HERE / "media" / f"{name}.json"
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Write everything anew."""
    if len(sys.argv) > 1:
        _probe_again(Path(sys.argv[1]))
    for path in (*MEDIA, *MADE):
        plan_path(path).write_text(json.dumps(snapshot(path), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""Snapshots of the commands of every family of hardware encoders.

`python tests/golden/golden_hardware.py` writes tests/golden/hardware.json anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent))

from fixtures_planning import (  # noqa: E402 - the tests' fixtures are beside this directory
    media_info,
    proved,
    video_stream,
)

from darkstream.media.command import convert_command  # noqa: E402
from darkstream.media.process import shell_quote  # noqa: E402
from darkstream.model.media import Colour  # noqa: E402
from darkstream.model.plan import EncodePlan  # noqa: E402
from darkstream.planning import make_plan, validate  # noqa: E402
from darkstream.planning.hardware import FAMILIES  # noqa: E402
from darkstream.planning.presets import load_preset  # noqa: E402

PATH = _HERE / "hardware.json"
_HDR = Colour(primaries="bt2020", transfer="smpte2084", matrix="bt2020nc", range="tv")
_SHOTS = ("file", "deep", "ladder")


def snapshot() -> dict[str, dict[str, str]]:
    """By encoder: the command for a file, one in ten bits and HDR, and a ladder."""
    return {
        encoder: {
            shot: _command(encoder, codec, shot)
            for shot in _SHOTS
            if shot != "deep" or codec in family.deep
        }
        for family in FAMILIES.values()
        for codec, encoder in family.encoders.items()
    }


def _command(encoder: str, codec: str, shot: str) -> str:
    preset = load_preset("abr" if shot == "ladder" else "archive")
    assert preset.video is not None
    changes: dict[str, object] = {"codec": codec, "hardware": "require", "quality": None}
    changes |= {"speed": None, "copy_codecs": ()}
    if shot == "deep":
        changes |= {"bit_depth": 10, "hdr": "keep"}
    rule = type(preset.video).model_validate(preset.video.model_dump() | changes)
    preset = preset.model_copy(update={"video": rule})
    stream = video_stream(width=1920, height=1080, codec="mpeg2video")
    if shot == "deep":
        deep = {"pix_fmt": "yuv420p10le", "bit_depth": 10, "colour": _HDR, "hdr": "hdr10"}
        stream = stream.model_copy(update=deep)
    media = media_info(stream)
    plan = make_plan(media, preset, proved(encoder), validate(media))
    assert isinstance(plan, EncodePlan)
    argv = convert_command(
        plan,
        program=b"ffmpeg",
        source=b"/library/source",
        directory=b"/work/job",
        max_pixels=67_108_864,
    )
    return shell_quote(argv)


def main() -> None:
    """Write it anew."""
    PATH.write_text(json.dumps(snapshot(), indent=1) + "\n")


if __name__ == "__main__":
    main()

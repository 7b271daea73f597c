"""Every real file of the shared collection, from source to presentation.

`pytest -m shared_media tests/media/test_encode_shared_media.py`; DARKSTREAM_TEST_MEDIA names it.
"""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from fixtures_planning import Walked, Walker, shared_media

from darkstream.planning.presets import load_preset

pytestmark = pytest.mark.shared_media

_DEFAULT = Path(__file__).parents[3] / "shared" / "media"
_DIRECTORY = Path(os.environ.get("DARKSTREAM_TEST_MEDIA", _DEFAULT))
_MANIFEST: list[dict[str, Any]] = (
    json.loads((_DIRECTORY / "MANIFEST.json").read_text())
    if (_DIRECTORY / "MANIFEST.json").exists()
    else []
)
_OTHERS = (
    "hevc_hdr10_pq_1080p.mp4",
    "attachments_fonts_ass.mkv",
    "multi_audio_langs_srt.mkv",
    "sub_pgs.mkv",
    "cover_art_attached_pic.mp4",
    "vp9_odd_161x121.webm",
    "h264_rotate_and_reflect.mp4",
    "one_frame_mpeg4.mp4",
    "vfr_slow_motion.mp4",
    "aac_ac3_two_tracks_no_video.mp4",
)


def test_the_collection_is_there() -> None:
    assert (shared_media() / "MANIFEST.json").exists()
    assert len(_MANIFEST) >= 60


@pytest.mark.parametrize("entry", _MANIFEST, ids=lambda entry: entry["file"])
def test_web(walker: Walker, tmp_path: Path, entry: dict[str, Any]) -> None:
    done = walker.walk(_DIRECTORY / entry["file"], "web", tmp_path)
    if entry["expect"] == "reject":
        assert done.status == "rejected"
        assert done.reason
    elif entry["expect"] == "repairable":
        assert done.status == "rejected" or done.findings
        assert done.status != "skipped"
    elif done.status == "skipped":
        assert set(entry["codecs"]) <= {"h264", "aac"}
        assert "MP4 with H.264" in done.reason
    else:
        assert done.status == "done", done.reason
        _check_times(_DIRECTORY / entry["file"], done)


@pytest.mark.parametrize("preset", ["archive", "hevc", "webm", "abr"])
@pytest.mark.parametrize("name", _OTHERS)
def test_other_presets(walker: Walker, tmp_path: Path, name: str, preset: str) -> None:
    wish = load_preset(preset).model_copy(update={"guards": load_preset("web").guards})
    done = walker.walk(_DIRECTORY / name, wish, tmp_path)
    assert done.status in {"done", "skipped"}, done.reason


def _check_times(source: Path, done: Walked) -> None:
    """Every picture is shown when it was, to the tick of the coarser clock."""
    assert done.presentation is not None
    assert done.plan is not None
    if not done.plan.renditions:
        return
    before = _times(os.fsencode(source), done.plan.renditions[0].source_index)
    after = _times(done.presentation.path, None)
    assert abs(len(before) - len(after)) <= 1
    for old, new in zip(before, after, strict=False):
        assert abs((old - before[0]) - (new - after[0])) <= Fraction(1, 1000)


def _times(path: bytes, index: int | None) -> list[Fraction]:
    import av

    with av.open(os.fsdecode(path)) as container:
        stream = container.streams[index] if index is not None else container.streams.video[0]
        frames = container.decode(stream)
        return [f.pts * f.time_base for f in frames if f.pts is not None and f.time_base]

"""Presentations played from start to end by the players that people use, in headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from fixtures_browser import lay_out, reach, served
from fixtures_planning import Clips, Walker

from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.planning.presets import load_preset

SECONDS = 8
LOW = Rung(height=120, max_bit_rate=300_000)
KEYS = 2
"""The number of the key frames' track, behind one of video and one of sound."""
CUES = "1\n00:00:00,500 --> 00:00:06,000\nOne\n"


def preset(codec: str, audio: str) -> Preset:
    base = load_preset("abr")
    assert base.video is not None
    rungs = (Rung(height=240, max_bit_rate=900_000), LOW)
    rule = PackageRule(kind="abr", ladder=rungs, segment_seconds=Fraction(2))
    changed = {"codec": codec, "quality": None, "speed": None}
    return base.model_copy(
        update={
            "package": rule,
            "video": base.video.model_copy(update=changed),
            "audio": base.audio.model_copy(update={"codec": audio}),
        }
    )


@pytest.fixture(scope="module")
def site(
    walker: Walker, clips: Clips, players: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Presentations of each pair of codecs, the players, and the page, on loopback alone."""
    root = tmp_path_factory.mktemp("site")
    lay_out(root, players)
    (root / "cues.srt").write_text(CUES)
    source = clips.make(
        "played.mkv",
        *("-i", str(clips.plain("eight.mp4", seconds=SECONDS)), "-i", str(root / "cues.srt")),
        *("-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1:s", "-c", "copy"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=jpn"),
        *("-metadata:s:s:0", "language=deu"),
    )
    # As phones make them: held upright, by the clock of the camera, the sound before the picture.
    upright = clips.make(
        "upright.mkv",
        *("-i", str(source), "-map", "0", "-c:a", "copy", "-c:s", "copy"),
        *("-vf", "transpose,setpts=PTS+(0.08+0.004*mod(N*N\\,5))/TB", "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-preset", "veryfast"),
    )
    rule = PackageRule(kind="abr", ladder=(LOW,), segment_seconds=Fraction(1))
    keys = preset("h264", "aac").model_copy(update={"package": rule})
    done = walker.walk(clips.plain("nine.mp4", seconds=9), keys, root / "work" / "keys")
    assert done.presentation is not None, done.reason
    shutil.copytree(os.fsdecode(done.presentation.path), root / "keys")
    for name, (codec, audio) in PRESENTATIONS.items():
        given = upright if name == "upright" else source
        wish = preset(codec, audio)
        if name == "beside":
            # Chromium plays no E-AC-3: players must find the group that it can play.
            sound = wish.audio.model_copy(update={"beside_codec": "eac3"})
            wish = wish.model_copy(update={"audio": sound})
        done = walker.walk(given, wish, root / "work" / name)
        assert done.presentation is not None, done.reason
        shutil.copytree(os.fsdecode(done.presentation.path), root / name)
    with served(root) as address:
        yield address


PRESENTATIONS = {
    "h264": ("h264", "aac"),
    "vp9": ("vp9", "opus"),
    "av1": ("av1", "opus"),
    "upright": ("h264", "aac"),
    "beside": ("h264", "aac"),
}
HEIGHTS = {"upright": (320, 160)}
MANIFESTS = {
    "hls": ["master.m3u8"],
    "dash": ["manifest.mpd"],
    "shaka": ["manifest.mpd", "master.m3u8"],
}
PLAYED = [
    (kind, manifest, name)
    for name in PRESENTATIONS
    for kind, manifests in MANIFESTS.items()
    for manifest in manifests
]


def test_shaka_shows_the_key_frames_alone_while_it_goes_fast(browser: Any, site: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    try:
        page.goto(f"{site}/play.html")
        page.add_script_tag(url=f"{site}/shaka.js")
        page.evaluate("([kind, url]) => start(kind, url)", ["shaka", f"{site}/keys/manifest.mpd"])
        page.evaluate("play()")
        reach(page, "video.currentTime > 0.2")
        keys = f"seg-{KEYS}-"
        assert not [name for name in asked if name.startswith(keys)]
        page.evaluate("player.fast(4)")
        reach(page, "video.currentTime > 6")
        assert [name for name in asked if name.startswith(keys)]
        page.evaluate("player.fast(1)")
        reach(page, "ended")
    finally:
        page.close()


@pytest.mark.parametrize(("kind", "manifest", "name"), PLAYED)
def test_it_is_played_to_its_end_with_seeks_and_level_switches(
    browser: Any, site: str, kind: str, manifest: str, name: str
) -> None:
    high, low = HEIGHTS.get(name, (240, 120))
    page = browser.new_page()
    try:
        page.goto(f"{site}/play.html")
        page.add_script_tag(url=f"{site}/{kind}.js")
        page.evaluate("([kind, url]) => start(kind, url)", [kind, f"{site}/{name}/{manifest}"])
        assert set(page.evaluate("player.levels()")) == {high, low}
        page.evaluate("play()")
        # hls.js 1.7.4 may stand still for good where a level is chosen before anything is buffered.
        reach(page, "video.currentTime > 0.2")
        page.evaluate(f"player.choose({high})")
        reach(page, f"video.videoHeight === {high} && video.currentTime > 0.5")
        for height, place in ((high, 1), (low, 4), (high, 1)):
            page.evaluate(f"video.currentTime = {place}")
            reach(page, f"!video.seeking && video.currentTime > {place} + 0.1")
            page.evaluate(f"player.choose({height})")
            reach(page, f"video.videoHeight === {height}")
        if kind != "dash":
            # dash.js 5.2.1 stands still where both come at once, with the segments in its buffer.
            page.evaluate(f"video.currentTime = 3; player.choose({low})")
            reach(page, f"video.videoHeight === {low} && video.currentTime > 3.1")
        tracks = page.evaluate("player.tracks()")
        assert {language[:2] for language in tracks["audio"]} == {"en", "ja"}
        assert {language[:2] for language in tracks["text"]} == {"de"}
        page.evaluate("video.playbackRate = 2")
        reach(page, "ended")
        state = page.evaluate("state()")
        assert state["errors"] == []
        assert abs(state["duration"] - SECONDS) < 0.2
    finally:
        page.close()

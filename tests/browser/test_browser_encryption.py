"""Encrypted presentations played to their end in headless Chromium, keys served on loopback."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from fixtures_browser import Quiet, lay_out, reach, served
from fixtures_planning import Clips, Walker

from darkstream.keys.directory import DirectoryKeys
from darkstream.model.base import ContentId
from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.planning.presets import load_preset

SECONDS = 8
CUES = "1\n00:00:00,500 --> 00:00:06,000\nOne\n"


@dataclass
class Site:
    """Where presentations and keys are served, and what was asked for."""

    address: str
    asked: list[str] = field(default_factory=list)
    closed: bool = False


@pytest.fixture(scope="module")
def site(
    walker: Walker, clips: Clips, players: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A presentation of each scheme; keys lie apart, and two routes give them out."""
    root, keys = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("keys")
    lay_out(root, players)
    site = Site("")

    class WithKeys(Quiet):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/keys/")
            if name == self.path:
                super().do_GET()
            else:
                self._give("key", (keys / name).read_bytes())

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = []
            for kid in asked["kids"]:
                name = base64.urlsafe_b64decode(kid + "==").hex()
                secret = (keys / f"{name}.key").read_bytes()
                text = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
                found.append({"kty": "oct", "kid": kid, "k": text})
            self._give("license", json.dumps({"keys": found, "type": "temporary"}).encode())

        def _give(self, what: str, data: bytes) -> None:
            site.asked.append(what)
            if site.closed:
                self.send_error(403)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with served(root, WithKeys) as address:
        site.address = address
        (root / "cues.srt").write_text(CUES)
        source = clips.make(
            "encrypted-played.mkv",
            *("-i", str(clips.plain("eight.mp4", seconds=SECONDS)), "-i", str(root / "cues.srt")),
            *("-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1:s", "-c", "copy"),
            *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=jpn"),
            *("-metadata:s:s:0", "language=deu"),
        )
        key = DirectoryKeys(keys).key_of(ContentId("c" * 64))
        for scheme in ("cenc", "aes-128"):
            wish = preset(scheme, address)
            done = walker.walk(
                source, wish, root.with_name(f"work-{scheme}"), key=key, speed="fast"
            )
            assert done.presentation is not None, done.reason
            shutil.copytree(os.fsdecode(done.presentation.path), root / scheme)
        yield site


def preset(scheme: str, address: str) -> Preset:
    rule = PackageRule.model_validate(
        {
            "kind": "abr",
            "ladder": (
                Rung(height=240, max_bit_rate=900_000),
                Rung(height=120, max_bit_rate=300_000),
            ),
            "segment_seconds": Fraction(2),
            "encryption": scheme,
            "dash": scheme == "cenc",
            "key_uri": f"{address}/keys/{{key_id}}.key",
            "license_uri": f"{address}/license" if scheme == "cenc" else None,
        }
    )
    return load_preset("abr").model_copy(update={"package": rule})


def start(page: Any, site: Site, kind: str, place: str) -> None:
    site.asked.clear()
    page.goto(f"{site.address}/play.html")
    page.add_script_tag(url=f"{site.address}/{kind}.js")
    license_uri = f"{site.address}/license" if place.startswith("cenc") else None
    options = [kind, f"{site.address}/{place}", license_uri]
    page.evaluate("([kind, url, license]) => start(kind, url, license)", options)


PLAYED = [
    ("hls", "aes-128/master.m3u8", "key"),
    ("shaka", "aes-128/master.m3u8", "key"),
    ("dash", "cenc/manifest.mpd", "license"),
    ("shaka", "cenc/manifest.mpd", "license"),
    ("hls", "cenc/master.m3u8", "license"),
    ("shaka", "cenc/master.m3u8", "key"),
]


@pytest.mark.parametrize(("kind", "place", "given"), PLAYED)
def test_it_is_played_to_its_end_with_its_key(
    browser: Any, site: Site, kind: str, place: str, given: str
) -> None:
    page = browser.new_page()
    try:
        start(page, site, kind, place)
        assert set(page.evaluate("player.levels()")) == {240, 120}
        # Not switched before it begins: hls.js 1.7.4 may lose a segment whose key it waits for.
        page.evaluate("play()")
        reach(page, "video.currentTime > 0.5")
        for height, second in ((240, 1), (120, 4), (240, 1)):
            page.evaluate(f"video.currentTime = {second}")
            reach(page, f"!video.seeking && video.currentTime > {second} + 0.1")
            page.evaluate(f"player.choose({height})")
            reach(page, f"video.videoHeight === {height}")
        tracks = page.evaluate("player.tracks()")
        assert {language[:2] for language in tracks["audio"]} == {"en", "ja"}
        assert {language[:2] for language in tracks["text"]} == {"de"}
        page.evaluate("video.playbackRate = 2")
        reach(page, "ended || video.currentTime >= video.duration - 0.04")
        state = page.evaluate("state()")
        assert state["errors"] == []
        assert abs(state["duration"] - SECONDS) < 0.1
        assert set(site.asked) == {given}
        assert page.evaluate("video.mediaKeys !== null") == place.startswith("cenc")
    finally:
        page.close()


@pytest.mark.parametrize(("kind", "place", "given"), PLAYED)
def test_nothing_is_shown_to_who_gets_no_key(
    browser: Any, site: Site, kind: str, place: str, given: str
) -> None:
    from playwright.sync_api import Error

    page = browser.new_page()
    site.closed = True
    try:
        try:
            start(page, site, kind, place)
            page.evaluate("play()")
            page.wait_for_function("() => errors.length", timeout=20_000)
        except Error as error:
            assert "shaka 6007" in str(error) or "shaka 1001" in str(error), "it may end the load"
        assert page.evaluate("video.getVideoPlaybackQuality().totalVideoFrames") == 0
        assert given in site.asked
    finally:
        site.closed = False
        page.close()

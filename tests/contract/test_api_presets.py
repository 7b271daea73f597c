"""Templates: saved with the server, known to everybody, changed and forgotten."""

from __future__ import annotations

import pytest
from fixtures_server import RunningServer

from darkstream.client.api import Client
from darkstream.errors import Conflict, InvalidPreset, NotFound, UnknownPreset
from darkstream.model.wire import AddLibrary, SavePreset, SubmitJob

TINY = "name: tiny\nextends: web\nvideo: {quality: 30}\n"


def test_a_saved_preset_is_known_to_jobs_and_libraries(client: Client) -> None:
    saved = client.save_preset("tiny", SavePreset(text=TINY))
    assert saved.video is not None
    assert saved.video.quality == 30
    assert client.preset("tiny") == saved
    listed = {one.name: one for one in client.presets()}
    assert (listed["tiny"].place, listed["tiny"].text) == ("saved", TINY)
    assert listed["web"].place == "shipped"
    assert client.submit_job(SubmitJob(source="/a.mkv", preset="tiny")).preset == "tiny"
    library = AddLibrary(name="films", root="/films", destination="/out", preset="tiny")
    assert client.add_library(library).preset == "tiny"


def test_a_saved_preset_is_replaced_only_when_told(client: Client) -> None:
    client.save_preset("tiny", SavePreset(text=TINY))
    other = TINY.replace("30", "31")
    with pytest.raises(Conflict, match="saved already"):
        client.save_preset("tiny", SavePreset(text=other))
    replaced = client.save_preset("tiny", SavePreset(text=other, replace=True))
    assert replaced.video is not None
    assert replaced.video.quality == 31


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("tiny", "name: other", "name: is 'other', not 'tiny'"),
        ("tiny", "name: tiny\nextends: wbe", "did you mean web"),
        ("tiny", "name: tiny\nextends: tiny", "no preset is called 'tiny'"),
        ("tiny", "name: [", "is not YAML"),
    ],
)
def test_what_is_no_preset_is_not_saved(client: Client, name: str, text: str, told: str) -> None:
    with pytest.raises(InvalidPreset, match=told):
        client.save_preset(name, SavePreset(text=text))
    assert name not in {one.name for one in client.presets()}


def test_a_preset_in_use_by_another_stays(client: Client) -> None:
    client.save_preset("tiny", SavePreset(text=TINY))
    client.save_preset("less", SavePreset(text="name: less\nextends: tiny"))
    with pytest.raises(Conflict, match="extended by less"):
        client.remove_preset("tiny")
    client.remove_preset("less")
    client.remove_preset("tiny")
    with pytest.raises(UnknownPreset, match="tiny"):
        client.preset("tiny")
    with pytest.raises(NotFound, match="no saved preset"):
        client.remove_preset("web")


def test_ones_own_web_extends_the_shipped_one(client: Client) -> None:
    client.save_preset("web", SavePreset(text="name: web\nextends: web\nvideo: {quality: 18}"))
    mine = client.preset("web")
    assert mine.video is not None
    assert (mine.video.quality, mine.video.codec) == (18, "h264")
    client.remove_preset("web")
    assert client.preset("web").video != mine.video


def test_a_text_is_checked_without_being_saved(client: Client, server: RunningServer) -> None:
    good = client.check_preset(SavePreset(text=TINY))
    assert good.preset is not None
    assert good.preset.name == "tiny"
    bad = client.check_preset(SavePreset(text=TINY.replace("30", "low")))
    assert bad.preset is None
    assert "video.quality" in (bad.problem or "")
    assert "tiny" not in {one.name for one in client.presets()}

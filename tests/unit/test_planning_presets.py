from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from darkstream.errors import InvalidPreset, UnknownPreset
from darkstream.planning.presets import load_preset, parse_preset, preset_names, preset_schema

SHIPPED = ("abr", "archive", "audio", "hevc", "mobile", "web", "webm")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets_load_describe_themselves_and_match_the_schema(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert preset.description
    path = Path(__file__).parents[2] / "darkstream/planning/presets" / f"{name}.yaml"
    jsonschema.validate(yaml.safe_load(path.read_text()), preset_schema())


def test_names_hold_the_shipped_ones_and_yours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ndescription: my own\n")
    (tmp_path / "broken.yaml").write_text("name: [")
    names = preset_names(tmp_path)
    assert set(names) == {*SHIPPED, "mine", "broken"}
    assert names["mine"] == "my own"
    assert "cannot be used" in names["broken"]


def test_your_preset_wins_over_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("name: web\ndescription: mine\n")
    assert load_preset("web", tmp_path).description == "mine"


@pytest.mark.parametrize(
    ("asked", "told"), [("wbe", "did you mean web"), ("qqqqqq", "there are: abr")]
)
def test_an_unknown_preset_names_the_nearest(asked: str, told: str) -> None:
    with pytest.raises(UnknownPreset, match=told):
        load_preset(asked)


def test_a_file_called_otherwise_than_its_preset_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: other\n")
    with pytest.raises(InvalidPreset, match=r"mine\.yaml: name: is 'other'"):
        load_preset("mine", tmp_path)


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidPreset, match=r"mine\.yaml: cannot be read"):
        load_preset("mine", tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", r"f\.yaml: line 1, column 8 is not YAML"),
        ("name: \x00", r"f\.yaml: is not YAML|f\.yaml: line"),
        ("- a list", "is a mapping of fields"),
        ("description: x", "name: is missing"),
        ("name: x\nvideo: {codec: h265}", r"video\.codec: Input should be 'h264'.*not 'h265'"),
        ("name: x\nvideo: {codecs: h264}", r"video\.codecs: no such field; allowed: bit_depth, co"),
        ("name: x\npackage: {ladder: [{high: 1}]}", r"ladder\.0\.high: no such field; allowed: he"),
        ("name: x\nwish: 1", "wish: no such field; allowed: audio, audio_only_container"),
        ("name: x\nvideo: {max_rate: 29.97}", "not a rational"),
        ("name: x\noutput: '{stem}{size}'", r"no field \{size\}; allowed"),
        ("name: x\noutput: '{stem'", "f.yaml: output: "),
        ("name: x\noutput: same.mp4", r"needs \{stem\} or \{job\}"),
        ("name: x\noutput: '../{stem}'", "must stay below the destination"),
        ("name: x\noutput: '/{stem}'", "must stay below the destination"),
        ("name: x\ncontainer: webm", "h264 does not go into webm; allowed: av1, vp9"),
        ("name: x\naudio: {codec: opus}", "opus does not go into m4a; allowed: aac"),
        ("name: x\ncontainer: m4a", "h264 does not go into m4a; allowed: none"),
        ("name: x\nvideo: {bit_depth: 10}", "H.264 here is 8 bit"),
        ("name: x\nvideo: {codec: hevc, hdr: keep}", "'keep' needs 10 bit"),
        ("name: x\npackage: {kind: abr}", "needs video and rungs"),
        ("name: x\nvideo: {max_rate: 1/0}", r"video\.max_rate: .*not a rational: '1/0'"),
        ("name: x\nvideo: {max_rate: 0}", r"video\.max_rate: must be more than 0"),
        ("name: x\nvideo: {keyframe_seconds: -3}", r"keyframe_seconds: must be more than 0"),
        ("name: x\npackage: {segment_seconds: 0}", r"segment_seconds: must be more than 0"),
        ("name: x\nvideo: {quality: 60}", r"video\.quality: h264 goes from 0 to 51"),
        ("name: x\nvideo: {speed: turbo}", r"video\.speed: is ultrafast, .*not 'turbo'"),
        (
            "name: x\naudio_only_container: mkv\nvideo: {codec: av1, speed: fast}",
            r"video\.speed: is a number, such as '6', not 'fast'",
        ),
        (
            "name: x\npackage: {kind: abr, hls: false, dash: false,"
            " ladder: [{height: 100, max_bit_rate: 1}]}",
            "choose hls, dash or both",
        ),
    ],
)
def test_a_mistake_names_the_file_the_field_and_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(InvalidPreset, match=told) as caught:
        parse_preset(text, "f.yaml")
    assert str(caught.value).startswith("f.yaml")
    assert "pydantic" not in str(caught.value)


def test_a_sound_preset_needs_no_video() -> None:
    assert parse_preset("name: x\nvideo: null\ncontainer: m4a", "f.yaml").video is None

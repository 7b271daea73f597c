from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from darkstream.errors import InvalidPreset, UnknownPreset
from darkstream.model.preset import QualityTarget
from darkstream.planning.presets import (
    Shelf,
    list_presets,
    load_preset,
    parse_preset,
    preset_schema,
)

SHIPPED = (*("abr", "archive", "audio", "edit", "hevc", "lossless", "mobile", "web", "webm"),)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets_load_describe_themselves_and_match_the_schema(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert preset.description
    path = Path(__file__).parents[2] / "darkstream/planning/presets" / f"{name}.yaml"
    jsonschema.validate(yaml.safe_load(path.read_text()), preset_schema())


def test_a_quality_is_a_number_or_a_target() -> None:
    aimed = parse_preset("name: x\nvideo: {quality: {vmaf: 95}}", "f.yaml")
    assert aimed.video and aimed.video.quality == QualityTarget(vmaf=95)
    fixed = parse_preset("name: x\nvideo: {quality: 20}", "f.yaml")
    assert fixed.video and fixed.video.quality == 20
    for quality in ({"vmaf": 95}, 20, None, "${crf}"):
        jsonschema.validate({"name": "x", "video": {"quality": quality}}, preset_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "video": {"quality": "low"}}, preset_schema())


def test_names_hold_the_shipped_ones_and_yours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ndescription: my own\n")
    (tmp_path / "broken.yaml").write_text("name: [")
    saved = {"kept": "name: kept\ndescription: in the catalog\n"}
    listed = {one.name: one for one in list_presets(Shelf(tmp_path, saved))}
    assert set(listed) == {*SHIPPED, "mine", "broken", "kept"}
    assert (listed["mine"].description, listed["mine"].place) == ("my own", "yours")
    assert (listed["kept"].description, listed["kept"].place) == ("in the catalog", "saved")
    assert listed["web"].place == "shipped"
    assert "is not YAML" in (listed["broken"].problem or "")


def test_a_file_that_cannot_be_used_is_told_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ndescription: my own\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "moved.yaml").write_text("name: other\n")
    (tmp_path / "numbers.yaml").write_text("1: 2\nvideo: {3: 4}\n")
    (tmp_path / "deep.yaml").write_text("name: deep\nvideo: {codec: h264, crf: 3}\n")
    shelf = Shelf(tmp_path)
    found = {one.name: one for one in list_presets(shelf)}
    assert found["mine"].description == "my own" and found["web"] in list_presets()
    for name in ("binary", "folder", "gone", "moved", "numbers", "deep"):
        assert (found[name].problem or "").startswith(f"{tmp_path / name}.yaml: ")
    assert load_preset("mine", shelf).description == "my own"


def test_your_preset_wins_over_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("name: web\ndescription: mine\n")
    assert load_preset("web", Shelf(tmp_path)).description == "mine"


@pytest.mark.parametrize(
    ("asked", "told"), [("wbe", "did you mean web"), ("qqqqqq", "there are: abr")]
)
def test_an_unknown_preset_names_the_nearest(asked: str, told: str) -> None:
    with pytest.raises(UnknownPreset, match=told):
        load_preset(asked)


def test_a_file_called_otherwise_than_its_preset_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: other\n")
    with pytest.raises(InvalidPreset, match=r"mine\.yaml: name: is 'other'"):
        load_preset("mine", Shelf(tmp_path))


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidPreset, match=r"mine\.yaml: cannot be read"):
        load_preset("mine", Shelf(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", r"f\.yaml: line 1, column 8 is not YAML"),
        ("name: \x00", r"f\.yaml: is not YAML|f\.yaml: line"),
        ("- a list", "is a mapping of fields"),
        ("description: x", "name: is missing"),
        ("name: x\nvideo: {codec: h265}", r"video\.codec: Input should be 'h264'.*not 'h265'"),
        ("name: x\nvideo: {codecs: h264}", r"video\.codecs: no such field; allowed: bit_depth, ch"),
        ("name: x\npackage: {ladder: [{high: 1}]}", r"ladder\.0\.high: no such field; allowed: he"),
        ("name: x\nwish: 1", "wish: no such field; allowed: audio, audio_only_container"),
        ("name: x\nvideo: {max_rate: 29.97}", "not a rational"),
        ("name: x\noutput: '{stem}{size}'", r"no field \{size\}; allowed"),
        ("name: x\noutput: '{stem'", "f.yaml: output: "),
        ("name: x\noutput: same.mp4", r"needs \{stem\} or \{job\}"),
        ("name: x\noutput: '../{stem}'", "must stay below the destination"),
        ("name: x\noutput: '/{stem}'", "must stay below the destination"),
        (
            "name: x\ncontainer: webm",
            r"H\.264 does not go into WebM: the nearest there is vp9 \(or av1\), or the container",
        ),
        (
            "name: x\ncontainer: mov\naudio: {codec: opus}",
            r"audio\.codec: Opus does not go into QuickTime: the nearest there is aac \(or pcm,"
            r" ac3, eac3 and mp3\), or the container mp4",
        ),
        (
            "name: x\naudio: {codec: opus}\naudio_only_container: m4a",
            r"Opus does not go into M4A: the nearest there is aac, or the container mp4",
        ),
        ("name: x\ncontainer: m4a", "m4a holds no video: choose one of mp4, mkv, mov"),
        ("name: x\ncontainer: mov\nvideo: {codec: prores}", "prores has 10 bits a sample here"),
        (
            "name: x\ncontainer: mov\nvideo: {codec: prores, bit_depth: 10, quality: 20}",
            r"video\.quality: prores has none: leave it out",
        ),
        ("name: x\nvideo: {profile: hq}", r"video\.profile: only prores has one"),
        ("name: x\nvideo: {interlaced: keep}", "only prores and ffv1 keep fields, not h264"),
        ("name: x\nvideo: {speed: '6'}", r"video\.speed: is ultrafast, .*not '6'"),
        (
            "name: x\naudio: {codec: copy}\npackage: {kind: abr, ladder: [{height: 360,"
            " max_bit_rate: 1}]}",
            "what is streamed is encoded",
        ),
        (
            "name: x\nvideo: {codec: vvc, bit_depth: 10}\npackage: {kind: abr, ladder: [{height:"
            " 360, max_bit_rate: 1}]}",
            "vvc is not streamed; allowed: h264, hevc, av1, vp9",
        ),
        (
            "extends: abr\nname: x\naudio: {beside_codec: aac}",
            r"audio\.beside_codec: aac is audio\.codec already",
        ),
        (
            "extends: abr\nname: x\naudio: {beside_codec: mp3}",
            r"beside_codec: mp3 is not streamed; allowed: aac, opus, ac3, eac3, flac",
        ),
        ("name: x\naudio: {beside_codec: eac3}", r"beside_codec: only presentations"),
        ("name: x\nvideo: {bit_depth: 10}", "H.264 here is 8 bit"),
        ("name: x\nvideo: {codec: hevc, hdr: keep}", "'keep' needs 10 bit"),
        ("name: x\npackage: {kind: abr}", "needs video and rungs"),
        ("name: x\nvideo: {max_rate: 1/0}", r"video\.max_rate: .*not a rational: '1/0'"),
        ("name: x\npictures: {sprites_seconds: 1/3}", r"sprites_seconds: must be at least 0\.5"),
        ("name: x\nvideo: {quality: 0}", "0 is lossless: take the codec ffv1"),
        (
            "name: x\nvideo: {codec: av1, speed: '14'}",
            r"video\.speed: av1 goes from 0 to 13",
        ),
        ("name: x\nvideo: {keyframe_seconds: 601}", "keyframe_seconds: must be at most 600"),
        ("name: x\nvideo: {max_rate: 1/2}", "max_rate: must be at least 1"),
        ("name: x\npictures: {sprites_seconds: 0}", r"pictures\.sprites_seconds: must be more"),
        ("name: x\naudio: {tracks: languages}", r"audio\.languages: name those"),
        (
            "name: x\naudio: {codec: copy, loudness: {target: -23}}",
            r"audio\.loudness: what is copied stays as loud",
        ),
        ("name: x\nvideo: {max_rate: 0}", r"video\.max_rate: must be more than 0"),
        ("name: x\nvideo: {keyframe_seconds: -3}", r"keyframe_seconds: must be more than 0"),
        ("name: x\npackage: {segment_seconds: 0}", r"segment_seconds: must be more than 0"),
        ("name: x\nvideo: {quality: 60}", r"video\.quality: h264 goes from 0 to 51"),
        ("name: x\nvideo: {quality: 64}", r"f.yaml: video\.quality: .*less than .* 63, not 64"),
        ("name: x\nvideo: {quality: {}}", r"video\.quality: name one of vmaf, xpsnr and ssim"),
        (
            "name: x\nvideo: {quality: {vmaf: 95, ssim: 0.9}}",
            r"video\.quality: name one of vmaf, xpsnr and ssim",
        ),
        ("name: x\nvideo: {quality: {vmaf: 100}}", r"video\.quality\.vmaf: .*99, not 100"),
        (
            "name: x\nvideo: {quality: {psnr: 40}}",
            r"video\.quality\.psnr: no such field; allowed: ssim, vmaf, xpsnr",
        ),
        (
            "name: x\ncontainer: mkv\nvideo: {codec: ffv1, bit_depth: null, quality: {vmaf: 95}}",
            r"video\.quality: ffv1 has none: leave it out",
        ),
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

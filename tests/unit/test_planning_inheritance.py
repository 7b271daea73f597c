"""Presets that extend others: inheritance, variables, fields set from outside, differences."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from darkstream.errors import InvalidPreset, UsageError
from darkstream.model.preset import Preset
from darkstream.planning.documents import Difference, compare
from darkstream.planning.presets import Shelf, load_preset, parse_preset, preset_schema


def _load(name: str = "child", changes: tuple[str, ...] = (), **texts: str) -> Preset:
    return load_preset(name, Shelf(saved=texts), changes)


def test_a_preset_is_its_parent_but_for_what_it_names() -> None:
    web = load_preset("web")
    child = _load(child="name: child\nextends: web\nvideo: {quality: 30}")
    assert child.video is not None
    assert web.video is not None
    assert child.video == web.video.model_copy(update={"quality": 30})
    assert child == web.model_copy(update={"name": "child", "video": child.video})


def test_lists_and_nothing_replace_what_the_parent_has() -> None:
    child = _load(
        child="name: child\nextends: audio\naudio: {copy_codecs: []}",
        silent="name: silent\nextends: web\nvideo: null\ncontainer: m4a",
    )
    assert child.audio.copy_codecs == ()
    assert _load("silent", silent="name: silent\nextends: web\nvideo: null").video is None


def test_grandparents_count_and_yours_may_extend_the_shipped_one_of_its_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "web.yaml").write_text("name: web\nextends: web\nvideo: {quality: 19}")
    (tmp_path / "child.yaml").write_text("name: child\nextends: web\nvideo: {max_height: 720}")
    child = load_preset("child", Shelf(tmp_path))
    assert child.video is not None
    assert (child.video.quality, child.video.max_height, child.video.speed) == (19, 720, "medium")
    assert child.description == load_preset("web").description


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "extends: wbe",
            "child: extends: no preset is called 'wbe'; did you mean web",
        ),
        ("extends: child", "extends: child extends this preset itself, in a circle"),
        ("extends: other", "saved preset other: extends: child extends this preset itself"),
        ("extends: [web]", "extends: no preset is called"),
        ("extends: broken", "saved preset broken: line 1, column 8 is not YAML"),
        (
            "extends: web\nvideo: {quality: '${crf}'}",
            "video.quality: no variable.*are none",
        ),
        ("vars: {cfr: 2}\nvideo: {quality: '${crf}'}", "did you mean cfr"),
        ("vars: [1]", "vars: is a mapping"),
        ("vars: {a: {b: 1}}", "vars: is a mapping of names to single values"),
    ],
)
def test_what_cannot_be_inherited_is_told_with_its_place(text: str, told: str) -> None:
    texts = {"other": "name: other\nextends: child", "broken": "name: ["}
    with pytest.raises(InvalidPreset, match=told):
        _load(child=f"name: child\n{text}", **texts)


def test_variables_keep_their_type_and_are_inherited() -> None:
    parent = """
name: parent
vars: {crf: 27, tag: small}
video: {quality: '${crf}'}
output: '{dir}/{stem}.${tag}-${crf}.{ext}'
package: {kind: abr, ladder: [{height: '${crf}', max_bit_rate: 1000}]}
"""
    own = _load("parent", parent=parent)
    assert own.video is not None
    assert own.video.quality == 27
    assert own.output == "{dir}/{stem}.small-27.{ext}"
    assert own.package.ladder[0].height == 27
    child = _load(parent=parent, child="name: child\nextends: parent\nvars: {crf: 31}")
    assert child.output == "{dir}/{stem}.small-31.{ext}"
    assert _load("parent", ("vars.crf=20",), parent=parent).output.endswith("small-20.{ext}")


def test_fields_are_set_from_outside() -> None:
    changed = load_preset(
        "web", changes=("video.quality=20", "package.hls=false", "video.copy_codecs=[h264, hevc]")
    )
    assert changed.video is not None
    assert (changed.video.quality, changed.package.hls) == (20, False)
    assert changed.video.copy_codecs == ("h264", "hevc")
    with pytest.raises(InvalidPreset, match=r"video\.qualty: no such field"):
        load_preset("web", changes=("video.qualty=20",))
    with pytest.raises(InvalidPreset, match=r"video\.quality: .* not 'low'"):
        load_preset("web", changes=("video.quality=low",))


@pytest.mark.parametrize("change", ["quality", "=3", "video..x=3", "Video=3", "video.quality=["])
def test_what_is_no_change_is_told(change: str) -> None:
    with pytest.raises(UsageError, match=r"FIELD=VALUE|not YAML"):
        load_preset("web", changes=(change,))


def test_the_schema_takes_files_that_extend_and_use_variables() -> None:
    text = "name: x\nextends: web\nvars: {crf: 27}\nvideo: {quality: '${crf}', max_rate: 30}"
    jsonschema.validate(yaml.safe_load(text), preset_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "video": {"quality": "low"}}, preset_schema())


def test_a_file_may_extend_too() -> None:
    assert parse_preset("name: x\nextends: archive", "x.yaml").container == "mkv"


def test_differences_name_fields() -> None:
    before = {"a": {"b": 1, "c": [1]}, "d": None}
    after = {"a": {"b": 2, "c": [1]}, "d": {"e": 1}, "f": 3}
    assert compare(before, after) == [
        Difference("a.b", 1, 2),
        Difference("d", None, {"e": 1}),
        Difference("f", None, 3),
    ]

from __future__ import annotations

import pytest
from fixtures_planning import audio_stream, media_info, video_stream

from darkstream.errors import InvalidPreset
from darkstream.model.media import Finding, Severity
from darkstream.model.preset import Preset
from darkstream.planning.presets import load_preset
from darkstream.planning.validation import choose_level, merge_findings, validate


def codes(**changes: object) -> set[str]:
    media = media_info(video_stream(), audio_stream()).model_copy(update=changes)
    return {finding.code for finding in validate(media).findings}


def test_a_sound_file_has_no_findings() -> None:
    report = validate(media_info(video_stream(), audio_stream()))
    assert report.findings == ()
    assert report.severity is Severity.ok


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"encrypted": True}, "encrypted"),
        ({"video": (), "audio": ()}, "no-media"),
        ({"video": (video_stream(decoded=False),)}, "video-undecodable"),
        ({"video": (video_stream(width=0),)}, "no-picture-size"),
        ({"video": (video_stream(width=16000, height=16000),)}, "picture-too-large"),
        ({"video": (video_stream(width=20000, height=2),)}, "picture-too-large"),
        ({"video": (), "audio": (audio_stream(decoded=False),)}, "audio-undecodable"),
        ({"audio": (audio_stream(channels=255),)}, "too-many-channels"),
    ],
)
def test_what_cannot_be_converted_is_rejected(changes: dict[str, object], code: str) -> None:
    media = media_info(video_stream(), audio_stream()).model_copy(update=changes)
    report = validate(media)
    assert report.severity is Severity.reject
    assert {finding.code for finding in report.findings} == {code}


def test_one_track_that_does_not_decode_is_repairable() -> None:
    tracks = (audio_stream(), audio_stream(index=2, codec="ac3", decoded=False))
    report = validate(media_info(video_stream()).model_copy(update={"audio": tracks}))
    assert report.severity is Severity.repairable
    assert "stream 2 (AC-3)" in report.findings[0].message


def test_sound_of_which_nothing_is_found_is_told() -> None:
    tracks = (audio_stream(), audio_stream(index=2, codec="aac", channels=0))
    report = validate(media_info(video_stream()).model_copy(update={"audio": tracks}))
    assert report.severity is Severity.ok
    assert [finding.code for finding in report.findings] == ["audio-not-found"]
    assert "stream 2 (AAC)" in report.findings[0].message


def test_a_second_video_that_does_not_decode_is_no_matter() -> None:
    videos = (video_stream(), video_stream(index=3, decoded=False))
    assert codes(video=videos) == set()


def test_the_probers_finding_stands_for_its_code() -> None:
    seen = Finding(code="encrypted", severity=Severity.reject, message="seen")
    media = media_info(video_stream(), encrypted=True, findings=(seen,))
    assert validate(media).findings == (seen,)


def test_later_findings_replace_earlier_ones_of_their_code() -> None:
    first, second = (
        Finding(code="a", severity=Severity.ok, message=message) for message in ("1", "2")
    )
    assert merge_findings((first,), (second,)) == (second,)


def test_a_preset_demands_a_level_else_it_is_as_usual() -> None:
    assert choose_level(load_preset("web"), "quick") == "quick"
    assert choose_level(load_preset("web", changes=["validation=full"]), "quick") == "full"
    assert choose_level(Preset(name="mine", validation="headers"), "full") == "headers"


def test_a_level_that_does_not_exist_is_refused_with_those_that_do() -> None:
    told = r"validation: Input should be 'headers', 'quick', 'normal' or 'full'"
    with pytest.raises(InvalidPreset, match=told):
        load_preset("web", changes=["validation=deep"])

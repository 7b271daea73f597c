"""What packets tell of a file, and what is made of it."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import pytest
from fixtures_planning import audio_stream, media_info, proved, video_stream

from darkstream.media.command import decode_command
from darkstream.media.prober.layout import read_layout
from darkstream.model.media import Finding, MediaInfo, Severity, SubtitleStream, ValidationReport
from darkstream.model.plan import Decision, EncodePlan
from darkstream.model.survey import StreamPackets, Survey
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.planning.validation import REMUXABLE, judge_packets

FILM = media_info(video_stream(), audio_stream())
SUBTITLE = SubtitleStream(index=2, codec="mov_text", kind="text")


def packets(**changes: object) -> StreamPackets:
    values: dict[str, object] = {
        "index": 0,
        "kind": "video",
        "packets": 250,
        "size_bytes": 1_000_000,
        "key_frames": 10,
        "missing": 0,
    }
    return StreamPackets.model_validate(values | changes)


def judge(media: MediaInfo = FILM, duration: str | None = "10", **changes: object) -> list[Finding]:
    survey = Survey.model_validate({"streams": (packets(**changes),), "duration": duration})
    return list(judge_packets(media, survey))


def decide(*findings: Finding, preset: str = "web") -> Decision:
    report = ValidationReport(findings=validate(FILM).findings + findings)
    return make_plan(FILM, load_preset(preset), proved(), report)


def test_a_whole_file_has_no_findings() -> None:
    assert judge() == []


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (
            {"corrupt": 1},
            "packets-damaged",
            "its video stream 0 has one packet cut off or damaged",
        ),
        ({"zeroed": 7}, "packets-zeroed", "its video stream 0 has 7 packets with zeros for data"),
        ({"jumps": 2}, "timestamps-jump", "the timestamps of its video stream 0 jump in 2 places"),
        (
            {"gaps": 2, "missing": 3},
            "pictures-missing",
            "its video stream 0 lacks 3 pictures in 2 places",
        ),
        (
            {"kind": "audio", "gaps": 1, "missing": "5/4"},
            "sound-missing",
            "its audio stream 0 lacks 1.2 s in one place",
        ),
    ],
)
def test_each_damage_has_a_code_and_a_sentence(
    changes: dict[str, object], code: str, message: str
) -> None:
    assert [(one.code, one.message) for one in judge(**changes)] == [(code, message)]


def test_damage_of_several_streams_is_told_at_once() -> None:
    streams = (packets(corrupt=1), packets(index=1, kind="audio", corrupt=2))
    (found,) = judge_packets(FILM, Survey(streams=streams, duration=Fraction(10)))
    assert found.message == (
        "its video stream 0 has one packet cut off or damaged;"
        " its audio stream 1 has 2 packets cut off or damaged"
    )


def test_what_cannot_be_read_to_its_end_is_damaged() -> None:
    (found,) = judge_packets(FILM, Survey(duration=Fraction(3), broken=True))
    assert (found.code, found.severity) == ("reading-broken", Severity.repairable)


@pytest.mark.parametrize(
    ("changes", "duration", "codes"),
    [
        ({}, "10.9", []),
        ({}, "30", ["duration-wrong"]),
        ({}, "5", ["duration-wrong"]),
        ({}, None, []),
        ({"duration": None}, "10", ["duration-missing"]),
        ({"duration": Fraction(0)}, "10", ["duration-missing"]),
        ({"subtitles": (SUBTITLE,)}, "5", []),
        ({"subtitles": (SUBTITLE,)}, "30", ["duration-wrong"]),
        ({"container": "mpegts"}, "30", []),
        ({"duration": Fraction(3600)}, "3560", []),
    ],
)
def test_a_duration_is_held_against_the_packets(
    changes: dict[str, object], duration: str | None, codes: list[str]
) -> None:
    media = FILM.model_copy(update=changes)
    assert [finding.code for finding in judge(media, duration)] == codes


def test_the_header_of_an_mp4_counts_before_what_was_added_up() -> None:
    survey = Survey(duration=Fraction(10), said=Fraction(30))
    assert [finding.code for finding in judge_packets(FILM, survey)] == ["duration-wrong"]


def test_the_duration_of_a_damaged_file_is_not_judged() -> None:
    cut = Finding(code="truncated", severity=Severity.repairable, message="")
    assert judge(FILM.model_copy(update={"findings": (cut,)}), "5") == []
    assert [finding.code for finding in judge(FILM, "5", corrupt=1)] == ["packets-damaged"]


@pytest.mark.parametrize("code", sorted(REMUXABLE))
def test_what_a_new_container_repairs_is_copied(code: str) -> None:
    assert decide().decision == "skip"
    plan = decide(Finding(code=code, severity=Severity.repairable, message="it is wrong"))
    assert isinstance(plan, EncodePlan)
    assert plan.decision == "remux"
    assert plan.reason == "all kept streams fit: copied into a new MP4, which repairs it"
    assert plan.expect.duration is None


def test_what_a_new_container_does_not_repair_is_encoded() -> None:
    damage = ("duration-wrong", "packets-zeroed")
    plan = decide(*(Finding(code=c, severity=Severity.repairable, message="") for c in damage))
    assert plan.decision == "convert"


def test_key_frames_alone_are_decoded_of_video() -> None:
    argv = decode_command(
        [b"/in/a.mkv"],
        program=b"ffmpeg",
        formats="matroska,webm",
        max_pixels=1000,
        strict=False,
        key_frames=True,
    )
    before = argv[: argv.index(b"-i")]
    assert before[before.index(b"-skip_frame:v") + 1] == b"nokey"


def test_a_movie_header_knows_nothing_of_fragments() -> None:
    header = struct.pack(">I4sIIIII", 28, b"mvhd", 0, 0, 0, 600, 900)
    movie = header + struct.pack(">I4s", 8, b"mvex")
    data = struct.pack(">I4s", 8 + len(movie), b"moov") + movie
    assert read_layout(io.BytesIO(data), len(data)).duration is None


@pytest.mark.parametrize(
    ("header", "duration"),
    [
        (struct.pack(">IIIII", 0, 0, 0, 600, 900), Fraction(3, 2)),
        (struct.pack(">IQQIQ", 1 << 24, 0, 0, 600, 900), Fraction(3, 2)),
        (struct.pack(">IIIII", 0, 0, 0, 600, 0), None),
        (struct.pack(">IIIII", 0, 0, 0, 600, (1 << 32) - 1), None),
        (struct.pack(">IIIII", 0, 0, 0, 0, 900), None),
        (b"\0" * 8, None),
    ],
)
def test_the_duration_of_a_movie_header(header: bytes, duration: Fraction | None) -> None:
    movie = struct.pack(">I4s", 8 + len(header), b"mvhd") + header
    data = struct.pack(">I4s", 8 + len(movie), b"moov") + movie
    assert read_layout(io.BytesIO(data), len(data)).duration == duration

"""What presets ask beyond codecs: tracks, marks, captions, rates, and how ffmpeg is told."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from fixtures_planning import audio_stream, encode_of, media_info, proved, video_stream

from darkstream.errors import InvalidPreset
from darkstream.media.command import convert_command
from darkstream.media.command.drawing import Drawing
from darkstream.media.command.loudness import Listened, loudness_command
from darkstream.media.command.sidecars import sidecar_command
from darkstream.media.command.sound import mix_filters, sound_filters
from darkstream.model.media import Disposition, MediaInfo, SubtitleStream
from darkstream.model.plan import EncodePlan, Sidecar
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import parse_preset


def _plan(media: MediaInfo, text: str) -> EncodePlan:
    preset = parse_preset(f"name: x\n{text}", "x.yaml")
    decision = make_plan(media, preset, proved(), validate(media))
    assert isinstance(decision, EncodePlan)
    return decision


def _film(*audio: object, **video: object) -> MediaInfo:
    return media_info(video_stream(codec="mpeg4", **video)).model_copy(update={"audio": audio})


def _subtitle(index: int, **changes: Any) -> SubtitleStream:
    values = {"index": index, "codec": "subrip", "kind": "text", "language": "eng"}
    return SubtitleStream(**(values | changes))


def test_commentary_is_dropped_by_flag_or_title_but_never_the_last_track() -> None:
    talk = audio_stream(index=2, title="Director's Commentary")
    flagged = audio_stream(index=3, disposition=Disposition(comment=True))
    rule = "audio: {commentary: drop}\n"
    kept = _plan(_film(audio_stream(index=1), talk, flagged), rule).audio
    assert [track.source_index for track in kept] == [1]
    assert [track.source_index for track in _plan(_film(talk), rule).audio] == [2]


def test_another_sample_rate_is_not_copied() -> None:
    plan = _plan(_film(audio_stream(sample_rate=48000)), "audio: {sample_rate: 44100}\n")
    assert (plan.audio[0].encoder, plan.audio[0].sample_rate) == ("aac", 44100)
    assert "it has 48000 samples a second, not 44100" in plan.reason
    louder = _plan(_film(audio_stream()), "audio: {loudness: {target: -23}}\n")
    assert "its loudness is brought to the preset's" in louder.reason
    assert louder.audio[0].loudness is not None


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("{position: top}", "give it an image or a text"),
        ("{image: /a.png, text: b}", "give it an image or a text"),
        ("{image: a.png}", "must be an absolute path"),
        ("{text: b, start: 3, end: 3}", "must be after overlay.start"),
    ],
)
def test_a_mark_that_cannot_be_is_refused(mark: str, words: str) -> None:
    with pytest.raises(InvalidPreset, match=words):
        parse_preset(f"name: x\noverlay: {mark}\n", "x.yaml")


def test_what_is_drawn_or_is_no_text_has_no_sidecar() -> None:
    tracks = (
        _subtitle(2),
        _subtitle(3, codec="hdmv_pgs_subtitle", kind="bitmap"),
        _subtitle(4, disposition=Disposition(hearing_impaired=True)),
    )
    media = _film().model_copy(update={"subtitles": tracks})
    plan = _plan(media, "subtitles: {burn: first, sidecar: srt}\n")
    assert plan.burn is not None
    assert plan.burn.source_index == 2
    assert [one.suffix for one in plan.companions] == [".eng.sdh.srt"]


def test_rgb_keeps_its_colours_where_the_codec_can() -> None:
    media = _film(chroma="rgb", pix_fmt="gbrp")
    text = "container: mkv\nvideo: {codec: hevc, bit_depth: 8, chroma: keep}\n"
    assert encode_of(_plan(media, text)).pix_fmt == "yuv444p"


@pytest.mark.parametrize(
    ("chroma", "bits", "profile"),
    [
        ("422", 10, "main422-10"),
        ("422", 12, "main422-12"),
        ("444", 8, "main444-8"),
        ("444", 12, "main444-12"),
        ("420", 12, "main12"),
    ],
)
def test_profiles_of_hevc_follow_the_samples(chroma: str, bits: int, profile: str) -> None:
    text = f"container: mkv\nvideo: {{codec: hevc, bit_depth: {bits}, chroma: keep}}\n"
    video = encode_of(_plan(_film(chroma=chroma, bit_depth=bits), text))
    assert video.profile == profile


def test_vvc_makes_a_varying_rate_constant_and_says_so() -> None:
    text = "video: {codec: vvc, bit_depth: 10}\n"
    varying = _film(variable_rate=True, average_rate="29/1", nominal_rate="30/1")
    plan = _plan(varying, text)
    assert encode_of(plan).frame_rate == 30
    assert "rate-made-constant" in [finding.code for finding in plan.findings]
    copied = media_info(video_stream(codec="vvc", variable_rate=True))
    text += "audio_only_container: m4a\n"
    kept = _plan(
        copied.model_copy(update={"faststart": False}),
        text.replace("10}", "10, copy_codecs: [vvc]}"),
    )
    assert kept.decision == "remux"
    assert kept.findings == ()


def test_only_so_many_bytes_of_a_source_are_listened_to_or_read_for_text() -> None:
    argv = loudness_command(
        [Listened(0, "1", ("volume=3dB:precision=double",))],
        [b"/a.ts"],
        program=b"ffmpeg",
        formats="mpegts",
        max_pixels=9,
        source_bytes=77,
    )
    assert b"subfile,,start,0,end,77,,:file:/a.ts" in argv
    assert any(b"volume=3dB:precision=double" in word for word in argv)
    plan = _plan(_film(), "").model_copy(update={"source_bytes": 77})
    wish = Sidecar(suffix=".srt", source_index=2, track="srt", format="srt")
    words = sidecar_command(plan, [wish], b"/a.ts", b"/out", program=b"ffmpeg", max_pixels=9)
    assert b"subfile,,start,0,end,77,,:file:/a.ts" in words
    assert b"subfile,file" in words


def test_a_mix_of_an_unknown_layout_is_ffmpegs_own() -> None:
    media = _film(audio_stream(channels=6, layout=None, codec="ac3"))
    track = _plan(media, "audio: {beside_surround: [stereo]}\n").audio[1]
    assert list(mix_filters(track)) == ["aformat=channel_layouts=stereo"]


def test_presentations_hold_every_track_in_a_second_codec_too() -> None:
    english = audio_stream(index=1, channels=8, layout="7.1", codec="dts", language="eng")
    german = audio_stream(index=2, channels=2, codec="aac", language="deu")
    plan = _plan(_film(english, german), "extends: abr\naudio: {beside_codec: eac3}\n")
    found = [(t.source_index, t.codec, t.channels, t.language) for t in plan.audio]
    assert found == [
        (1, "aac", 2, "eng"),
        (2, "aac", 2, "deu"),
        (1, "eac3", 6, "eng"),
        (2, "eac3", 2, "deu"),
    ]
    assert plan.audio[2].bit_rate != plan.audio[0].bit_rate
    assert plan.reason == "encoded as a ladder of H.264, AAC and E-AC-3 for HLS and DASH"
    alone = media_info(None).model_copy(update={"audio": (english,)})
    sound = _plan(alone, "extends: abr\naudio: {beside_codec: eac3}\n")
    assert [track.codec for track in sound.audio] == ["aac"]


def test_both_codecs_hold_the_same_mixes_and_silence_where_the_begin_is_not_known() -> None:
    film = _film(audio_stream(channels=6, layout="5.1", codec="ac3")).model_copy(
        update={"start": Fraction(1)}
    )
    rules = "{beside_surround: [stereo], max_channels: 6, beside_codec: eac3}"
    plan = _plan(film, f"extends: abr\naudio: {rules}\n")
    assert [(t.codec, t.mix) for t in plan.audio] == [
        ("aac", None),
        ("aac", "stereo"),
        ("eac3", None),
        ("eac3", "stereo"),
    ]
    assert all(track.padded and track.late is None for track in plan.audio)
    filters = sound_filters(plan.audio[0], None)
    assert filters is not None
    assert filters.startswith("aresample=async=1:first_pts=0")
    known = film.model_copy(
        update={"audio": (film.audio[0].model_copy(update={"start": Fraction(5, 2)}),)}
    )
    late = _plan(known, "extends: abr\n").audio[0]
    assert late.late == Fraction(3, 2)
    assert "atrim=end=1.750000" in (sound_filters(late, None) or "")


def test_text_that_is_burned_into_hdr_is_grey() -> None:
    media = _film(
        hdr="hdr10", bit_depth=10, colour={"primaries": "bt2020", "transfer": "smpte2084"}
    ).model_copy(update={"subtitles": (_subtitle(2),)})
    plan = _plan(media, "extends: hevc\nsubtitles: {burn: first}\n")
    argv = convert_command(
        plan,
        program=b"ffmpeg",
        source=b"/a.mkv",
        directory=b"/out",
        max_pixels=9,
        drawing=Drawing(b"/drawn", "0.srt"),
    )
    assert any(b"PrimaryColour" in word and b"949494" in word for word in argv)

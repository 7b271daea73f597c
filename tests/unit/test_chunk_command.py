from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from fixtures_planning import audio_stream, media_info, proved, video_stream

from darkstream.media.command import chunk_command, mux_command, soundtrack_command
from darkstream.media.command.soundtrack import soundtrack_name
from darkstream.model.encoded import Gain
from darkstream.model.plan import Chunk, Chunking, EncodePlan, FilePackage, VideoCopy
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset

CHUNK = Chunk(index=1, pictures=250, begin=128_640, end=256_640, seek=Fraction(201, 20), keys=5)
FIRST = Chunk(index=0, pictures=250, begin=640, end=128_640, seek=None)
CHUNKING = Chunking(time_base=Fraction(1, 12800), start=Fraction(1, 20), chunks=(FIRST, CHUNK))


def plan_for(name: str = "web", **changes: Any) -> EncodePlan:
    media = media_info(video_stream(codec="mpeg4", **changes))
    plan = make_plan(media, load_preset(name), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    return plan.model_copy(update={"chunking": CHUNKING})


def words(plan: EncodePlan, chunk: Chunk = CHUNK, **more: Any) -> str:
    argv = chunk_command(
        plan, chunk, program=b"ffmpeg", source=b"/in.mkv", directory=b"/w", max_pixels=9, **more
    )
    return b" ".join(argv).decode()


def test_a_chunk_is_read_from_a_key_frame_on_and_cut_at_its_ticks() -> None:
    told = words(plan_for(), threads=2)
    assert "-noaccurate_seek" in told and "-seek_timestamp 1 -ss 10.050000" in told
    assert "[0:0]trim=end_pts=256640:start_pts=128640" in told
    assert "setpts=PTS-640" in told and "settb=1/12800" in told
    assert "setpts=PTS-128000[" in told, "it begins at 0 itself"
    assert "-enc_time_base:v:0 1/12800" in told and "-threads:v:0 2" in told
    assert told.endswith("file:/w/0.mp4")


def test_the_first_chunk_is_read_from_the_begin_on() -> None:
    told = words(plan_for(), FIRST)
    assert "-ss" not in told
    assert "[0:0]trim=end_pts=128640[" in told


def test_a_chunk_that_is_all_there_is_needs_no_cut() -> None:
    told = words(plan_for(), FIRST.model_copy(update={"end": None}))
    assert "trim" not in told


def test_deinterlacing_sees_the_neighbours_of_a_chunk() -> None:
    told = words(plan_for(field_order="tff"))
    margin = 3 * 512
    assert f"trim=end_pts={256_640 + margin}:start_pts={128_640 - margin}" in told
    assert "trim=end_pts=256000:start_pts=128000" in told
    assert told.index("bwdif") < told.index("trim=end_pts=256000")


def test_rungs_have_key_frames_where_the_whole_has_them() -> None:
    plan = plan_for("abr")
    told = words(plan)
    assert len(plan.renditions) > 1
    assert told.count("-force_key_frames:v:0 expr:gte(t+10.000001000,(n_forced+5)*4)") == len(
        plan.renditions
    )
    assert "setts" not in told, "of the whole, once it is joined"
    assert f"file:/w/{len(plan.renditions) - 1}.mp4" in told


def test_a_chunk_says_nothing_of_its_machine_and_begins_with_little_of_the_buffer() -> None:
    assert ":info=0" in words(plan_for("hevc"))
    plan = plan_for("abr")
    assert words(plan).count(":vbv-init=0.3") == len(plan.renditions)
    assert "vbv-init" not in words(plan, FIRST), "as the whole begins"
    assert "vbv-init" not in words(plan_for())


def test_colours_are_said_whatever_the_source_says_on_the_way() -> None:
    told = words(plan_for())
    assert "color_primaries=unknown:color_trc=unknown:colorspace=unknown:range=tv" in told


def test_a_plan_without_chunks_has_none_to_encode() -> None:
    plan = plan_for().model_copy(update={"chunking": None})
    with pytest.raises(ValueError, match="no chunks"):
        words(plan)
    with pytest.raises(ValueError, match="no chunks"):
        mux(plan)


def mux(plan: EncodePlan, **more: Any) -> str:
    videos = [b"/j/video-%d.mp4" % number for number in range(len(plan.renditions))]
    argv = mux_command(
        plan, videos, program=b"f", source=b"/s.mkv", directory=b"/d", max_pixels=9, **more
    )
    return b" ".join(argv).decode()


@pytest.mark.parametrize(("name", "filtered"), [("web", False), ("abr", True)])
def test_joined_chunks_are_copied_and_begin_as_late_as_the_pictures(
    name: str, filtered: bool
) -> None:
    plan = plan_for(name)
    told = mux(plan)
    inputs = [word for word in told.split() if word.startswith("file:/")][:-1]
    assert inputs[0] == "file:/s.mkv", "what chapters and attachments are taken of"
    assert len(inputs) == 1 + len(plan.renditions)
    assert told.count("-itsoffset 0.000000") == len(plan.renditions)
    assert "-map 1:v:0" in told and "-c:v:0 copy" in told
    assert ("-bsf:v:0 setts=" in told) is filtered
    assert "libx264" not in told and "-filter_complex" not in told


def test_all_but_the_pictures_comes_from_the_source() -> None:
    media = media_info(video_stream(codec="mpeg4"), audio_stream(codec="mp3"), title="A film")
    plan = make_plan(media, load_preset("web"), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    told = mux(plan.model_copy(update={"chunking": CHUNKING}))
    assert "-map 1:v:0 -map 0:1" in told
    assert "-c:a:0 aac" in told and "-metadata title=A film" in told


def test_a_tag_that_players_ask_for_is_kept() -> None:
    plan = plan_for("hevc")
    assert "-tag:v:0 hvc1" in mux(plan)
    bare = plan.renditions[0].model_copy(update={"tag": None})
    assert "-tag:v:0" not in mux(plan.model_copy(update={"renditions": (bare,)}))


def test_what_is_no_encode_is_copied_without_more() -> None:
    plan = plan_for()
    copy = VideoCopy(name="video", source_index=0, codec="h264")
    told = mux(plan.model_copy(update={"renditions": (copy,)}))
    assert "-c:v:0 copy" in told and "-tag:v:0" not in told


def heard() -> EncodePlan:
    """A plan with a track that is encoded, one that is copied, and one that is encoded."""
    sounds = (
        audio_stream(index=1, codec="mp3", language="eng"),
        audio_stream(index=2, codec="aac", title="As it was"),
        audio_stream(index=3, codec="ac3"),
    )
    media = media_info(video_stream(codec="mpeg4")).model_copy(update={"audio": sounds})
    plan = make_plan(media, load_preset("web"), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    assert [track.encoder is None for track in plan.audio] == [False, True, False]
    return plan.model_copy(update={"chunking": CHUNKING})


def sound_of(plan: EncodePlan, **more: Any) -> str:
    argv = soundtrack_command(
        plan, program=b"f", source=b"/s.mkv", directory=b"/d", max_pixels=9, **more
    )
    return b" ".join(argv).decode()


def test_sound_alone_is_the_encoded_tracks_and_nothing_else() -> None:
    plan = heard()
    gains = [Gain(integrated=-30, true_peak=-9, gain_db=7.0), None, None]
    told = sound_of(plan, gains=gains)
    assert told.count("-map ") == 2 and "-map 0:1 -map 0:3" in told
    assert told.count("-c:a:") == 2 and "-c:a:0 aac" in told and "-c:a:1 aac" in told
    assert "-filter:a:0 volume=7.00dB" in told and "-filter:a:1" not in told
    assert "-map_chapters -1" in told and "libx264" not in told
    assert "-f mp4" in told and told.endswith("file:/d/sound.mp4")


@pytest.mark.parametrize(
    ("container", "name"),
    [("mp4", "sound.mp4"), ("mov", "sound.mov"), ("mkv", "sound.mkv"), ("webm", "sound.webm")],
)
def test_the_file_between_is_of_the_outputs_own_kind(container: Any, name: str) -> None:
    plan, package = heard(), FilePackage(container=container, extension=container)
    codec = "opus" if container == "webm" else "aac"
    audio = tuple(track.model_copy(update={"codec": codec}) for track in plan.audio)
    assert soundtrack_name(plan.model_copy(update={"package": package, "audio": audio})) == name


def test_sound_that_cannot_be_alone_is_encoded_with_the_rest() -> None:
    plan = heard()
    stream = FilePackage(container="ts", extension="ts")
    copies = tuple(track.model_copy(update={"encoder": None}) for track in plan.audio)
    inexact = tuple(track.model_copy(update={"codec": "ac3"}) for track in plan.audio)
    for none in ({"package": stream}, {"audio": copies}, {"audio": inexact}, {"audio": ()}):
        assert soundtrack_name(plan.model_copy(update=none)) is None
    with pytest.raises(ValueError, match="no sound to encode alone"):
        sound_of(plan.model_copy(update={"audio": ()}))


def test_encoded_sound_is_copied_and_begins_when_it_did() -> None:
    told = mux(heard(), soundtrack=b"/j/sound.mp4")
    assert "-map 1:v:0 -map 2:a:0 -map 0:2 -map 2:a:1" in told
    assert [told.count(f"-c:a:{number} copy") for number in range(3)] == [1, 1, 1]
    assert "-seek_timestamp 1 -i file:/j/sound.mp4 -map" in told, "it begins when it did"
    assert "-filter" not in told and "-b:a:" not in told
    assert "-metadata:s:a:0 language=eng" in told, "as said of the track in the plan"
    assert "title=As it was" in told


def test_sound_that_would_not_be_the_same_stays_with_the_rest() -> None:
    plan = heard()
    first, copy, last = plan.audio
    surround = last.model_copy(update={"codec": "ac3", "encoder": "ac3"})
    plan = plan.model_copy(update={"audio": (first, copy, surround)})
    alone = sound_of(plan)
    assert alone.count("-map ") == 1 and "-map 0:1" in alone and "ac3" not in alone
    told = mux(plan, soundtrack=b"/j/sound.mp4")
    assert "-map 1:v:0 -map 2:a:0 -map 0:2 -map 0:3" in told
    assert "-c:a:0 copy" in told and "-c:a:1 copy" in told and "-c:a:2 ac3" in told

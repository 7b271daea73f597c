from __future__ import annotations

import re
from fractions import Fraction

import pytest
from fixtures_planning import audio_stream, encode_of, media_info, proved, video_stream

from darkstream.media.command import convert_command, decode_command
from darkstream.media.command.encoders import encoder_options
from darkstream.media.command.filters import picture_filters
from darkstream.model.base import Frozen, Rational
from darkstream.model.media import ContentLight, MasteringDisplay, MediaInfo
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset

MASTERING = MasteringDisplay(
    red=(Fraction(17, 25), Fraction(8, 25)),
    green=(Fraction(53, 200), Fraction(69, 100)),
    blue=(Fraction(3, 20), Fraction(3, 50)),
    white=(Fraction(3127, 10000), Fraction(329, 1000)),
    min_luminance=Fraction(1, 10000),
    max_luminance=Fraction(1000),
)


def plan_of(media: MediaInfo, preset: str = "web") -> EncodePlan:
    decision = make_plan(media, load_preset(preset), proved(), validate(media))
    assert isinstance(decision, EncodePlan)
    return decision


def words(plan: EncodePlan, *, threads: int | None = None) -> list[str]:
    argv = convert_command(
        plan,
        program=b"ffmpeg",
        source=b"/in/\xff.mkv",
        directory=b"/out",
        max_pixels=1000,
        threads=threads,
    )
    return [word.decode("utf-8", "backslashreplace") for word in argv]


def after(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def rendition(preset: str = "web", **changes: object) -> VideoEncode:
    video = encode_of(plan_of(media_info(video_stream(codec="mpeg4")), preset))
    return video.model_copy(update=changes)


class TestLanguages:
    @pytest.mark.parametrize(
        ("said", "preset", "written"),
        [
            ("pt-BR", "web", "por"),
            ("de", "web", "deu"),
            ("eng", "web", "eng"),
            ("tlh", "abr", "tlh"),
            ("pt-BR", "archive", "pt-BR"),
        ],
    )
    def test_mp4_has_room_for_three_letters(self, said: str, preset: str, written: str) -> None:
        media = media_info(video_stream(codec="vp8"), audio_stream(language=said))
        assert f"language={written}" in words(plan_of(media, preset))


class TestInput:
    def test_whitelists_and_limits_stand_before_the_input(self) -> None:
        argv = words(plan_of(media_info(video_stream(codec="vp8"))))
        head = argv[: argv.index("-i")]
        assert after(head, "-protocol_whitelist") == "file"
        assert after(head, "-format_whitelist") == "mov,mp4"
        assert after(head, "-max_pixels") == "1000"
        assert {"-nostdin", "-noautorotate"} <= set(head)
        assert "-xerror" not in argv

    def test_paths_are_bytes_with_their_protocol(self) -> None:
        argv = words(plan_of(media_info(video_stream(codec="vp8"))))
        assert after(argv, "-i") == r"file:/in/\xff.mkv"
        assert argv[-1] == "file:/out/output.mp4"

    def test_a_file_that_goes_on_with_zeros_is_read_up_to_them(self) -> None:
        argv = words(plan_of(media_info(video_stream(codec="vp8"), content_bytes=9000)))
        assert after(argv, "-i") == r"subfile,,start,0,end,9000,,:file:/in/\xff.mkv"
        assert after(argv, "-protocol_whitelist") == "subfile,file"

    def test_threads_are_for_the_decoder_and_the_encoder(self) -> None:
        argv = words(plan_of(media_info(video_stream(codec="vp8"))), threads=3)
        assert after(argv, "-threads") == "3"
        assert after(argv, "-threads:v:0") == "3"

    def test_x265_has_a_pool_of_as_many_threads(self) -> None:
        plan = plan_of(media_info(video_stream(codec="vp8")), "hevc")
        assert after(words(plan, threads=3), "-x265-params:v:0").endswith(":pools=3")
        assert "pools" not in after(words(plan), "-x265-params:v:0")

    @pytest.mark.parametrize(
        ("threads", "level"), [(1, 1), (2, 2), (3, 3), (5, 3), (6, 4), (23, 5), (24, 6), (128, 6)]
    )
    def test_svt_av1_has_the_level_for_as_many_cores(self, threads: int, level: int) -> None:
        plan = plan_of(media_info(video_stream(codec="vp8")), "archive")
        assert after(words(plan, threads=threads), "-svtav1-params:v:0").endswith(f":lp={level}")
        assert "lp=" not in after(words(plan), "-svtav1-params:v:0")

    def test_decoding_for_the_proof_ends_at_the_first_error(self) -> None:
        argv = decode_command(
            [b"/a\xff", b"/b"], program=b"ffmpeg", formats="hls", max_pixels=9, strict=True
        )
        assert b"-xerror" in argv
        assert argv.count(b"-i") == 2
        assert b"file:/a\xff" in argv
        assert b"-allowed_extensions" in argv
        assert argv[-1] == b"-"

    def test_decoding_for_a_look_counts_errors(self) -> None:
        argv = decode_command(
            [b"/a"], program=b"ffmpeg", formats="mov", max_pixels=9, strict=False, threads=2
        )
        assert b"-xerror" not in argv
        assert argv[argv.index(b"-max_error_rate") + 1] == b"1"
        assert b"-allowed_extensions" not in argv

    @pytest.mark.parametrize(("preset", "option"), [("web", "-c:0"), ("webm", "-c:v")])
    def test_the_decoder_that_sees_transparency_is_named(self, preset: str, option: str) -> None:
        stream = video_stream(codec="vp9", alpha=True)
        argv = words(plan_of(media_info(stream, container="matroska"), preset))
        assert after(argv[: argv.index("-i")], option) == "libvpx-vp9"

    def test_transparency_and_hidden_pictures_exclude_each_other(self) -> None:
        stream = video_stream(codec="vp8", alpha=True)
        argv = words(plan_of(media_info(stream), "webm"))
        assert after(argv, "-auto-alt-ref:v:0") == "0"
        assert after(argv, "-pix_fmt:v:0") == "yuva420p"

    def test_a_forced_rate_has_its_own_clock(self) -> None:
        argv = words(plan_of(media_info(video_stream(average_rate="60")), "mobile"))
        assert "-enc_time_base:v:0" not in argv
        assert "fps=fps=30" in after(argv, "-filter_complex")


class TestTracks:
    def test_titles_languages_and_flags_are_kept_and_the_rest_is_not(self) -> None:
        track = audio_stream(
            language="jpn", title="Director's cut", disposition={"default": True, "comment": True}
        )
        argv = words(plan_of(media_info(video_stream(codec="vp8"), track, title="Film")))
        assert after(argv, "-metadata") == "title=Film"
        assert after(argv, "-metadata:s:a:0") == "language=jpn"
        assert after(argv, "-metadata:s:1") == "title=Director's cut"
        assert after(argv, "-disposition:a:0") == "default+comment"
        assert (after(argv, "-map_metadata:g"), after(argv, "-map_metadata:s")) == ("-1", "-1")

    def test_music_says_who_made_it(self) -> None:
        tags = (("artist", "Some = one"), ("album", "Songs"))
        argv = words(plan_of(media_info(audio=audio_stream(codec="mp3"), title="One", tags=tags)))
        assert argv[-7:-1] == [
            *("-metadata", "title=One"),
            *("-metadata", "artist=Some = one"),
            *("-metadata", "album=Songs"),
        ]

    def test_no_flag_is_said_too(self) -> None:
        argv = words(plan_of(media_info(video_stream(codec="vp8"), audio_stream())))
        assert after(argv, "-disposition:a:0") == "0"

    def test_channels_without_a_layout_stay_as_they_are(self) -> None:
        plan = plan_of(media_info(video_stream(codec="vp8"), audio_stream(codec="ac3")))
        (track,) = plan.audio
        bare = track.model_copy(update={"layout": None, "bit_rate": None})
        argv = words(plan.model_copy(update={"audio": (bare,)}))
        assert not {"-ac:a:0", "-channel_layout:a:0"} & set(argv)
        assert "-b:a:0" not in argv

    def test_a_copied_stream_without_a_tag_has_none(self) -> None:
        plan = plan_of(media_info(video_stream(codec="av1"), audio_stream(codec="ac3")), "archive")
        argv = words(plan)
        assert after(argv, "-c:v:0") == "copy"
        assert "-tag:v:0" not in argv


class TestFilters:
    def names(self, video: VideoEncode) -> list[str]:
        return [name for name, _ in picture_filters(video)]

    def test_an_ordinary_picture_is_scaled_and_named(self) -> None:
        assert self.names(rendition()) == ["scale", "format", "setsar", "setparams", "sidedata"]

    @pytest.mark.parametrize(
        ("changes", "wanted"),
        [
            ({"rotation": 90}, ["transpose"]),
            ({"rotation": 270, "mirrored": True}, ["hflip", "transpose"]),
            ({"rotation": 180}, ["hflip", "vflip"]),
            ({"deinterlace": True}, ["bwdif"]),
            ({"frame_rate": Fraction(30)}, ["fps"]),
            ({"flatten": True}, ["premultiply"]),
            ({"crop": True}, ["crop"]),
        ],
    )
    def test_each_need_has_its_filter(self, changes: dict[str, object], wanted: list[str]) -> None:
        plain = self.names(rendition())
        assert [n for n in self.names(rendition(**changes)) if n not in plain] == wanted

    def test_turned_pictures_are_scaled_before_they_are_turned(self) -> None:
        options = dict(picture_filters(rendition(rotation=90, width=720, height=1280)))
        assert (options["scale"]["w"], options["scale"]["h"]) == (1280, 720)

    def test_a_matrix_the_scaler_does_not_know_is_hidden_from_it_and_then_converted(self) -> None:
        stream = video_stream(codec="vp9", colour={"matrix": "ycgco"})
        filters = list(picture_filters(encode_of(plan_of(media_info(stream)))))
        assert filters[0] == ("setparams", {"colorspace": "bt709"})
        names = [name for name, _ in filters]
        assert names.index("scale") < names.index("zscale") < names.index("format")
        assert dict(filters)["zscale"] == {
            "rangein": "tv",
            "matrixin": "ycgco",
            "matrix": "bt709",
            "primariesin": "bt709",
            "primaries": "bt709",
        }

    def test_tone_mapping_reads_any_matrix(self) -> None:
        stream = video_stream(codec="vp9", hdr="hdr10", colour={"matrix": "ictcp"})
        filters = list(picture_filters(encode_of(plan_of(media_info(stream)))))
        assert filters[0] == ("setparams", {"colorspace": "bt709"})
        first, *_ = (options for name, options in filters if name == "zscale")
        assert first["matrixin"] == "ictcp"

    def test_the_display_matrix_does_not_survive_being_applied(self) -> None:
        kinds = [
            options["type"] for name, options in picture_filters(rendition()) if name == "sidedata"
        ]
        assert kinds == ["DISPLAYMATRIX"]


class TestEncoders:
    def test_x265_tells_hdr_in_its_own_units(self) -> None:
        stream = video_stream(
            hdr="hdr10",
            codec="vp9",
            bit_depth=10,
            mastering_display=MASTERING.model_dump(),
            content_light=ContentLight(max_cll=1000, max_fall=200).model_dump(),
        )
        video = encode_of(plan_of(media_info(stream), "hevc"))
        params = str(encoder_options(video, 0, aligned=False)["x265-params:v:0"])
        assert "hdr10-opt=1:repeat-headers=1" in params
        assert (
            "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
            in params
        )
        assert "max-cll=1000,200" in params

    def test_svt_tells_it_in_plain_numbers(self) -> None:
        stream = video_stream(hdr="hdr10", bit_depth=10, mastering_display=MASTERING.model_dump())
        video = encode_of(plan_of(media_info(stream), "archive"))
        params = str(encoder_options(video, 0, aligned=False)["svtav1-params:v:0"])
        assert "mastering-display=G(0.2650,0.6900)B(" in params
        assert "L(1000.0000,0.0001)" in params

    @pytest.mark.parametrize(
        ("preset", "option", "value"),
        [
            ("web", "sc_threshold:v:1", 0),
            ("hevc", "forced-idr:v:1", 1),
            (
                "archive",
                "svtav1-params:v:1",
                "tune=0:fps-num=25:fps-denom=1:scd=0:force-key-frames=1",
            ),
            ("webm", "auto-alt-ref:v:1", 0),
        ],
    )
    def test_aligned_key_frames_alone(self, preset: str, option: str, value: object) -> None:
        options = encoder_options(rendition(preset), 1, aligned=True)
        assert options[option] == value
        assert str(options["force_key_frames:v:1"]).startswith("expr:gte(t,n_forced*")

    def test_nvenc_has_its_own_words(self) -> None:
        video = rendition(encoder="h264_nvenc", hardware=True)
        options = encoder_options(video, 0, aligned=True)
        assert (options["rc:v:0"], options["cq:v:0"], options["preset:v:0"]) == ("vbr", 22, "p5")
        assert options["no-scenecut:v:0"] == 1
        slow = rendition(codec="av1", encoder="av1_nvenc", hardware=True, speed="4")
        assert encoder_options(slow, 0, aligned=False)["preset:v:0"] == "p6"
        odd = rendition(encoder="h264_nvenc", hardware=True, speed="placebo")
        assert encoder_options(odd, 0, aligned=False)["preset:v:0"] == "p5"

    def test_further_options_come_last(self) -> None:
        options = encoder_options(rendition(options=(("crf", "1"),)), 0, aligned=False)
        assert options["crf:v:0"] == "1"

    def test_a_ceiling_has_a_buffer(self) -> None:
        options = encoder_options(rendition("mobile"), 0, aligned=False)
        assert (options["maxrate:v:0"], options["bufsize:v:0"]) == (2_500_000, 5_000_000)

    def test_tiles_grow_with_the_width(self) -> None:
        assert (
            encoder_options(rendition("webm", width=1920), 0, aligned=False)["tile-columns:v:0"]
            == 1
        )


class TestPresentation:
    def test_all_renditions_come_from_one_decode(self) -> None:
        argv = words(plan_of(media_info(video_stream(), audio_stream()), "abr"))
        assert argv.count("-i") == 1
        assert after(argv, "-adaptation_sets").startswith("id=0,streams=0 id=1,streams=1")
        assert argv[-1] == "file:/out/manifest.mpd"

    def test_each_rendition_is_scaled_from_the_next_larger_one(self) -> None:
        argv = words(plan_of(media_info(video_stream(), audio_stream()), "abr"))
        graph = after(argv, "-filter_complex").split(";")
        scaled = [re.findall(r"\[(\w+)\]", one) for one in graph if "scale=" in one]
        parted = [re.findall(r"\[(\w+)\]", one) for one in graph if "split=2" in one]
        assert len(scaled) == len(parted) + 1 and "split=4" not in argv
        assert [names[0] for names in scaled[1:]] == [names[2] for names in parted]

    def test_segments_may_end_a_picture_early(self) -> None:
        argv = words(plan_of(media_info(video_stream(), audio_stream()), "abr"))
        assert after(argv, "-seg_duration") == "3.940"


class TestValues:
    def test_a_float_is_no_rational(self) -> None:
        class Value(Frozen):
            exact: Rational

        assert Value.model_validate({"exact": "30000/1001"}).exact == Fraction(30000, 1001)
        assert Value(exact=Fraction(1, 3)).model_dump(mode="json") == {"exact": "1/3"}
        for wrong in (29.97, None):
            with pytest.raises(ValueError, match="rational"):
                Value.model_validate({"exact": wrong})

    def test_capabilities_name_their_first_encoder(self) -> None:
        node = proved("h264_nvenc")
        software, hardware = node.encoder("h264"), node.encoder("h264", hardware=True)
        assert software is not None
        assert hardware is not None
        assert (software.name, hardware.name) == ("libx264", "h264_nvenc")
        assert node.encoder("theora") is None


class TestDynamicHdr:
    """What keeps data for single scenes beside the pictures."""

    def _plan(self) -> EncodePlan:
        stream = video_stream(
            codec="hevc",
            bit_depth=10,
            pix_fmt="yuv420p10le",
            hdr="dolby_vision",
            dolby_vision={"profile": 8, "compatibility": 1},
            hdr10plus=True,
            colour={"primaries": "bt2020", "transfer": "smpte2084", "matrix": "bt2020nc"},
            mastering_display=MASTERING,
            mirrored=True,
        )
        return plan_of(media_info(stream), "hevc")

    def test_dolby_vision_has_its_buffer_and_its_record(self) -> None:
        argv = words(self._plan())
        assert after(argv, "-dolbyvision:v:0") == "1"
        assert after(argv, "-maxrate:v:0") == after(argv, "-bufsize:v:0") == "50000000"
        assert after(argv, "-f_strict") == "unofficial"
        assert "DOVI" not in after(argv, "-filter_complex")

    def test_what_is_not_kept_is_taken_off_the_pictures(self) -> None:
        plan = self._plan()
        video = encode_of(plan).model_copy(update={"dolby_vision": None})
        argv = words(plan.model_copy(update={"renditions": (video,)}))
        assert "type=DOVI_METADATA" in after(argv, "-filter_complex")
        assert "-f_strict" not in argv
        sdr = rendition("hevc", strip_dolby_vision=True)
        kinds = [options["type"] for name, options in picture_filters(sdr) if name == "sidedata"]
        assert kinds == ["DISPLAYMATRIX", "DOVI_RPU_BUFFER", "DOVI_METADATA"]

    def test_a_path_of_any_name_is_one_value_among_others(self) -> None:
        argv = convert_command(
            self._plan(),
            program=b"ffmpeg",
            source=b"/in/a.mkv",
            directory=b"/out",
            max_pixels=1000,
            hdr10plus=b"/a:b=c'd\\e \xff/scenes.json",
        )
        params = argv[argv.index(b"-x265-params:v:0") + 1]
        path = rb"/a\:b\=c\'d\\e" + b"\\ \xff/scenes.json"
        assert params.endswith(b":dhdr10-info=" + path)

    def test_no_file_is_named_where_there_is_none(self) -> None:
        assert "dhdr10-info" not in after(words(self._plan()), "-x265-params:v:0")

from __future__ import annotations

from fractions import Fraction

import pytest
from fixtures_planning import (
    audio_stream,
    copy_of,
    encode_of,
    media_info,
    proved,
    video_stream,
)

from darkstream.errors import CapabilityMissing
from darkstream.model.capabilities import Capabilities
from darkstream.model.media import (
    Attachment,
    AudioStream,
    Chapter,
    Finding,
    MediaInfo,
    Severity,
    SubtitleStream,
    ValidationReport,
    VideoStream,
)
from darkstream.model.plan import Decision, EncodePlan, FilePackage, Reject, Skip
from darkstream.model.preset import Guards, Preset
from darkstream.planning import damage_note, fingerprint, make_plan, validate
from darkstream.planning.presets import load_preset

DAMAGE = Finding(code="truncated", severity=Severity.repairable, message="its end is missing")


def decide(
    media: MediaInfo, preset: str | Preset = "web", node: Capabilities | None = None
) -> Decision:
    wish = load_preset(preset) if isinstance(preset, str) else preset
    return make_plan(media, wish, node or proved(), validate(media))


def planned(
    media: MediaInfo, preset: str | Preset = "web", node: Capabilities | None = None
) -> EncodePlan:
    decision = decide(media, preset, node)
    assert isinstance(decision, EncodePlan)
    return decision


def changed(preset: str, **video: object) -> Preset:
    wish = load_preset(preset)
    assert wish.video is not None
    return wish.model_copy(update={"video": wish.video.model_copy(update=video)})


def subtitle(**changes: object) -> SubtitleStream:
    values: dict[str, object] = {"index": 5, "codec": "subrip", "kind": "text", "language": "fra"}
    return SubtitleStream.model_validate(values | changes)


def attachment(kind: str, **changes: object) -> Attachment:
    values: dict[str, object] = {"index": 7, "codec": "mjpeg", "kind": kind}
    return Attachment.model_validate(values | changes)


class TestSkip:
    def test_a_file_that_is_as_wished_is_skipped_with_the_limits_named(self) -> None:
        decision = decide(media_info(video_stream(width=640, height=272), audio_stream()))
        assert isinstance(decision, Skip)
        assert decision.reason == (
            "already MP4 with H.264 (640x272 <= 1920x1080, 8-bit) and AAC, starts fast"
        )

    def test_a_silent_file_is_told_to_be_silent(self) -> None:
        decision = decide(media_info(video_stream()))
        assert isinstance(decision, Skip)
        assert "no sound, starts fast" in decision.reason

    @pytest.mark.parametrize("container", ["matroska", "webm"])
    def test_matroska_needs_no_index_in_front_and_may_be_webm(self, container: str) -> None:
        media = media_info(
            video_stream(codec="av1"), audio_stream(codec="opus"), container=container
        ).model_copy(update={"faststart": None})
        assert isinstance(decide(media, "archive"), Skip)

    def test_on_skip_is_handed_on(self) -> None:
        wish = load_preset("web").model_copy(update={"guards": Guards(on_skip="link")})
        decision = decide(media_info(video_stream()), wish)
        assert isinstance(decision, Skip)
        assert decision.on_skip == "link"

    def test_skipping_can_be_switched_off(self) -> None:
        wish = load_preset("web").model_copy(update={"guards": Guards(skip_if_fits=False)})
        plan = planned(media_info(video_stream(), audio_stream()), wish)
        assert (plan.decision, plan.reason) == (
            "remux",
            "all kept streams fit: copied as wished",
        )

    def test_a_sound_file_may_be_as_wished_too(self) -> None:
        decision = decide(media_info(audio=audio_stream()), "audio")
        assert isinstance(decision, Skip)
        assert decision.reason == "already M4A with AAC, starts fast"

    def test_a_film_is_no_sound_file(self) -> None:
        plan = planned(media_info(video_stream(), audio_stream()), "audio")
        assert plan.decision == "remux"
        assert (plan.renditions, plan.audio[0].encoder) == ((), None)
        assert plan.reason == "all kept streams fit: copied from MP4 into M4A"


class TestRemux:
    def test_another_container(self) -> None:
        plan = planned(media_info(video_stream(), audio_stream(), container="mov"))
        assert plan.decision == "remux"
        assert plan.reason == "all kept streams fit: copied from QuickTime into MP4"
        assert copy_of(plan).tag == "avc1"
        assert plan.smaller_by is None

    def test_an_index_at_the_end(self) -> None:
        plan = planned(media_info(video_stream(), audio_stream(), faststart=False))
        assert plan.reason == "all kept streams fit: copied so that it starts fast"

    def test_tracks_that_are_not_kept(self) -> None:
        media = media_info(video_stream(), attachments=(attachment("data"),))
        plan = planned(media)
        assert plan.reason.endswith("without the tracks that are not kept")
        assert [finding.code for finding in plan.findings] == ["data-dropped"]

    def test_text_subtitles_change_their_form(self) -> None:
        media = media_info(video_stream(), subtitles=(subtitle(),))
        plan = planned(media)
        assert plan.decision == "remux"
        assert plan.subtitles[0].encoder == "mov_text"

    @pytest.mark.parametrize("codec", ["dvb_teletext", "unknown"])
    def test_text_that_cannot_be_read_is_left_out_and_told(self, codec: str) -> None:
        plan = planned(media_info(video_stream(), subtitles=(subtitle(codec=codec),)))
        assert plan.subtitles == ()
        assert [finding.code for finding in plan.findings] == ["subtitle-dropped-5"]
        assert "their format cannot be read" in plan.findings[0].message

    def test_the_chapters_own_track_is_no_loss(self) -> None:
        chapters = (Chapter(start=Fraction(0), end=Fraction(5), title="One"),)
        media = media_info(
            video_stream(), attachments=(attachment("data"),), chapters=chapters, faststart=False
        )
        plan = planned(media)
        assert plan.findings == ()
        assert plan.chapters

    def test_damaged_sources_are_never_copied(self) -> None:
        media = media_info(video_stream(), audio_stream(), findings=(DAMAGE,))
        plan = planned(media)
        assert plan.decision == "convert"
        assert encode_of(plan).codec == "h264"
        assert plan.audio[0].encoder == "aac"
        assert "damaged" in plan.reason
        assert damage_note(plan.findings) == "its end is missing"
        assert planned(media, "archive").smaller_by is None

    @pytest.mark.parametrize("preset", ["audio", "web"])
    def test_damaged_sound_is_never_copied(self, preset: str) -> None:
        plan = planned(media_info(audio=audio_stream(), findings=(DAMAGE,)), preset)
        assert plan.decision == "convert"
        assert plan.audio[0].encoder == "aac"

    def test_sound_alone_is_copied_where_films_become_a_ladder(self) -> None:
        plan = planned(media_info(audio=audio_stream(), faststart=False), "abr")
        assert (plan.decision, plan.audio[0].encoder) == ("remux", None)


class TestReject:
    def test_the_reason_is_what_validation_found(self) -> None:
        decision = decide(media_info(video_stream(), encrypted=True))
        assert isinstance(decision, Reject)
        assert "encrypted" in decision.reason

    @pytest.mark.parametrize(
        ("audio", "reason"),
        [
            (None, "it has no sound, and the preset keeps nothing else"),
            (audio_stream(decoded=False), "it holds no sound that could be decoded"),
        ],
    )
    def test_no_sound_for_a_sound_preset(self, audio: AudioStream | None, reason: str) -> None:
        decision = decide(media_info(video_stream(), audio), "audio")
        assert isinstance(decision, Reject)
        assert decision.reason == reason

    @pytest.mark.parametrize(
        ("changes", "preset", "reason"),
        [
            ({"colour": {"matrix": "ycgco-re"}}, "web", "YCgCo-Re, which cannot be converted"),
            ({"colour": {"transfer": "log100"}}, "abr", "its brightness is coded as a logarithm"),
            ({"colour": {"matrix": "ictcp"}}, "web", "does not say how bright they are meant"),
            ({"width": 8, "height": 2}, "hevc", "its pictures of 8x2 are too small for HEVC"),
        ],
    )
    def test_what_cannot_be_encoded(
        self, changes: dict[str, object], preset: str, reason: str
    ) -> None:
        decision = decide(media_info(video_stream(codec="mpeg4", **changes)), preset)
        assert isinstance(decision, Reject)
        assert reason in decision.reason

    def test_what_is_copied_needs_no_conversion_of_its_colours(self) -> None:
        stream = video_stream(colour={"matrix": "ycgco-re"})
        assert planned(media_info(stream, container="mov")).decision == "remux"

    def test_nothing_at_all(self) -> None:
        empty = media_info()
        decision = make_plan(empty, load_preset("web"), proved(), ValidationReport())
        assert isinstance(decision, Reject)
        assert decision.reason == "it holds nothing to convert"


MISFITS: list[tuple[dict[str, object], str]] = [
    ({"codec": "vp9"}, "VP9 is not H.264"),
    ({"width": 3840, "height": 2160}, "3840x2160 is larger than 1920x1080"),
    ({"sar": "64/45"}, "its pixels are not square (64:45)"),
    ({"mirrored": True}, "it is stored turned or mirrored"),
    ({"field_order": "tff"}, "it is interlaced"),
    ({"chroma": "444", "pix_fmt": "yuv444p"}, "its colour is sampled 4:4:4, not 4:2:0"),
    ({"chroma": "400", "pix_fmt": "gray"}, "sampled in grey"),
    ({"chroma": "other", "pix_fmt": "yuv410p"}, "sampled otherwise"),
    ({"bit_depth": 10, "pix_fmt": "yuv420p10le"}, "it has 10 bits a sample, not 8"),
    ({"profile": "High 10"}, "its profile is High 10"),
    ({"hdr": "hlg"}, "it is HLG"),
    ({"alpha": True}, "it has transparency"),
]


@pytest.mark.parametrize(("changes", "why"), MISFITS)
def test_a_stream_that_does_not_fit_is_encoded_and_the_reason_says_why(
    changes: dict[str, object], why: str
) -> None:
    plan = planned(media_info(video_stream(**changes), audio_stream()))
    assert plan.decision == "convert"
    assert f"the video becomes H.264: {why}" in plan.reason or f" {why}" in plan.reason
    assert plan.reason.endswith("; the sound is copied")
    assert encode_of(plan).pix_fmt == "yuv420p"


def test_limits_of_rate_and_size_are_limits_of_copies_too() -> None:
    media = media_info(video_stream(average_rate="60", bit_rate=9_000_000))
    plan = planned(media, "mobile")
    assert "more than 30 pictures a second and its bit rate is above 2500 kbit/s" in plan.reason
    video = encode_of(plan)
    assert (video.frame_rate, video.rate, video.time_base) == (30, 30, None)
    assert video.max_bit_rate == 2_500_000
    assert plan.expect.frames is None


def test_a_codec_that_is_wished_but_not_held_is_encoded() -> None:
    wish = changed("webm", copy_codecs=("h264",))
    assert "H.264 is not copied into WebM" in planned(media_info(video_stream()), wish).reason


def test_nothing_is_copied_where_no_codec_is_named() -> None:
    wish = changed("web", copy_codecs=())
    assert "H.264 is not copied" in planned(media_info(video_stream()), wish).reason


def test_turned_pictures_stay_in_mp4_and_are_turned_elsewhere() -> None:
    turned = video_stream(rotation=90, codec="av1")
    mkv = planned(media_info(turned), "archive")
    assert (encode_of(mkv).width, encode_of(mkv).rotation) == (720, 90)
    mp4 = planned(media_info(video_stream(rotation=90), faststart=False))
    assert mp4.decision == "remux"


def test_the_video_is_copied_and_only_the_sound_encoded() -> None:
    plan = planned(media_info(video_stream(), audio_stream(codec="ac3")))
    assert plan.reason == "the video fits and is copied; the sound becomes AAC: AC-3 is not AAC"
    assert copy_of(plan).codec == "h264"


class TestMainVideo:
    def test_the_default_one_wins_over_the_larger(self) -> None:
        small = video_stream(disposition={"default": True})
        large = video_stream(index=3, width=1920, height=1080)
        media = media_info(small, faststart=False).model_copy(update={"video": (large, small)})
        plan = planned(media)
        assert copy_of(plan).source_index == 0
        assert plan.findings[0].code == "extra-video-dropped"

    def test_the_larger_of_two_defaults_wins(self) -> None:
        both = tuple(
            video_stream(index=n, width=w, disposition={"default": True})
            for n, w in ((0, 320), (3, 640))
        )
        plan = planned(media_info(faststart=False).model_copy(update={"video": both}))
        assert copy_of(plan).source_index == 3


class TestColour:
    def test_hdr_is_kept_with_its_light_levels(self) -> None:
        display = {
            "red": ("17/25", "8/25"),
            "green": ("53/200", "69/100"),
            "blue": ("3/20", "3/50"),
            "white": ("3127/10000", "329/1000"),
            "min_luminance": "1/10000",
            "max_luminance": "1000",
        }
        stream = video_stream(
            hdr="hdr10",
            bit_depth=10,
            mastering_display=display,
            content_light={"max_cll": 1000, "max_fall": 200},
        )
        video = encode_of(planned(media_info(stream), "hevc"))
        assert (video.pix_fmt, video.profile, video.tonemap) == ("yuv420p10le", "main10", False)
        assert video.mastering_display is not None
        assert video.content_light is not None
        assert (video.colour.transfer, video.colour.primaries) == ("smpte2084", "bt2020")

    def test_hdr_is_tone_mapped_where_the_rule_says_so(self) -> None:
        stream = video_stream(hdr="hlg", bit_depth=10, colour={"matrix": "bt2020nc"})
        video = encode_of(planned(media_info(stream)))
        assert video.tonemap
        assert video.mastering_display is None
        assert video.source_colour.transfer == "arib-std-b67"
        assert video.colour.transfer == "bt709"

    @pytest.mark.parametrize(
        ("stream", "preset", "pix_fmt"),
        [
            (video_stream(bit_depth=10), "archive", "yuv420p10le"),
            (video_stream(), "archive", "yuv420p"),
            (video_stream(hdr="hdr10", bit_depth=10), "webm", "yuv420p"),
        ],
    )
    def test_depth(self, stream: VideoStream, preset: str, pix_fmt: str) -> None:
        assert encode_of(planned(media_info(stream), preset)).pix_fmt == pix_fmt

    def test_depth_as_the_source_is_8_after_tone_mapping(self) -> None:
        wish = changed("hevc", hdr="tonemap")
        video = encode_of(planned(media_info(video_stream(hdr="hlg", bit_depth=10)), wish))
        assert video.pix_fmt == "yuv420p"

    def test_full_range_becomes_limited(self) -> None:
        stream = video_stream(pix_fmt="yuvj422p", chroma="422", colour={"matrix": "bt470bg"})
        video = encode_of(planned(media_info(stream)))
        assert (video.source_colour.range, video.colour.range) == ("pc", "tv")
        assert video.colour.matrix == "bt470bg"

    def test_rgb_becomes_bt709_and_transparency_black(self) -> None:
        stream = video_stream(chroma="rgb", pix_fmt="argb", alpha=True)
        video = encode_of(planned(media_info(stream)))
        assert (video.source_colour.matrix, video.colour.matrix) == ("gbr", "bt709")
        assert video.flatten

    @pytest.mark.parametrize(
        ("colour", "source", "wanted"),
        [
            ({"matrix": "ycgco"}, ("ycgco", "bt709", None), ("bt709", "bt709", None)),
            (
                {"matrix": "bt2020c"},
                ("bt2020c", "bt2020", "bt2020-10"),
                ("bt2020nc", "bt2020", "bt2020-10"),
            ),
            (
                {"matrix": "chroma-derived-c", "primaries": "smpte432"},
                ("chroma-derived-c", "smpte432", "bt709"),
                ("bt709", "smpte432", "bt709"),
            ),
        ],
    )
    def test_a_matrix_that_cannot_be_scaled_becomes_a_usual_one(
        self,
        colour: dict[str, str],
        source: tuple[str, str | None, str | None],
        wanted: tuple[str, str | None, str | None],
    ) -> None:
        video = encode_of(planned(media_info(video_stream(codec="vp9", colour=colour))))
        assert video.rematrix
        before, after = video.source_colour, video.colour
        assert (before.matrix, before.primaries, before.transfer) == source
        assert (after.matrix, after.primaries, after.transfer) == wanted

    def test_rgb_in_name_only_is_left_to_the_decoder(self) -> None:
        stream = video_stream(codec="png", chroma="400", colour={"matrix": "gbr", "range": "pc"})
        video = encode_of(planned(media_info(stream)))
        assert (video.source_colour.matrix, video.source_colour.range) == (None, "pc")

    def test_a_silent_hd_source_made_smaller_is_named(self) -> None:
        large = encode_of(planned(media_info(video_stream(width=3840, height=2160))))
        assert large.colour.matrix == "bt709"
        tall = encode_of(planned(media_info(video_stream(width=1000, height=1080)), "mobile"))
        assert tall.colour.matrix == "bt709"
        same = encode_of(planned(media_info(video_stream(codec="mpeg4"))))
        assert same.colour.matrix is None


class TestTransparency:
    def codes(self, plan: EncodePlan) -> list[str]:
        return [finding.code for finding in plan.findings]

    def test_vp9_in_webm_keeps_it(self) -> None:
        stream = video_stream(codec="qtrle", chroma="rgb", pix_fmt="argb", alpha=True)
        plan = planned(media_info(stream), "webm")
        video = encode_of(plan)
        assert (video.pix_fmt, video.flatten, video.decoder) == ("yuva420p", False, None)
        assert self.codes(plan) == []

    def test_what_is_hidden_at_the_side_is_read_and_told_where_it_is_lost(self) -> None:
        plan = planned(media_info(video_stream(codec="vp9", alpha=True)))
        video = encode_of(plan)
        assert (video.pix_fmt, video.flatten, video.decoder) == ("yuv420p", True, "libvpx-vp9")
        assert self.codes(plan) == ["transparency-lost"]
        assert "on black" in plan.findings[0].message

    def test_a_node_that_cannot_read_it_says_so(self) -> None:
        node = proved().model_copy(update={"decoders": ("vp8",)})
        media = media_info(video_stream(codec="vp8", alpha=True))
        for preset in ("web", "webm"):
            plan = planned(media, preset, node)
            assert (encode_of(plan).flatten, encode_of(plan).decoder) == (False, None)
            assert plan.findings[0].message.endswith("this node cannot read it")

    @pytest.mark.parametrize(
        "changes", [{"bit_depth": 10, "hdr": "keep"}, {"codec": "h264", "speed": "fast"}]
    )
    def test_only_eight_bits_of_vp9_can_be_transparent(self, changes: dict[str, object]) -> None:
        plan = planned(
            media_info(video_stream(codec="vp8", alpha=True)), changed("webm", **changes)
        )
        assert encode_of(plan).flatten
        assert self.codes(plan) == ["transparency-lost"]

    def test_a_copy_keeps_it(self) -> None:
        stream = video_stream(codec="vp9", alpha=True)
        plan = planned(media_info(stream, container="matroska"), "webm")
        assert plan.decision == "remux"
        assert copy_of(plan).decoder == "libvpx-vp9"
        assert self.codes(plan) == []


class TestTags:
    TAGS = (("artist", "Someone"), ("album", "Songs"))

    def test_music_keeps_them(self) -> None:
        assert (
            planned(media_info(audio=audio_stream(codec="mp3"), tags=self.TAGS)).tags == self.TAGS
        )

    @pytest.mark.parametrize("preset", ["web", "audio"])
    def test_films_do_not(self, preset: str) -> None:
        media = media_info(video_stream(codec="vp8"), audio_stream(), tags=self.TAGS)
        assert planned(media, preset).tags == ()


class TestRate:
    @pytest.mark.parametrize(
        ("changes", "rate"),
        [
            ({"average_rate": "1000", "nominal_rate": "60"}, 60),
            ({"average_rate": None, "nominal_rate": None}, 25),
            ({"average_rate": "30000/1001"}, Fraction(30000, 1001)),
        ],
    )
    def test_a_clock_is_no_rate(self, changes: dict[str, object], rate: Fraction) -> None:
        stream = video_stream(codec="vp8", **changes)
        assert encode_of(planned(media_info(stream))).rate == rate

    @pytest.mark.parametrize(
        ("tick", "wanted"),
        [("1/1000", "1/1000"), (None, "1/90000"), ("1/28224000", "1/90000"), ("1", "1/90000")],
    )
    def test_timestamps_pass_through_on_the_sources_clock(
        self, tick: str | None, wanted: str
    ) -> None:
        stream = video_stream(codec="vp8", time_base=tick)
        assert encode_of(planned(media_info(stream))).time_base == Fraction(wanted)

    @pytest.mark.parametrize(
        ("changes", "rate"),
        [
            ({"average_rate": "29/1", "nominal_rate": "30/1"}, Fraction(30)),
            ({"average_rate": "2931/100", "nominal_rate": "90000/1"}, Fraction(30000, 1001)),
            ({"average_rate": "238/10", "nominal_rate": None}, Fraction(24000, 1001)),
            ({"average_rate": "481/2", "nominal_rate": "240/1"}, Fraction(240)),
        ],
    )
    def test_a_varying_rate_becomes_the_usual_one_that_was_meant(
        self, changes: dict[str, object], rate: Fraction
    ) -> None:
        stream = video_stream(codec="vp8", variable_rate=True, **changes)
        assert encode_of(planned(media_info(stream))).frame_rate is None
        wish = changed("web", rate_mode="constant")
        video = encode_of(planned(media_info(stream), wish))
        assert (video.frame_rate, video.time_base) == (rate, None)

    def test_a_constant_rate_stays_and_a_varying_one_is_not_copied(self) -> None:
        wish = changed("web", rate_mode="constant")
        steady = encode_of(planned(media_info(video_stream(codec="vp8")), wish))
        assert steady.frame_rate is None
        varying = planned(media_info(video_stream(variable_rate=True)), wish)
        assert "its frame rate varies" in varying.reason

    def test_the_highest_rate_is_the_limit_of_both(self) -> None:
        stream = video_stream(
            codec="vp8", variable_rate=True, average_rate="29/1", nominal_rate="30/1"
        )
        wish = changed("web", rate_mode="constant", max_rate=Fraction(24))
        assert encode_of(planned(media_info(stream), wish)).frame_rate == 24


class TestEncoders:
    def test_hardware_where_it_is_preferred_and_proved(self) -> None:
        wish = changed("web", hardware="prefer", copy_codecs=())
        video = encode_of(planned(media_info(video_stream()), wish, proved("h264_nvenc")))
        assert (video.encoder, video.hardware) == ("h264_nvenc", True)

    def test_software_where_there_is_none_or_the_picture_is_too_small(self) -> None:
        wish = changed("web", hardware="prefer", copy_codecs=())
        assert encode_of(planned(media_info(video_stream()), wish)).encoder == "libx264"
        small = video_stream(width=96, height=96)
        node = proved("h264_nvenc")
        assert encode_of(planned(media_info(small), wish, node)).encoder == "libx264"

    @pytest.mark.parametrize("codec", ["hevc", "webm"])
    def test_hardware_that_is_demanded_and_missing(self, codec: str) -> None:
        wish = changed(codec, hardware="require", copy_codecs=())
        with pytest.raises(CapabilityMissing, match="demands a hardware encoder"):
            decide(media_info(video_stream()), wish)

    def test_no_encoder_at_all(self) -> None:
        node = proved().model_copy(update={"encoders": ()})
        with pytest.raises(CapabilityMissing, match=r"no working H\.264 encoder"):
            decide(media_info(video_stream(codec="vp8")), node=node)

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"hdr": "hlg"}, "zscale"),
            ({"codec": "vp9", "colour": {"matrix": "ycgco"}}, "zscale"),
            ({"field_order": "bff"}, "bwdif"),
            ({"alpha": True}, "premultiply"),
        ],
    )
    def test_a_filter_that_is_missing(self, changes: dict[str, object], name: str) -> None:
        with pytest.raises(CapabilityMissing, match=f"no filter '{name}'"):
            decide(media_info(video_stream(**changes)), node=proved(filters=()))


class TestAudio:
    def test_rates_channels_and_layouts_are_what_the_codec_can(self) -> None:
        tracks = (
            audio_stream(codec="amr_nb", sample_rate=8000, channels=1),
            audio_stream(index=2, codec="pcm_s24le", sample_rate=96000, channels=8),
            audio_stream(index=3, channels=8),
        )
        media = media_info(video_stream()).model_copy(update={"audio": tracks})
        mono, downmixed, copied = planned(media).audio
        assert (mono.sample_rate, mono.layout, mono.bit_rate) == (16000, "mono", 96000)
        assert (downmixed.sample_rate, downmixed.layout, downmixed.channels) == (48000, "5.1", 6)
        assert (copied.encoder, copied.channels) == ("aac", 6)

    def test_four_channels_are_laid_out_as_the_codec_knows_them(self) -> None:
        media = media_info(video_stream(), audio_stream(codec="pcm_s16le", channels=4))
        assert planned(media).audio[0].layout == "4.0"
        assert planned(media, "webm").audio[0].layout == "quad"

    def test_mp3_is_stereo_at_most_and_flac_keeps_its_rate(self) -> None:
        media = media_info(video_stream(), audio_stream(codec="dts", sample_rate=96000, channels=6))
        rule = load_preset("archive").audio
        flac = load_preset("archive").model_copy(
            update={"audio": rule.model_copy(update={"codec": "flac"})}
        )
        track = planned(media, flac).audio[0]
        assert (track.sample_rate, track.bit_rate, track.channels) == (96000, None, 6)
        mp3 = load_preset("archive").model_copy(
            update={"audio": rule.model_copy(update={"codec": "mp3"})}
        )
        assert planned(media, mp3).audio[0].channels == 2

    def test_only_the_first_track_may_be_wished(self) -> None:
        wish = load_preset("web")
        wish = wish.model_copy(
            update={"audio": wish.audio.model_copy(update={"tracks": "first", "copy_codecs": ()})}
        )
        tracks = (audio_stream(), audio_stream(index=2, disposition={"default": True}))
        media = media_info(video_stream()).model_copy(update={"audio": tracks})
        plan = planned(media, wish)
        assert [track.source_index for track in plan.audio] == [2]
        assert "AAC is not copied" in plan.reason

    def test_a_codec_the_container_cannot_hold(self) -> None:
        wish = load_preset("webm")
        wish = wish.model_copy(
            update={"audio": wish.audio.model_copy(update={"copy_codecs": ("aac",)})}
        )
        assert (
            "AAC is not copied into WebM"
            in planned(media_info(video_stream(codec="vp9"), audio_stream()), wish).reason
        )

    def test_tracks_that_do_not_decode_are_left_out(self) -> None:
        tracks = (audio_stream(), audio_stream(index=2, decoded=False))
        media = media_info(video_stream()).model_copy(update={"audio": tracks})
        assert [track.source_index for track in planned(media).audio] == [1]

    @pytest.mark.parametrize(
        ("preset", "extension"), [("web", "m4a"), ("archive", "mka"), ("webm", "webm")]
    )
    def test_sound_alone_has_its_container(self, preset: str, extension: str) -> None:
        plan = planned(media_info(audio=audio_stream(codec="vorbis2")), preset)
        assert isinstance(plan.package, FilePackage)
        assert plan.package.extension == extension
        assert plan.renditions == ()

    def test_the_longest_track_is_the_duration_of_sound(self) -> None:
        tracks = (audio_stream(codec="mp3", duration="4"), audio_stream(index=2, duration="5"))
        media = media_info().model_copy(update={"audio": tracks})
        assert planned(media).expect.duration == 5
        nothing_said = media_info(audio=audio_stream(codec="mp3"))
        assert planned(nothing_said).expect.duration == 10


class TestSubtitlesAndAttachments:
    @pytest.mark.parametrize(
        ("preset", "codec", "wanted"),
        [
            ("web", "ass", ("mov_text", "mov_text")),
            ("web", "mov_text", ("mov_text", None)),
            ("archive", "mov_text", ("subrip", "srt")),
            ("archive", "ass", ("ass", None)),
            ("webm", "subrip", ("webvtt", "webvtt")),
        ],
    )
    def test_text(self, preset: str, codec: str, wanted: tuple[str, str | None]) -> None:
        media = media_info(video_stream(codec="mpeg4"), subtitles=(subtitle(codec=codec),))
        track = planned(media, preset).subtitles[0]
        assert (track.codec, track.encoder) == wanted
        assert track.language == "fra"

    def test_bitmaps_are_kept_in_matroska_and_told_elsewhere(self) -> None:
        bitmap = subtitle(codec="hdmv_pgs_subtitle", kind="bitmap", language=None)
        media = media_info(video_stream(codec="mpeg4"), subtitles=(bitmap,))
        assert planned(media, "archive").subtitles[0].encoder is None
        plan = planned(media)
        assert plan.subtitles == ()
        assert "picture subtitles of stream 5 are left out" in plan.findings[0].message

    def test_what_nobody_wants_is_dropped_without_a_word(self) -> None:
        wish = load_preset("web")
        rule = wish.subtitles.model_copy(update={"text": "drop", "bitmap": "drop"})
        tracks = (subtitle(), subtitle(index=6, codec="dvd_subtitle", kind="bitmap"))
        media = media_info(video_stream(), subtitles=tracks)
        plan = planned(media, wish.model_copy(update={"subtitles": rule}))
        assert (plan.subtitles, plan.findings) == ((), ())

    def test_presentations_hold_text_as_webvtt_of_its_own(self) -> None:
        text = subtitle()
        plan = planned(media_info(video_stream(), subtitles=(text,)), "abr")
        assert [(t.codec, t.track, t.language) for t in plan.subtitles] == [
            ("webvtt", "srt", "fra")
        ]
        assert plan.expect.subtitle_streams == 1
        assert plan.findings == ()

    def test_presentations_hold_no_pictures_of_text(self) -> None:
        bitmap = subtitle(codec="hdmv_pgs_subtitle", kind="bitmap")
        plan = planned(media_info(video_stream(), subtitles=(bitmap,)), "abr")
        assert plan.subtitles == ()
        assert "picture subtitles of stream 5 (fra)" in plan.findings[0].message

    def test_fonts_stay_in_matroska_and_covers_in_mp4(self) -> None:
        kinds = (
            attachment("font", filename="a.ttf"),
            attachment("cover", index=8),
            attachment("timecode", index=9),
            attachment("other", index=10),
        )
        media = media_info(video_stream(codec="vp8"), attachments=kinds)
        mkv, mp4 = planned(media, "archive"), planned(media)
        assert (mkv.attachments, mkv.covers) == ((7,), ())
        assert [f.code for f in mkv.findings] == [
            "cover-dropped",
            "timecode-dropped",
            "other-dropped",
        ]
        assert (mp4.attachments, mp4.covers) == ((), (8,))
        assert mp4.findings[0].message == "the attached fonts of the source are not kept in mp4"


class TestFingerprint:
    def test_words_do_not_count_but_choices_and_the_build_do(self) -> None:
        plan = planned(media_info(video_stream(codec="vp8")))
        said = plan.model_copy(update={"reason": "other words", "findings": (DAMAGE,)})
        built = plan.model_copy(update={"build": "other"})
        assert fingerprint(plan) == fingerprint(said)
        assert fingerprint(plan) != fingerprint(built)
        assert len(fingerprint(plan)) == 64

    def test_a_presentation_is_a_ladder(self) -> None:
        plan = planned(media_info(video_stream(), audio_stream()), "abr")
        assert [v.name for v in plan.renditions] == ["720p", "540p", "360p", "234p"]
        assert "ladder of H.264 and AAC" in plan.reason
        assert plan.audio[0].encoder == "aac"
        assert encode_of(plan).keyframe_interval == 4

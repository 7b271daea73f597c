"""What becomes of Dolby Vision and HDR10+ data, and what is said of it."""

from __future__ import annotations

import pytest
from fixtures_planning import copy_of, encode_of, media_info, proved, video_stream

from darkstream.errors import CapabilityMissing, InvalidPreset
from darkstream.model.capabilities import Capabilities
from darkstream.model.media import DolbyVision, VideoStream
from darkstream.model.plan import Decision, EncodePlan, Reject, Skip
from darkstream.model.preset import Preset
from darkstream.planning import make_plan, validate
from darkstream.planning.colour import base_layer
from darkstream.planning.presets import load_preset, parse_preset
from darkstream.planning.words import describe_dolby_vision

_DISPLAY = {
    "red": ("17/25", "8/25"),
    "green": ("53/200", "69/100"),
    "blue": ("3/20", "3/50"),
    "white": ("3127/10000", "329/1000"),
    "min_luminance": "1/10000",
    "max_luminance": "1000",
}
_CROP = {"width": 3840, "height": 1600, "x": 0, "y": 280}
_PQ = {"primaries": "bt2020", "transfer": "smpte2084", "matrix": "bt2020nc", "range": "tv"}
_HLG = _PQ | {"transfer": "arib-std-b67"}
_SDR = {"primaries": "bt709", "transfer": "bt709", "matrix": "bt709", "range": "tv"}


def _dolby(**changes: object) -> VideoStream:
    """A UHD stream of Dolby Vision profile 8.1, but for what is given."""
    values: dict[str, object] = {
        "codec": "hevc",
        "profile": "Main 10",
        "pix_fmt": "yuv420p10le",
        "bit_depth": 10,
        "width": 3840,
        "height": 2160,
        "average_rate": "24",
        "hdr": "dolby_vision",
        "dolby_vision": {"profile": 8, "compatibility": 1},
        "colour": _PQ,
        "mastering_display": _DISPLAY,
    }
    return video_stream(**(values | changes))


def _wish(name: str, *changes: str) -> Preset:
    return load_preset(name, changes=["video.copy_codecs=[]", *changes])


def _decide(
    stream: VideoStream,
    preset: Preset,
    capabilities: Capabilities | None = None,
    **changes: object,
) -> Decision:
    media = media_info(stream, **changes)
    return make_plan(media, preset, capabilities or proved(), validate(media))


def _plan(
    stream: VideoStream,
    preset: Preset,
    capabilities: Capabilities | None = None,
    **changes: object,
) -> EncodePlan:
    decision = _decide(stream, preset, capabilities, **changes)
    assert isinstance(decision, EncodePlan), decision
    return decision


def _losses(plan: EncodePlan) -> dict[str, str]:
    return {f.code: f.message for f in plan.findings if f.code.endswith("-dropped")}


@pytest.mark.parametrize(
    ("changes", "layer"),
    [
        ({"hdr": "none", "dolby_vision": None}, "none"),
        ({"hdr": "hlg", "dolby_vision": None}, "hlg"),
        ({"hdr": "hdr10plus", "dolby_vision": None}, "hdr10"),
        ({"hdr": "hdr10plus", "dolby_vision": None, "colour": {}}, "hdr10"),
        ({"hdr": "hdr10plus", "dolby_vision": None, "colour": _HLG}, "hlg"),
        ({"dolby_vision": None}, "hdr10"),
        ({"dolby_vision": None, "colour": {}}, "hdr10"),
        ({"dolby_vision": None, "colour": _SDR}, "none"),
        ({"colour": _HLG}, "hlg"),
        ({"colour": {}}, "hdr10"),
        ({"dolby_vision": {"profile": 8, "compatibility": 4}, "colour": {}}, "hlg"),
        ({"dolby_vision": {"profile": 8, "compatibility": 2}, "colour": _SDR}, "none"),
        ({"dolby_vision": {"profile": 7, "compatibility": 6}, "colour": {}}, "hdr10"),
        ({"dolby_vision": {"profile": 4, "compatibility": 0}, "colour": _SDR}, "none"),
        ({"dolby_vision": {"profile": 5}, "colour": _PQ}, None),
        ({"dolby_vision": {"profile": 10, "compatibility": 0}, "colour": {}}, None),
    ],
)
def test_what_others_see(changes: dict[str, object], layer: str | None) -> None:
    assert base_layer(_dolby(**changes)) == layer


@pytest.mark.parametrize(
    ("preset", "profile", "ceiling"), [("hevc", 8, 130_000_000), ("archive", 10, None)]
)
def test_data_are_kept_where_the_encoder_can(
    preset: str, profile: int, ceiling: int | None
) -> None:
    plan = _plan(_dolby(), _wish(preset))
    video = encode_of(plan)
    assert video.dolby_vision == DolbyVision(profile=profile, compatibility=1)
    assert video.max_bit_rate == ceiling
    assert not video.strip_dolby_vision
    assert _losses(plan) == {}


def test_hlg_with_data_is_profile_8_4() -> None:
    stream = _dolby(
        colour=_HLG, mastering_display=None, dolby_vision={"profile": 8, "compatibility": 4}
    )
    video = encode_of(_plan(stream, _wish("hevc")))
    assert video.dolby_vision == DolbyVision(profile=8, compatibility=4)


@pytest.mark.parametrize(
    ("size", "rate", "ceiling"),
    [
        ((1280, 720), "30", 50),
        ((1280, 720), "60", 70),
        ((1920, 1080), "60", 70),
        ((3840, 2160), "60", 130),
        ((3840, 2160), "120", 240),
        ((7680, 4320), "60", 450),
        ((7680, 4320), "120", 800),
    ],
)
def test_the_buffer_holds_what_the_level_allows(
    size: tuple[int, int], rate: str, ceiling: int
) -> None:
    wish = _wish("hevc", "video.max_width=7680", "video.max_height=4320")
    stream = _dolby(width=size[0], height=size[1], average_rate=rate)
    assert encode_of(_plan(stream, wish)).max_bit_rate == ceiling * 1_000_000


def test_a_lower_ceiling_of_the_preset_stays() -> None:
    wish = _wish("hevc", "video.max_bit_rate=20000000")
    assert encode_of(_plan(_dolby(), wish)).max_bit_rate == 20_000_000


@pytest.mark.parametrize(
    ("changes", "wishes", "why"),
    [
        ({}, ("hevc", "video.dynamic_hdr=drop"), "the preset drops them"),
        ({}, ("hevc", "video.hdr=tonemap"), "the output is not HDR"),
        ({}, ("hevc", "container=mov"), "does not declare them in QuickTime"),
        ({}, ("edit",), "ProRes has no place for them"),
        ({"dolby_vision": {"profile": 7, "compatibility": 6}}, ("hevc",), "two layers"),
        ({"dolby_vision": {"profile": 8, "enhancement": True}}, ("hevc",), "two layers"),
        ({"dolby_vision": {}}, ("hevc",), "its profile is unknown"),
        ({"dolby_vision": None}, ("hevc",), "its profile is unknown"),
        ({"colour": _PQ | {"primaries": "smpte432"}}, ("hevc",), "BT.2020 colours of 10 bits"),
        ({"mastering_display": None}, ("hevc",), "libx265 wants to know the mastering display"),
    ],
)
def test_lost_data_are_told_with_the_reason(
    changes: dict[str, object], wishes: tuple[str, ...], why: str
) -> None:
    plan = _plan(_dolby(**changes), _wish(*wishes))
    assert why in _losses(plan)["dolby-vision-dropped"]
    assert encode_of(plan).dolby_vision is None


def test_a_stream_for_players_carries_none() -> None:
    wish = _wish("abr", "video.codec=hevc", "video.hdr=keep", "video.bit_depth=10")
    plan = _plan(_dolby(), wish)
    assert "they are not streamed" in _losses(plan)["dolby-vision-dropped"]
    assert all(video.dolby_vision is None for video in plan.renditions)


@pytest.mark.parametrize(
    ("changes", "wishes", "kept"),
    [
        ({}, (), True),
        ({}, ("video.max_width=1920", "video.max_height=1080"), False),
        ({"rotation": 90}, (), False),
        (
            {"active": {"width": 3840, "height": 1600, "x": 0, "y": 280}},
            ("video.crop=auto",),
            False,
        ),
    ],
)
def test_data_that_count_pixels_go_with_pictures_of_that_size(
    changes: dict[str, object], wishes: tuple[str, ...], kept: bool
) -> None:
    said = {"profile": 8, "compatibility": 1, "letterboxed": True}
    plan = _plan(_dolby(dolby_vision=said, **changes), _wish("hevc", *wishes))
    assert (encode_of(plan).dolby_vision is not None) is kept
    assert kept or "another size" in _losses(plan)["dolby-vision-dropped"]
    without = _plan(_dolby(**changes), _wish("hevc", *wishes))
    assert encode_of(without).dolby_vision is not None


def test_a_damaged_source_keeps_none() -> None:
    finding = {"code": "truncated", "severity": "repairable", "message": "cut off"}
    plan = _plan(_dolby(), _wish("hevc"), findings=(finding,))
    assert "the source is damaged" in _losses(plan)["dolby-vision-dropped"]


def test_a_base_layer_of_sdr_is_encoded_as_that() -> None:
    stream = _dolby(dolby_vision={"profile": 8, "compatibility": 2}, colour=_SDR)
    plan = _plan(stream, _wish("hevc"))
    video = encode_of(plan)
    assert (video.tonemap, video.strip_dolby_vision) == (False, True)
    assert video.colour.transfer == "bt709"
    assert "the output is not HDR" in _losses(plan)["dolby-vision-dropped"]


class TestHdr10Plus:
    """HDR10+ alone, and beside Dolby Vision."""

    @pytest.mark.parametrize("demand", ["keep", "require"])
    def test_stays_in_hevc(self, demand: str) -> None:
        wish = _wish("hevc", f"video.dynamic_hdr={demand}")
        for stream in (_dolby(hdr10plus=True), _dolby(hdr="hdr10plus", dolby_vision=None)):
            plan = _plan(stream, wish)
            assert _losses(plan) == {}
            assert encode_of(plan).hdr10plus == demand
            assert (encode_of(plan).dolby_vision is None) is (stream.dolby_vision is None)

    def test_is_lost_in_av1_where_dolby_vision_is_not(self) -> None:
        plan = _plan(_dolby(hdr10plus=True), _wish("archive"))
        assert set(_losses(plan)) == {"hdr10plus-dropped"}
        assert encode_of(plan).hdr10plus is None
        assert encode_of(plan).dolby_vision is not None

    def test_stays_where_dolby_vision_cannot(self) -> None:
        stream = _dolby(hdr10plus=True, dolby_vision={"profile": 7, "compatibility": 6})
        plan = _plan(stream, _wish("hevc"))
        assert set(_losses(plan)) == {"dolby-vision-dropped"}
        assert encode_of(plan).hdr10plus == "keep"

    @pytest.mark.parametrize(
        ("changes", "wishes", "why"),
        [
            ({"colour": _HLG}, (), "they go with HDR10 alone"),
            ({"codec": "vp9"}, (), "not inside the packets of its VP9"),
            ({}, ("video.max_rate=12",), "they belong to single pictures"),
            ({}, ("video.dynamic_hdr=drop",), "the preset drops them"),
        ],
    )
    def test_is_told_to_be_lost(
        self, changes: dict[str, object], wishes: tuple[str, ...], why: str
    ) -> None:
        stream = _dolby(hdr="hdr10plus", dolby_vision=None, **changes)
        plan = _plan(stream, _wish("hevc", *wishes))
        assert why in _losses(plan)["hdr10plus-dropped"]
        assert encode_of(plan).hdr10plus is None


class TestDemand:
    """`video.dynamic_hdr: require`."""

    def test_is_met(self) -> None:
        plan = _plan(_dolby(), _wish("hevc", "video.dynamic_hdr=require"))
        assert _losses(plan) == {}
        assert encode_of(plan).dolby_vision_demanded
        assert not encode_of(_plan(_dolby(), _wish("hevc"))).dolby_vision_demanded

    def test_asks_nothing_of_other_sources(self) -> None:
        wish = _wish("hevc", "video.dynamic_hdr=require")
        assert encode_of(_plan(video_stream(), wish)).dolby_vision is None

    def test_rejects_what_would_be_lost(self) -> None:
        wish = _wish("hevc", "video.dynamic_hdr=require")
        decision = _decide(_dolby(dolby_vision={"profile": 7, "compatibility": 6}), wish)
        assert isinstance(decision, Reject)
        assert decision.reason.startswith("its Dolby Vision profile 7 data")
        assert decision.reason.endswith("and the preset demands them (video.dynamic_hdr)")

    def test_leaves_it_to_a_node_that_can(self) -> None:
        wish = _wish("hevc", "video.dynamic_hdr=require")
        able = proved()
        without = able.model_copy(
            update={
                "encoders": tuple(
                    one.model_copy(update={"dynamic_hdr": ()}) for one in able.encoders
                )
            }
        )
        with pytest.raises(CapabilityMissing, match="libx265 does not write them here"):
            _decide(_dolby(), wish, without)

    def test_of_a_copy_that_cannot_be_declared(self) -> None:
        wish = load_preset("hevc", changes=["container=mov", "video.dynamic_hdr=require"])
        assert isinstance(_decide(_dolby(), wish), Reject)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("extends: web\nname: x\nvideo: {dynamic_hdr: require}", "needs 'hdr: keep'"),
            (
                "extends: abr\nname: x\nvideo: {codec: hevc, hdr: keep, bit_depth: 10,"
                " dynamic_hdr: require}",
                "streams carry no data for single scenes",
            ),
        ],
    )
    def test_that_cannot_be_met_is_refused_when_it_is_read(self, text: str, said: str) -> None:
        with pytest.raises(InvalidPreset, match=said):
            parse_preset(text, "x.yaml")


class TestCopies:
    """Streams that fit are copied with what they have."""

    def test_are_declared_as_their_source(self) -> None:
        copy = copy_of(_plan(_dolby(), load_preset("hevc"), faststart=False))
        assert (copy.dolby_vision, copy.tag) == (DolbyVision(profile=8, compatibility=1), "hvc1")

    def test_of_silent_sources_are_silent_too(self) -> None:
        said = {"profile": 8, "declared": False}
        plan = _plan(_dolby(dolby_vision=said), load_preset("hevc"), faststart=False)
        assert copy_of(plan).dolby_vision is None
        assert _losses(plan) == {}

    def test_lose_their_declaration_in_quicktime_and_say_so(self) -> None:
        plan = _plan(_dolby(), load_preset("hevc", changes=["container=mov"]))
        assert copy_of(plan).dolby_vision is None
        assert set(_losses(plan)) == {"dolby-vision-dropped"}

    def test_are_not_made_of_what_is_fine_where_it_is(self) -> None:
        wish = load_preset("hevc", changes=["container=mov"])
        assert isinstance(_decide(_dolby(), wish, container="mov"), Skip)

    def test_of_profile_5_keep_others_away(self) -> None:
        stream = _dolby(dolby_vision={"profile": 5, "compatibility": 0}, colour={})
        plan = _plan(stream, load_preset("hevc", changes=["pictures.poster=true"]), faststart=False)
        assert copy_of(plan).tag == "dvh1"
        assert plan.companions == ()
        assert "pictures-left-out" in {finding.code for finding in plan.findings}
        silent = _plan(stream, load_preset("hevc", changes=["container=mkv"]))
        assert copy_of(silent).tag is None
        assert silent.findings == ()

    @pytest.mark.parametrize("preset", ["web", "archive", "edit"])
    def test_are_all_that_can_be_made_of_profile_5(self, preset: str) -> None:
        stream = _dolby(dolby_vision={"profile": 5, "compatibility": 0}, colour={})
        decision = _decide(stream, _wish(preset))
        assert isinstance(decision, Reject)
        assert "profile 5 (IPT-PQ-c2), which only Dolby Vision players show" in decision.reason


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (DolbyVision(), "Dolby Vision"),
        (DolbyVision(profile=5, compatibility=0), "Dolby Vision profile 5"),
        (DolbyVision(profile=7, compatibility=6), "Dolby Vision profile 7"),
        (DolbyVision(profile=8, compatibility=4), "Dolby Vision profile 8.4"),
    ],
)
def test_names(found: DolbyVision, name: str) -> None:
    assert describe_dolby_vision(found) == name

"""Which hardware encoder a rendition gets, and why it gets none."""

from __future__ import annotations

import pytest
from fixtures_planning import encode_of, media_info, proved, video_stream

from darkstream.errors import CapabilityMissing
from darkstream.model.capabilities import Capabilities
from darkstream.model.media import MasteringDisplay, MediaInfo
from darkstream.model.plan import Decision, EncodePlan, VideoEncode
from darkstream.model.preset import Preset, VideoRule
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset


def decide(media: MediaInfo, preset: Preset, node: Capabilities) -> Decision:
    return make_plan(media, preset, node, validate(media))


def _preset(name: str = "web", **rule: object) -> Preset:
    preset = load_preset(name)
    assert preset.video is not None
    told = {"hardware": "prefer", "copy_codecs": (), **rule}
    video = VideoRule.model_validate(preset.video.model_dump() | told)
    return preset.model_copy(update={"video": video})


def _only(node: Capabilities, name: str, **changes: object) -> Capabilities:
    """The node, with something else proved of one of its encoders."""
    encoders = tuple(
        one.model_copy(update=changes) if one.name == name else one for one in node.encoders
    )
    return node.model_copy(update={"encoders": encoders})


def _video(node: Capabilities, preset: Preset | None = None, **stream: object) -> VideoEncode:
    plan = decide(media_info(video_stream(**stream)), preset or _preset(), node)
    assert isinstance(plan, EncodePlan)
    return encode_of(plan)


def test_a_vendors_own_way_comes_first() -> None:
    node = proved("h264_v4l2m2m", "h264_vulkan", "h264_vaapi", "h264_qsv")
    assert (_video(node).encoder, _video(node).device) == ("h264_qsv", "/dev/dri/renderD128")
    assert _video(proved("h264_v4l2m2m", "h264_vaapi")).encoder == "h264_vaapi"


def test_rather_software_than_fewer_bits() -> None:
    deep = _preset("hevc", bit_depth=10)
    shallow = _only(proved("hevc_vaapi"), "hevc_vaapi", bits=(8,))
    assert _video(shallow, deep).encoder == "libx265"
    assert _video(proved("hevc_vaapi"), deep).pix_fmt == "yuv420p10le"


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ({"width": 320, "height": 120}, "a side of less than 160"),
        ({"width": 5120, "height": 2880}, "a side of more than 4096"),
    ],
)
def test_bounds_of_a_family(stream: dict[str, object], reason: str) -> None:
    wide = {"max_width": 8192, "max_height": 8192}
    node = proved("h264_nvenc")
    assert _video(node, _preset(**wide), **stream).encoder == "libx264"
    with pytest.raises(CapabilityMissing, match=f"h264_nvenc takes no pictures with {reason}"):
        decide(media_info(video_stream(**stream)), _preset(hardware="require", **wide), node)


def test_a_ladder_needs_key_frames_where_it_asks_for_them() -> None:
    node = _only(proved("h264_amf"), "h264_amf", rungs=False)
    assert _video(node, _preset("abr")).encoder == "libx264"
    assert _video(node).encoder == "h264_amf"
    with pytest.raises(CapabilityMissing, match="does not set key frames"):
        decide(media_info(video_stream()), _preset("abr", hardware="require"), node)


def test_hdr_needs_its_static_data() -> None:
    display = MasteringDisplay.model_validate(
        {
            **dict.fromkeys(("red", "green", "blue", "white"), ("0.3", "0.3")),
            "min_luminance": "0.005",
            "max_luminance": "1000",
        }
    )
    colour = {"primaries": "bt2020", "transfer": "smpte2084", "matrix": "bt2020nc"}
    hdr = {"bit_depth": 10, "pix_fmt": "yuv420p10le", "hdr": "hdr10", "colour": colour}
    preset = _preset("archive", codec="hevc", bit_depth=10, hdr="keep")
    node = _only(proved("hevc_vaapi"), "hevc_vaapi", hdr10=False)
    assert _video(node, preset, **hdr).encoder == "hevc_vaapi"
    assert _video(node, preset, **hdr, mastering_display=display).encoder == "libx265"
    demanding = preset.model_copy(
        update={"video": _preset("archive", codec="hevc", hdr="keep", hardware="require").video}
    )
    with pytest.raises(CapabilityMissing, match="loses the static data of HDR"):
        decide(media_info(video_stream(**hdr, mastering_display=display)), demanding, node)


def test_what_is_demanded_says_what_is_missing() -> None:
    film = media_info(video_stream())
    with pytest.raises(CapabilityMissing, match="this node has none that works"):
        decide(film, _preset(hardware="require"), proved())
    with pytest.raises(CapabilityMissing, match="they take 4:2:0 alone"):
        decide(film, _preset(hardware="require", chroma="keep"), proved("h264_nvenc"))
    deep = _preset("hevc", hardware="require", bit_depth=10)
    with pytest.raises(CapabilityMissing, match="was not proved with 10 bits"):
        decide(film, deep, _only(proved("hevc_amf"), "hevc_amf", bits=(8,)))

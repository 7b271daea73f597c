"""Where a GPU decodes and scales, and an encoder of software takes its pictures."""

from __future__ import annotations

import pytest
from fixtures_planning import encode_of, media_info, proved, video_stream

from darkstream.media.command import convert_command
from darkstream.model.capabilities import Capabilities, HardwareDecoder
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.preset import Preset
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset

H264 = HardwareDecoder(family="cuda", codec="h264", bits=8, scales=True, psnr=46.0, speed=2.5)
_LARGE = {"width": 1920, "height": 1080}


def _node(*decoders: HardwareDecoder) -> Capabilities:
    """A node like one with an H200: it decodes and scales, and encodes nothing."""
    return proved().model_copy(update={"hardware_decoders": decoders})


def _preset(name: str = "web", **rule: object) -> Preset:
    preset = load_preset(name)
    assert preset.video is not None
    told = {"hardware": "prefer", "max_width": 1280, "max_height": 720, "copy_codecs": ()}
    return preset.model_copy(update={"video": preset.video.model_copy(update=told | rule)})


def _plan(node: Capabilities, preset: Preset | None = None, **stream: object) -> EncodePlan:
    media = media_info(video_stream(**{**_LARGE, **stream}))
    plan = make_plan(media, preset or _preset(), node, validate(media))
    assert isinstance(plan, EncodePlan)
    return plan


def _video(node: Capabilities, preset: Preset | None = None, **stream: object) -> VideoEncode:
    return encode_of(_plan(node, preset, **stream))


def test_a_gpu_that_only_decodes_feeds_the_encoder_of_software() -> None:
    video = _video(_node(H264))
    assert (video.hwaccel, video.encoder, video.hardware) == ("cuda", "libx264", False)
    assert _node(H264).gpu is None, "jobs are not sent to it for its encoder"


@pytest.mark.parametrize(
    "decoder",
    [
        H264.model_copy(update={"speed": 1.1}),
        H264.model_copy(update={"scales": False}),
        H264.model_copy(update={"codec": "hevc"}),
        H264.model_copy(update={"bits": 10}),
    ],
    ids=["not faster", "other pictures", "another codec", "another depth"],
)
def test_only_where_it_was_measured_to_pay(decoder: HardwareDecoder) -> None:
    assert _video(_node(decoder)).hwaccel is None


@pytest.mark.parametrize(
    ("rule", "stream"),
    [
        ({"hardware": "never"}, {}),
        ({"max_width": 1920, "max_height": 1080}, {}),
        ({}, {"field_order": "tff"}),
        ({}, {"chroma": "422", "pix_fmt": "yuv422p"}),
        ({}, {"colour": {"range": "pc"}}),
        ({}, {"width": 5120, "height": 2880}),
        ({"max_rate": 10}, {}),
    ],
    ids=["never", "as large", "fields", "4:2:2", "full range", "too large", "other rate"],
)
def test_only_where_nothing_but_the_size_changes(
    rule: dict[str, object], stream: dict[str, object]
) -> None:
    assert _video(_node(H264), _preset(**rule), **stream).hwaccel is None


def test_the_fastest_of_several() -> None:
    vaapi = H264.model_copy(
        update={"family": "vaapi", "device": "/dev/dri/renderD128", "speed": 3.0}
    )
    video = _video(_node(H264, vaapi))
    assert (video.hwaccel, video.hwaccel_device) == ("vaapi", "/dev/dri/renderD128")
    assert _video(_node(H264, vaapi).without({"vaapi"})).hwaccel == "cuda"


def _words(plan: EncodePlan) -> list[str]:
    argv = convert_command(
        plan, program=b"ffmpeg", source=b"/films/a.mkv", directory=b"/work", max_pixels=1 << 26
    )
    return [word.decode() for word in argv]


@pytest.mark.parametrize(
    ("decoder", "before", "graph"),
    [
        (
            H264,
            ["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"],
            "[0:0]scale_cuda=format=nv12:h=720:interp_algo=lanczos:w=1280[s0];[s0]hwdownload[s1];"
            "[s1]format=pix_fmts=nv12[s2];[s2]format=pix_fmts=yuv420p[s3]",
        ),
        (
            H264.model_copy(update={"family": "vaapi", "device": "/dev/dri/renderD129"}),
            ["-hwaccel", "vaapi", "-hwaccel_device", "/dev/dri/renderD129"],
            "[0:0]scale_vaapi=format=nv12:h=720:mode=hq:w=1280[s0]",
        ),
        (
            H264.model_copy(update={"family": "vulkan", "device": "0"}),
            ["-hwaccel", "vulkan", "-hwaccel_device", "0"],
            "[0:0]scale_vulkan=format=nv12:h=720:w=1280[s0]",
        ),
    ],
    ids=["cuda", "vaapi", "vulkan"],
)
def test_the_words_of_a_family(decoder: HardwareDecoder, before: list[str], graph: str) -> None:
    words = _words(_plan(_node(decoder)))
    inputs = words[: words.index("-i")]
    assert all(word in inputs for word in before)
    assert words[words.index("-filter_complex") + 1].startswith(graph)


def test_ten_bits_come_back_as_ten() -> None:
    hevc = H264.model_copy(update={"codec": "hevc", "bits": 10})
    deep = {"codec": "hevc", "bit_depth": 10, "pix_fmt": "yuv420p10le"}
    words = _words(_plan(_node(hevc), _preset("hevc", bit_depth=10), **deep))
    assert (
        "hwdownload[s1];[s1]format=pix_fmts=p010le[s2]" in words[words.index("-filter_complex") + 1]
    )


def test_a_ladder_is_decoded_once_and_scaled_on_from_its_largest() -> None:
    ladder = _preset("abr", max_width=1280, max_height=720)
    graph = _words(_plan(_node(H264), ladder))
    text = graph[graph.index("-filter_complex") + 1]
    assert text.count("scale_cuda") == 1 and text.count("scale=") >= 2 and graph.count("-i") == 1

"""What `darkstream doctor` and `darkstream node list` say of hardware."""

from __future__ import annotations

from datetime import UTC, datetime

from fixtures_planning import proved
from fixtures_server import node_report

from darkstream.cli.doctor import _tell_hardware
from darkstream.cli.node import describe_gpus
from darkstream.model.capabilities import Gpu, HardwareDecoder
from darkstream.model.wire import Node


def test_each_encoder_and_decoder_has_a_line() -> None:
    cuda = HardwareDecoder(family="cuda", codec="h264", bits=8, scales=True, psnr=45.5, speed=2.4)
    vaapi = HardwareDecoder(
        family="vaapi",
        codec="hevc",
        bits=10,
        device="/dev/dri/renderD128",
        scales=False,
        psnr=36.1,
        speed=2.0,
    )
    slow = cuda.model_copy(update={"codec": "vp9", "speed": 0.8})
    node = proved("h264_vaapi").model_copy(
        update={"gpu": "Arc A380", "hardware_decoders": (cuda, vaapi, slow)}
    )
    assert list(_tell_hardware(node)) == [
        "GPU: Arc A380",
        "hardware encoder proved: h264_vaapi on /dev/dri/renderD128"
        " (8 and 10 bits, ladders, HDR10)",
        "hardware decoder proved: h264 with 8 bits by cuda: decodes and scales 1080p 2.4 times as"
        " fast as software, 45.5 dB alike",
        "hardware decoder proved: hevc with 10 bits by vaapi on /dev/dri/renderD128: decodes and"
        " scales 1080p 2 times as fast as software, 36.1 dB alike; not used: its scaler makes other"
        " pictures",
        "hardware decoder proved: vp9 with 8 bits by cuda: decodes and scales 1080p 0.8 times as"
        " fast as software, 45.5 dB alike; not used: software is as fast",
    ]


def test_a_machine_without_says_so() -> None:
    assert list(_tell_hardware(proved())) == [
        "GPU: no hardware encoder proved; encoding is done by the CPU"
    ]


def _node(gpu: str | None, *gpus: Gpu) -> Node:
    told = node_report(gpu=gpu).model_dump() | {"gpus": gpus}
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    return Node.model_validate(told | {"name": "rack", "live": True, "seen": seen})


def test_a_list_of_nodes_names_their_gpus() -> None:
    busy, silent = Gpu(name="L4", driver="570", busy=90), Gpu(name="H200", driver="570")
    assert describe_gpus(_node("L4", busy, silent)) == "L4 90 % busy, H200"
    assert describe_gpus(_node("Arc A380")) == "Arc A380"
    assert describe_gpus(_node(None)) == "-"

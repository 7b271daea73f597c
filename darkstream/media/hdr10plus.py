"""HDR10+ (SMPTE ST 2094-40) beside an encode by libx265, which reads it from a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from darkstream.errors import SourceError, VerificationFailed
from darkstream.media.probe import Prober
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.survey import Hdr10Plus
from darkstream.observe.cancel import CancelToken

_HEAD_BITS = 48
"""Country, provider, its code, application: told apart before."""
Scene = dict[str, Any]
"""One entry of the JSON, as libx265 names its fields."""


@dataclass(frozen=True)
class Scenes:
    """The data of a source as written for libx265, their digest, and what is to be said of them.

    No path: nothing is kept.
    """

    path: bytes | None = None
    digest: str | None = None
    findings: tuple[Finding, ...] = ()


def find_kept(plan: EncodePlan) -> VideoEncode | None:
    """The rendition that keeps the source's HDR10+ data, if there is one."""
    encodes = (one for one in plan.renditions if isinstance(one, VideoEncode))
    return next((one for one in encodes if one.hdr10plus is not None), None)


def prepare_hdr10plus(
    plan: EncodePlan,
    source: bytes,
    path: bytes,
    prober: Prober | None,
    cancel: CancelToken | None = None,
) -> Scenes:
    """Write the data of a source for libx265 to `path`, where the plan keeps them.

    Raises VerificationFailed where the preset demands what cannot be
    written, what `Prober.list_hdr10plus` does, and what the token was given.
    """
    video = find_kept(plan)
    if video is None:
        return Scenes()
    if prober is None:
        raise ValueError("a plan that keeps HDR10+ is carried out with a prober")
    found = prober.list_hdr10plus(source, video.source_index, cancel)
    scenes = [read_scene(bytes.fromhex(message)) for message in found.messages]
    if not scenes or None in scenes:
        why = "its HDR10+ data for single scenes are not kept: libx265 does not write their form"
        if video.hdr10plus == "require":
            raise VerificationFailed(f"{why}, and the preset demands them (video.dynamic_hdr)")
        lost = Finding(code="hdr10plus-dropped", severity=Severity.ok, message=why)
        return Scenes(findings=(lost,))
    write_scenes(Path(os.fsdecode(path)), [scene for scene in scenes if scene], found)
    return Scenes(path, _digest(found))


def check_hdr10plus(
    digest: str | None,
    output: bytes,
    prober: Prober,
    cancel: CancelToken | None = None,
) -> None:
    """Raise VerificationFailed where the pictures of an output have other data than promised."""
    if digest is None:
        return
    try:
        index = prober.probe(output).video[0].index
        found = prober.list_hdr10plus(output, index, cancel)
    except SourceError as error:
        raise VerificationFailed(f"the output cannot be read: {error}") from error
    if _digest(found) != digest:
        raise VerificationFailed("the output's HDR10+ data are not those of the source's pictures")


def write_scenes(path: Path, scenes: list[Scene], found: Hdr10Plus) -> None:
    """The JSON of all pictures, one entry each, as HDR10+ tools exchange it (profile A and B)."""
    lines = [json.dumps(scene)[:-1] for scene in scenes]
    with path.open("w", encoding="ascii") as file:
        file.write('{"JSONInfo":{"HDR10plusProfile":"B","Version":"1.0"},"SceneInfo":[')
        for place, number in enumerate(_each_picture(found)):
            entry = f'"SceneFrameIndex":{place},"SceneId":0,"SequenceFrameIndex":{place}'
            file.write(f"{',' if place else ''}{lines[number]}, {entry}}}\n")
        file.write('],"ToolInfo":{"Tool":"darkstream","Version":"1"}}')


def read_scene(message: bytes) -> Scene | None:
    """What a message says; None where it says more than libx265's form of it has a place for."""
    bits = _Bits(message, _HEAD_BITS)
    bits.take(8)
    windows, target = bits.take(2), bits.take(27)
    actual_peaks = bits.take(1)
    if windows != 1 or actual_peaks:
        return None
    peaks, average = [bits.take(17) for _ in range(3)], bits.take(17)
    shares = [(bits.take(7), bits.take(17)) for _ in range(bits.take(4))]
    bits.take(10)  # the share of bright pixels, which the form has no place for, nor players a use
    if bits.take(1):  # peaks of the mastering display
        return None
    scene: Scene = {
        "LuminanceParameters": {
            "AverageRGB": average,
            "LuminanceDistributions": {
                "DistributionIndex": [share for share, _ in shares],
                "DistributionValues": [value for _, value in shares],
            },
            "MaxScl": peaks,
        },
        "NumberOfWindows": 1,
        "TargetedSystemDisplayMaximumLuminance": target,
    }
    if bits.take(1):
        knee = {"KneePointX": bits.take(12), "KneePointY": bits.take(12)}
        anchors = [bits.take(10) for _ in range(bits.take(4))]
        scene = {"BezierCurveData": {"Anchors": anchors, **knee}, **scene}
    return None if bits.take(1) or bits.spent else scene


def _each_picture(found: Hdr10Plus) -> Iterator[int]:
    """The message of each picture; one without has that of the picture before it."""
    last = next((number for number, _ in found.runs if number >= 0), 0)
    for number, count in found.runs:
        last = last if number < 0 else number
        yield from (last for _ in range(count))


def _digest(found: Hdr10Plus) -> str:
    """Of what each picture's data say, in order."""
    said = [json.dumps(read_scene(bytes.fromhex(one))).encode() for one in found.messages]
    total = blake3()
    for number in _each_picture(found):
        total.update(said[number] if said else b"nothing")
    return total.hexdigest()


class _Bits:
    """Bits of a message, the most significant first; zeros after its end."""

    def __init__(self, data: bytes, place: int) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data) - place

    def take(self, width: int) -> int:
        self._left -= width
        if self._left < 0:
            return 0
        return self._value >> self._left & ((1 << width) - 1)

    @property
    def spent(self) -> bool:
        """Whether more was taken than there is."""
        return self._left < 0

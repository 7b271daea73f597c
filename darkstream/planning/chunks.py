"""Which films are encoded in parts, and where they are cut."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import pairwise

from darkstream.model.media import Finding, MediaInfo, Severity, VideoStream
from darkstream.model.plan import AbrPackage, Chunk, Chunking, EncodePlan, VideoEncode
from darkstream.model.preset import Preset
from darkstream.model.survey import PictureTimes
from darkstream.planning.estimates import PIXELS_A_SECOND

INDEX_DIFFERS = "index-differs"
"""Code of the finding that what was decoded is not what the packets promised."""
_WHOLE = "encoded-in-one-piece"
_ENCODERS = {"libx264", "libx265", "libsvtav1", "libvpx-vp9"}
"""At constant quality, and in containers whose packets say when they are shown."""
_BUFFERED = {"libx264", "libx265"}
"""Encoders that are told how much of the buffer below a ceiling is left."""
_CONTAINERS = {"mp4", "mov", "matroska", "webm"}
_LONG_S = 180
"""Estimated seconds of encoding from which on it hurts to begin anew."""
_CHUNK_S = 60
"""Estimated seconds that a chunk is encoded: what a crash may cost."""
_LEAST, _MOST = Fraction(10), Fraction(60)
"""Seconds of source."""
_MOST_CHUNKS = 1000
_LEAD = Fraction(60)
"""Seconds of source that may have to be decoded to reach the begin of a chunk."""


def wants_chunks(plan: EncodePlan, media: MediaInfo, preset: Preset) -> bool:
    """Whether a plan is better carried out in parts: it takes long, or the preset says so."""
    rule = preset.video
    if rule is None or plan.decision == "remux" or rule.chunk_seconds == 0:
        return False
    length = plan.expect.duration or media.duration or Fraction(0)
    if rule.chunk_seconds is not None:
        return length > rule.chunk_seconds
    return length > 2 * _LEAST and _estimate(plan) * length > _LONG_S


def whole_because(plan: EncodePlan, media: MediaInfo) -> str | None:
    """Why a plan cannot be carried out in parts that are together what it makes; None: it can."""
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    codes = {finding.code for finding in plan.findings}
    damaged = any(finding.severity is Severity.repairable for finding in plan.findings)
    stream = _source(plan, media)
    if not encodes or stream is None or any(v.encoder not in _ENCODERS for v in encodes):
        return "its encoder is not asked for a constant quality"
    package, ceiling = plan.package, any(video.max_bit_rate for video in encodes)
    first = encodes[0]
    per_scene = first.dolby_vision is not None or first.hdr10plus is not None
    reasons = {
        "its pictures are not what its packets promise": INDEX_DIFFERS in codes,
        "it is damaged": damaged or plan.source_bytes is not None,
        "its container does not say exactly where its pictures are": (
            media.container not in _CONTAINERS or first.time_base != stream.time_base
        ),
        "its frame rate is made constant": first.frame_rate is not None,
        "it has data for single scenes": per_scene or first.strip_dolby_vision,
        "something is drawn into it": plan.burn is not None or plan.overlay is not None,
        "its bit rate has a ceiling": ceiling and any(v.encoder not in _BUFFERED for v in encodes),
        "it is encrypted": isinstance(package, AbrPackage) and package.encryption is not None,
        "it is transparent": first.pix_fmt.startswith("yuva"),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def cut(plan: EncodePlan, media: MediaInfo, preset: Preset, times: PictureTimes) -> EncodePlan:
    """The plan with the chunks of its film.

    Cuts are at key frames of the source, where nothing has to be decoded twice and where encoders
    see new scenes; in ladders where segments begin. The plan as it is, with a finding, where there
    are no two chunks.
    """
    if not times.regular:
        return in_one_piece(plan, "its packets do not say when each picture is shown")
    shown = times.times()
    start = media.start or Fraction(0)
    places = _places(plan, times, shown)
    borders = _choose(places, shown, times.time_base, _target(plan, preset))
    if not borders:
        return in_one_piece(plan, "it has no key frames to cut it at")
    numbers = [0, *borders, len(shown)]
    chunks = tuple(
        Chunk(
            index=index,
            pictures=after - number,
            begin=shown[number],
            end=shown[after] if after < len(shown) else None,
            seek=_seek(plan, times, shown, number),
            keys=places.get(number, 0),
        )
        for index, (number, after) in enumerate(pairwise(numbers))
    )
    chunking = Chunking(time_base=times.time_base, start=start, chunks=chunks)
    return plan.model_copy(update={"chunking": chunking})


def in_one_piece(plan: EncodePlan, why: str) -> EncodePlan:
    """The plan with a finding that says why an interrupted encode of it begins anew."""
    message = f"it is encoded in one piece, and from its begin after a crash: {why}"
    finding = Finding(code=_WHOLE, severity=Severity.ok, message=message)
    return plan.model_copy(update={"findings": (*plan.findings, finding)})


def tell_difference() -> Finding:
    """That other pictures were decoded than the packets promised."""
    message = "more or fewer pictures were decoded than its packets promise"
    return Finding(code=INDEX_DIFFERS, severity=Severity.ok, message=message)


def _source(plan: EncodePlan, media: MediaInfo) -> VideoStream | None:
    index = next((video.source_index for video in plan.renditions), None)
    return next((stream for stream in media.video if stream.index == index), None)


def _estimate(plan: EncodePlan) -> Fraction:
    """Seconds of encoding for one of the film, on two cores at the shipped speeds."""
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    work = sum(v.width * v.height * v.rate / round(PIXELS_A_SECOND[v.codec]) for v in encodes)
    return Fraction(work)


def _target(plan: EncodePlan, preset: Preset) -> Fraction:
    """Seconds of source that a chunk should hold."""
    if preset.video is not None and preset.video.chunk_seconds:
        return preset.video.chunk_seconds
    return min(max(_CHUNK_S / _estimate(plan), _LEAST), _MOST)


def _places(plan: EncodePlan, times: PictureTimes, shown: list[int]) -> dict[int, int]:
    """Numbers of pictures at which a chunk may begin, and the key frames made before each."""
    if not isinstance(plan.package, AbrPackage):
        return dict.fromkeys(times.keys, 0)
    interval, lead = plan.package.segment_seconds / times.time_base, _LEAD / times.time_base
    made = 0
    places: dict[int, int] = {}
    for number, time in enumerate(shown):  # as ffmpeg forces them: see `-force_key_frames expr`
        if time - shown[0] >= made * interval:
            before = bisect_right(times.keys, number)
            if before and time - shown[times.keys[before - 1]] <= lead:
                places[number] = made
            made += 1
    return places


def _choose(
    places: dict[int, int], shown: list[int], tick: Fraction, target: Fraction
) -> list[int]:
    """Where chunks begin, but for the first: as near to the wished length as may be."""
    wished, least = target / tick, min(_LEAST, target) / 2 / tick
    end, begin = shown[-1], shown[0]
    candidates = [n for n in sorted(places) if n and end - shown[n] >= least]
    moments = [shown[number] for number in candidates]
    wished = max(wished, (end - begin) / Fraction(_MOST_CHUNKS))
    borders: list[int] = []
    earliest = bisect_left(moments, begin + least)
    while earliest < len(candidates) and end - begin - wished >= least:
        after = max(bisect_left(moments, begin + wished), earliest)
        near = [n for n in (after - 1, after) if earliest <= n < len(candidates)]
        aim = begin + wished
        best = min(near, key=lambda number: abs(moments[number] - aim))
        borders.append(candidates[best])
        begin = moments[best]
        earliest = bisect_left(moments, begin + least)
    return borders


def _seek(plan: EncodePlan, times: PictureTimes, shown: list[int], number: int) -> Fraction | None:
    """The key frame before a chunk, or one more where its first pictures need their neighbours."""
    if number == 0:
        return None
    deinterlaced = any(isinstance(v, VideoEncode) and v.deinterlace for v in plan.renditions)
    before = (bisect_left if deinterlaced else bisect_right)(times.keys, number)
    return shown[times.keys[before - 1]] * times.time_base if before else None

"""Whether a source has the Dolby Vision data, and its output those and HDR10+, as planned."""

from __future__ import annotations

import os

from darkstream.errors import SourceError, VerificationFailed
from darkstream.media.hdr10plus import check_hdr10plus
from darkstream.media.probe import Prober
from darkstream.model.encoded import Encoded
from darkstream.model.media import DolbyVision, Finding, Severity, VideoStream
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.observe.cancel import CancelToken
from darkstream.planning.words import describe_dolby_vision


def strip_gaps(
    plan: EncodePlan, source: bytes, prober: Prober | None, cancel: CancelToken | None = None
) -> tuple[EncodePlan, tuple[Finding, ...]]:
    """The plan without Dolby Vision where some of the source's pictures lack it, and a finding.

    Encoders end at the first such picture. Raises VerificationFailed where the preset demands it,
    what `Prober.survey` does, and what the token was given.
    """
    kept = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    kept = [video for video in kept if video.dolby_vision is not None]
    if not kept:
        return plan, ()
    if prober is None:
        raise ValueError("a plan that keeps Dolby Vision is carried out with a prober")
    seen = prober.survey(source, cancel).stream(kept[0].source_index)
    if seen is None or seen.dolby_vision == seen.packets:
        return plan, ()
    lacking = f"{seen.packets - seen.dolby_vision} of its {seen.packets} pictures lack them"
    why = f"its Dolby Vision data for single scenes are not kept: {lacking}"
    if kept[0].dolby_vision_demanded:
        raise VerificationFailed(f"{why}, and the preset demands them (video.dynamic_hdr)")
    bare = tuple(
        video.model_copy(update={"dolby_vision": None, "strip_dolby_vision": True})
        for video in kept
    )
    finding = Finding(code="dolby-vision-dropped", severity=Severity.ok, message=why)
    return plan.model_copy(update={"renditions": bare}), (finding,)


def check_dynamic_hdr(
    plan: EncodePlan, encoded: Encoded, prober: Prober, cancel: CancelToken | None = None
) -> None:
    """Raise VerificationFailed where a file is not declared as planned, or a picture lacks data.

    Or where the data are not those that the source has beside that picture.
    """
    path = os.path.join(encoded.directory, encoded.main)
    check_hdr10plus(encoded.hdr10plus, path, prober, cancel)
    wanted = any(rendition.dolby_vision is not None for rendition in plan.renditions)
    if encoded.without_dolby_vision or not wanted:
        return
    try:
        media, survey = prober.probe(path), prober.survey(path, cancel)
    except SourceError as error:
        raise VerificationFailed(f"the output cannot be read: {error}") from error
    for rendition, stream in zip(plan.renditions, media.video, strict=True):
        if rendition.dolby_vision is None:
            continue
        _check_record(rendition.dolby_vision, stream)
        seen = survey.stream(stream.index)
        told, packets = (0, 0) if seen is None else (seen.dolby_vision, seen.packets)
        if isinstance(rendition, VideoEncode) and told != packets:
            raise VerificationFailed(
                f"{packets - told} of the output's {packets} pictures lack Dolby Vision data"
            )


def _check_record(wanted: DolbyVision, stream: VideoStream) -> None:
    found = stream.dolby_vision or DolbyVision(declared=False)
    same = (found.profile, found.compatibility) == (wanted.profile, wanted.compatibility)
    if not found.declared or not same:
        got = describe_dolby_vision(found) if found.declared else "nothing of the kind"
        name = describe_dolby_vision(wanted)
        raise VerificationFailed(f"the output is declared as {got} instead of {name}")

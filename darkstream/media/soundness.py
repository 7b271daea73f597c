"""Whether a source is whole, at three levels: its packets, its key frames, all of it."""

from __future__ import annotations

from darkstream.media.damage import describe_damage, refuse_ruins
from darkstream.media.decoding import Decoder
from darkstream.media.probe import Prober
from darkstream.model.media import Finding, MediaInfo, VideoStream
from darkstream.model.survey import Level, Survey
from darkstream.planning.validation import judge_packets, merge_findings
from darkstream.planning.video import main_video


def check(
    media: MediaInfo, source: bytes, level: Level, *, prober: Prober, decoder: Decoder
) -> tuple[Survey | None, tuple[Finding, ...]]:
    """What all packets say, and findings on them; from level `normal` on also on what they decode.

    At level `headers` there is nothing to do: those were probed. Raises SourceRejected where most
    of it cannot be decoded, ProcessTimeout, and what the token was given.
    """
    if level == "headers" or media.encrypted:
        return None, ()
    survey = prober.survey(source, decoder.cancel)
    findings = judge_packets(media, survey)
    if level == "quick":
        return survey, findings
    tally, _ = decoder.decode(
        [source],
        reads=[source],
        formats=",".join(media.formats),
        strict=False,
        # ffmpeg calls it an error where no stream has key frames to choose.
        key_frames=level == "normal" and bool(media.video),
    )
    if level == "normal":
        return survey, merge_findings(findings, describe_damage(tally, expected=None, decoded=None))
    video = main_video(media)
    seen = tally.input(video.index) if video is not None else None
    expected = None if video is None else video.frames or _pictures(video, survey)
    decoded = seen.frames if seen is not None else None
    refuse_ruins(tally, expected=expected, decoded=decoded)
    damage = describe_damage(tally, expected=expected, decoded=decoded)
    return survey, merge_findings(findings, damage)


def _pictures(video: VideoStream, survey: Survey) -> int | None:
    """As many as there are packets, unless a packet may be but a field."""
    found = survey.stream(video.index)
    return found.packets if found is not None and video.field_order == "progressive" else None

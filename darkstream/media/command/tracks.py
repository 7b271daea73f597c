"""Options of sound, subtitles, covers and attachments, and what is kept of the metadata.

Kept: the title, languages, track titles, flags, chapters, and of music who made it. Everything else
(places, dates, devices) is left out: a published file tells nobody where it was filmed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from darkstream.media.command.encoders import Options
from darkstream.media.command.sound import sound_filters
from darkstream.model.encoded import Gain
from darkstream.model.media import Disposition
from darkstream.model.plan import AudioTrack, EncodePlan, FilePackage, SubtitleTrack
from darkstream.planning.languages import language_code

_FLAGS = tuple(Disposition.model_fields)


def track_options(plan: EncodePlan, gains: Sequence[Gain | None]) -> Options:
    """Everything of an output but its video and its container."""
    first = len(plan.renditions)
    options: Options = {
        # Not plain `map_metadata`: that would empty the titles of the chapters too.
        "map_metadata:g": -1,
        "map_metadata:s": -1,
        "map_chapters": 0 if plan.chapters else -1,
    }
    if plan.renditions:
        options["disposition:v:0"] = "default"
    for number, (audio, gain) in enumerate(zip(plan.audio, gains, strict=True)):
        options |= _audio(audio, gain, number) | _labels(plan, audio, f"a:{number}", first + number)
    first += len(plan.audio)
    inside = [track for track in plan.subtitles if track.track is None]
    for number, track in enumerate(inside):
        options[f"c:s:{number}"] = track.encoder or "copy"
        options |= _labels(plan, track, f"s:{number}", first + number)
    return options | _covers(plan) | _attachments(plan)


def tag_words(plan: EncodePlan) -> Iterator[str]:
    """What is said of the whole, one option each: ffmpeg-python gives an option only once."""
    tags = (("title", plan.title), *plan.tags) if plan.title else plan.tags
    for name, value in tags:
        yield from ("-metadata", f"{name}={value}")


def _audio(track: AudioTrack, gain: Gain | None, number: int) -> Options:
    if track.encoder is None:
        return {f"c:a:{number}": "copy"}
    options: Options = {"c": track.encoder, "ar": track.sample_rate}
    if track.layout:
        options["channel_layout"] = track.layout
    if (filters := sound_filters(track, gain)) is not None:
        options["filter"] = filters
    if track.bits == 24:
        options["sample_fmt"] = "s32"
    elif track.bits:
        options["sample_fmt"] = "s16"
    if track.bit_rate:
        options["b"] = track.bit_rate
    return {f"{name}:a:{number}": value for name, value in options.items()}


def _labels(plan: EncodePlan, track: AudioTrack | SubtitleTrack, place: str, index: int) -> Options:
    """Language, title and flags; the title by the stream's number, since a key stands once."""
    flags = "+".join(name for name in _FLAGS if getattr(track.disposition, name))
    options: Options = {f"disposition:{place}": flags or "0"}
    if track.language:
        options[f"metadata:s:{place}"] = f"language={_language(plan, track.language)}"
    if track.title:
        options[f"metadata:s:{index}"] = f"title={track.title}"
    return options


def _language(plan: EncodePlan, language: str) -> str:
    matroska = isinstance(plan.package, FilePackage) and plan.package.container in {"mkv", "webm"}
    return language if matroska else language_code(language)


def _covers(plan: EncodePlan) -> Options:
    options: Options = {}
    for number in range(len(plan.covers)):
        place = f"v:{len(plan.renditions) + number}"
        options |= {f"c:{place}": "copy", f"disposition:{place}": "attached_pic"}
    return options


def _attachments(plan: EncodePlan) -> Options:
    options: Options = {}
    for number, index in enumerate(plan.attachments):
        options |= {f"c:t:{number}": "copy", f"map_metadata:s:t:{number}": f"0:s:{index}"}
    return options

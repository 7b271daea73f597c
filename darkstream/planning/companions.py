"""What is published beside an output: subtitles as files, and pictures of the film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from darkstream.model.media import (
    Colour,
    Finding,
    MediaInfo,
    Severity,
    SubtitleStream,
    VideoStream,
)
from darkstream.model.plan import (
    Burn,
    Companion,
    Poster,
    Preview,
    Sidecar,
    Sprites,
    Thumbnails,
    VideoCopy,
    VideoEncode,
)
from darkstream.model.preset import Preset
from darkstream.planning.colour import base_layer, source_colour
from darkstream.planning.languages import language_code
from darkstream.planning.picture import display_size, make_square
from darkstream.planning.subtitles import READABLE, own_form

_HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}


def plan_companions(
    media: MediaInfo,
    video: VideoStream | None,
    preset: Preset,
    renditions: Sequence[VideoEncode | VideoCopy],
    burn: Burn | None,
) -> tuple[Companion, ...]:
    """Every companion, in the order in which they are made."""
    pictures = () if video is None else _pictures(video, preset, renditions)
    return (*_sidecars(media, preset, burn), *_captions(video, preset), *pictures)


def lost_pictures(video: VideoStream | None, preset: Preset) -> tuple[Finding, ...]:
    """A finding on pictures of the film that would have wrong colours, and are not made."""
    if video is None or base_layer(video) is not None:
        return ()
    rule = preset.pictures
    wished = rule.poster or rule.sprites_seconds or rule.thumbnails_seconds
    if not wished and rule.preview == "none":
        return ()
    message = "no pictures of it are made: only Dolby Vision players show its colours"
    return (Finding(code="pictures-left-out", severity=Severity.ok, message=message),)


def _sidecars(media: MediaInfo, preset: Preset, burn: Burn | None) -> Iterator[Sidecar]:
    wanted = preset.subtitles.sidecar
    if wanted == "none":
        return
    taken: set[str] = set()
    for stream in media.subtitles:
        if stream.kind != "text" or stream.codec not in READABLE:
            continue
        if burn is not None and burn.source_index == stream.index:
            continue
        label = _label(stream)
        number = next(n for n in range(1, len(media.subtitles) + 2) if f"{label}{n}" not in taken)
        taken.add(f"{label}{number}")
        mark = "" if number == 1 else f".{number}"
        yield Sidecar(
            suffix=f"{label}{mark}.{wanted}",
            source_index=stream.index,
            track=own_form(stream),
            format=wanted,
        )


def _captions(video: VideoStream | None, preset: Preset) -> Iterator[Sidecar]:
    wanted = preset.subtitles.sidecar
    if video is not None and video.captions and wanted != "none":
        yield Sidecar(
            suffix=f".cc.{wanted}",
            source_index=video.index,
            captions=True,
            track="ass",
            format=wanted,
        )


def _label(stream: SubtitleStream) -> str:
    """As Plex, Jellyfin and Kodi read it: '.eng.forced', '.deu.sdh'."""
    parts = [language_code(stream.language)] if stream.language else []
    flags = stream.disposition
    parts += ["forced"] if flags.forced else []
    parts += ["sdh"] if flags.hearing_impaired else []
    return "".join(f".{part}" for part in parts)


def _pictures(
    video: VideoStream, preset: Preset, renditions: Sequence[VideoEncode | VideoCopy]
) -> Iterator[Companion]:
    rule = preset.pictures
    if isinstance(renditions[0], VideoCopy) and base_layer(video) is None:
        return  # only a Dolby Vision player shows it in its colours
    shown, hdr = _shown(video, renditions[0])
    width, height = _small(shown, rule.width)
    if rule.poster:
        yield Poster(width=_even(shown[0]), height=_even(shown[1]), hdr=hdr)
    if rule.sprites_seconds is not None:
        yield Sprites(seconds=rule.sprites_seconds, width=width, height=height, hdr=hdr)
    if rule.thumbnails_seconds is not None:
        yield Thumbnails(seconds=rule.thumbnails_seconds, width=width, height=height, hdr=hdr)
    if rule.preview != "none":
        yield Preview(
            suffix=f"-preview.{rule.preview}",
            format=rule.preview,
            width=width,
            height=height,
            hdr=hdr,
        )


def _shown(
    video: VideoStream, first: VideoEncode | VideoCopy
) -> tuple[tuple[Fraction, Fraction], Colour | None]:
    """The size of the output as it is seen, and its colour where it is HDR."""
    if isinstance(first, VideoEncode):
        hdr = first.colour if first.colour.transfer in _HDR_TRANSFERS else None
        return make_square(first.width, first.height, first.sar), hdr
    return display_size(video), source_colour(video) if base_layer(video) != "none" else None


def _small(shown: tuple[Fraction, Fraction], width: int) -> tuple[int, int]:
    """As wide as wished, never wider than the output."""
    scale = min(Fraction(1), width / shown[0])
    return _even(shown[0] * scale), _even(shown[1] * scale)


def _even(length: Fraction) -> int:
    return max(2, round(length / 2) * 2)

"""HLS playlists over the segments of a presentation, as RFC 8216bis wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from darkstream.media.tracks import Track, mean_rate, peak_rate
from darkstream.model.media import Disposition
from darkstream.model.plan import AudioTrack, EncodePlan, SubtitleTrack
from darkstream.planning.languages import language_tag

_VERSION = "#EXT-X-VERSION:7"
_AUDIO, _SUBTITLES = "audio", "subtitles"
_FOR_BLIND = "public.accessibility.describes-video"
_FOR_DEAF = (
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
)


KeyTags = Mapping[str, Sequence[str]]
"""Lines of a playlist by the file before which they stand."""
NO_KEYS: KeyTags = {}


def media_playlist(track: Track, target: int, tags: KeyTags = NO_KEYS) -> str:
    """All segments of a track; `target`: the target duration of the whole presentation."""
    if track.kind == "text":
        # 6.2.4: subtitles of a whole presentation may have a target duration of their own.
        target = max(1, -int(-track.duration // 1))
    lines = _head(target)
    if track.init is not None:
        lines += ["#EXT-X-INDEPENDENT-SEGMENTS", *_map(track.init, tags)]
    for segment in track.segments:
        lines += [*tags.get(segment.name, ()), _length(segment.duration), segment.name]
    return _end(lines)


def key_playlist(track: Track, target: int, tags: KeyTags = NO_KEYS) -> str:
    """The first picture of every segment, for seeking by sight."""
    lines = [*_head(target), "#EXT-X-I-FRAMES-ONLY", *_map(track.init or "", tags)]
    for segment in track.segments:
        lines += [
            _length(segment.duration),
            f"#EXT-X-BYTERANGE:{segment.key_bytes}@0",
            segment.name,
        ]
    return _end(lines)


def master_playlist(
    plan: EncodePlan, tracks: Sequence[Track], target: int, *, key_frames: bool = True
) -> str:
    """The entrance: audio and subtitle groups, and every rendition of the video."""
    lines = ["#EXTM3U", _VERSION, "#EXT-X-INDEPENDENT-SEGMENTS"]
    audio = [track for track in tracks if track.kind == "audio"]
    texts = [track for track in tracks if track.kind == "text"]
    groups = _by_codec(audio, plan.audio)
    free = _free_in_all([[source for _, source in members] for members in groups.values()])
    for name, members in groups.items():
        own = [source for _, source in members]
        lines += _group_lines(name, [track for track, _ in members], own, free)
    lines += _group_lines(_SUBTITLES, texts, plan.subtitles, _free(_SUBTITLES, plan.subtitles))
    video = [track for track in tracks if track.kind == "video"]
    rates = [getattr(rendition, "rate", None) for rendition in plan.renditions]
    for name, members in groups.items() or {"": []}.items():
        sound = (name, [track for track, _ in members])
        for track, rate in zip(video, rates, strict=True):
            lines += [_variant(track, sound, texts, rate, target), track.playlist]
    if key_frames:
        lines += [_key_variant(track, target) for track in video]
    return "\n".join([*lines, ""])


def _head(target: int) -> list[str]:
    return [
        "#EXTM3U",
        _VERSION,
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]


def _map(name: str, tags: KeyTags) -> list[str]:
    return [*tags.get(name, ()), f'#EXT-X-MAP:URI="{name}"']


def _length(duration: Fraction) -> str:
    return f"#EXTINF:{float(duration):.6f},"


def _end(lines: list[str]) -> str:
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _by_codec(
    tracks: Sequence[Track], sources: Sequence[AudioTrack]
) -> dict[str, list[tuple[Track, AudioTrack]]]:
    """A group of each codec, in the plan's order: players take the first that they can play."""
    several = len({source.codec for source in sources}) > 1
    groups: dict[str, list[tuple[Track, AudioTrack]]] = {}
    for track, source in zip(tracks, sources, strict=True):
        name = f"{_AUDIO}-{source.codec}" if several else _AUDIO
        groups.setdefault(name, []).append((track, source))
    return groups


def _group_lines(
    group: str,
    tracks: Sequence[Track],
    sources: Sequence[AudioTrack | SubtitleTrack],
    free: Sequence[bool],
) -> Iterator[str]:
    """One line a track, `free`: whether a player may choose it by itself."""
    names = _names(sources)
    kind = _SUBTITLES if group == _SUBTITLES else _AUDIO
    default = _default(kind, sources)
    for number, (track, source, name) in enumerate(zip(tracks, sources, names, strict=True)):
        parts = [
            f"TYPE={kind.upper()}",
            f'GROUP-ID="{group}"',
            f'NAME="{name}"',
            f"DEFAULT={'YES' if number == default else 'NO'}",
            f"AUTOSELECT={'YES' if free[number] else 'NO'}",
            *_told(source),
            f'URI="{track.playlist}"',
        ]
        yield f"#EXT-X-MEDIA:{','.join(parts)}"


def _free_in_all(groups: Sequence[Sequence[AudioTrack]]) -> list[bool]:
    """The same of a member in each group of its kind (4.4.6.1.1)."""
    return [all(told) for told in zip(*(_free(_AUDIO, group) for group in groups), strict=True)]


def _free(kind: str, sources: Sequence[AudioTrack | SubtitleTrack]) -> list[bool]:
    """Those that a player may choose by itself differ, and one of them is the default."""
    default = _default(kind, sources)
    chosen: set[tuple[str, ...]] = set()
    found = []
    for number, source in enumerate(sources):
        told = tuple(_told(source))
        free = number == default or (not source.disposition.comment and told not in chosen)
        chosen |= {told} if free else set()
        found.append(free)
    return found


def _default(kind: str, sources: Sequence[AudioTrack | SubtitleTrack]) -> int | None:
    """Of sound always one; of subtitles only one whose source says so, forced ones never."""
    for number, source in enumerate(sources):
        if source.disposition.default and not source.disposition.forced:
            return number
    return 0 if kind == _AUDIO else None


def _told(source: AudioTrack | SubtitleTrack) -> list[str]:
    """What players choose a track by."""
    flags = source.disposition
    told = [f'LANGUAGE="{language_tag(source.language)}"'] if source.language else []
    if isinstance(source, AudioTrack):
        told.append(f'CHANNELS="{source.channels}"')
    elif flags.forced:
        told.append("FORCED=YES")
    if (character := _character(source, flags)) is not None:
        told.append(f'CHARACTERISTICS="{character}"')
    return told


def _character(source: AudioTrack | SubtitleTrack, flags: Disposition) -> str | None:
    if isinstance(source, AudioTrack):
        return _FOR_BLIND if flags.visual_impaired else None
    return _FOR_DEAF if flags.hearing_impaired else None


def _names(tracks: Sequence[AudioTrack | SubtitleTrack]) -> list[str]:
    """A name for each track, no two the same, that a quoted attribute can hold."""
    plain = [_plain_name(track) for track in tracks]
    return [
        name if plain.count(name) == 1 else f"{name} {number}"
        for number, name in enumerate(plain, start=1)
    ]


def _plain_name(track: AudioTrack | SubtitleTrack) -> str:
    usual = "Audio" if isinstance(track, AudioTrack) else "Subtitles"
    return " ".join((track.title or track.language or usual).replace('"', "'").split())


def _variant(
    track: Track,
    sound: tuple[str, Sequence[Track]],
    texts: Sequence[Track],
    rate: Fraction | None,
    target: int,
) -> str:
    """BANDWIDTH is the sum of the peaks of what is played together (4.4.6.2)."""
    group, audio = sound
    groups = [audio, texts]
    peak = track.peak(target) + sum(max((t.peak(target) for t in g), default=0) for g in groups)
    average = track.average + sum(max((t.average for t in g), default=0) for g in groups)
    codecs = ",".join([track.codecs, *sorted({other.codecs for other in audio})])
    parts = [f"BANDWIDTH={peak}", f"AVERAGE-BANDWIDTH={average}", *_picture(track, codecs)]
    if rate is not None:
        parts.append(f"FRAME-RATE={float(rate):.3f}")
    parts += [f'AUDIO="{group}"'] if audio else []
    parts += [f'SUBTITLES="{_SUBTITLES}"'] if texts else []
    return f"#EXT-X-STREAM-INF:{','.join(parts)}"


def _key_variant(track: Track, target: int) -> str:
    keys = [(segment.key_bytes or 0, segment.duration) for segment in track.segments]
    parts = [
        f"BANDWIDTH={peak_rate(keys, target)}",
        f"AVERAGE-BANDWIDTH={mean_rate(keys)}",
        *_picture(track, track.codecs),
        f'URI="{track.key_playlist}"',
    ]
    return f"#EXT-X-I-FRAME-STREAM-INF:{','.join(parts)}"


def _picture(track: Track, codecs: str) -> list[str]:
    return [
        f'CODECS="{codecs}"',
        f"RESOLUTION={track.width}x{track.height}",
        f"VIDEO-RANGE={track.video_range}",
    ]

"""The sound of a plan: which tracks, copied or encoded, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Literal

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import AudioStream, Finding, MediaInfo, Severity
from darkstream.model.plan import AudioTrack, Loudness
from darkstream.model.preset import AudioCodec, AudioRule, Container, Mix
from darkstream.planning.encoders import choose_audio_encoder
from darkstream.planning.formats import FORMATS, codec_for_sound
from darkstream.planning.languages import same_language
from darkstream.planning.words import listed, spoken

_RATES = {
    "aac": (16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (48000,),
    "mp3": (16000, 22050, 24000, 32000, 44100, 48000),
    "ac3": (32000, 44100, 48000),
    "eac3": (32000, 44100, 48000),
}
_USUAL_BIT_RATE = {"aac": 64_000, "opus": 64_000, "mp3": 96_000, "ac3": 75_000, "eac3": 64_000}
"""bit/s a channel."""
_LOW_RATES = (32, 40, 48, 56, 64, 80, 96, 112)
_BIT_RATES = {
    "ac3": (*_LOW_RATES, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
    "mp3": (*_LOW_RATES, 128, 160, 192, 224, 256, 320),
}
"""What these codecs know, kbit/s."""
_LOSSLESS = {"flac", "pcm"}
_DEEP_SOURCES = {"flac", "alac", "truehd", "tta", "wavpack", "ape", "mlp"}
"""Codecs that give back more than 16 bits a sample where more were recorded."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_OPUS_LAYOUTS = {**_LAYOUTS, 4: "quad"}
_PLACES = {
    name: frozenset(places.replace("S", "B").split())
    for name, places in {
        "mono": "FC",
        "stereo": "FL FR",
        "2.1": "FL FR LFE",
        "3.0": "FL FR FC",
        "3.0(back)": "FL FR BC",
        "3.1": "FL FR FC LFE",
        "4.0": "FL FR FC BC",
        "4.1": "FL FR FC LFE BC",
        "quad": "FL FR BL BR",
        "quad(side)": "FL FR SL SR",
        "5.0": "FL FR FC BL BR",
        "5.0(side)": "FL FR FC SL SR",
        "5.1": "FL FR FC LFE BL BR",
        "5.1(side)": "FL FR FC LFE SL SR",
    }.items()
}
_PLACES |= {
    "6.1": _PLACES["5.1"] | {"BC"},
    "7.0": _PLACES["5.0"] | {"SL", "SR"},
    "7.1": _PLACES["5.1"] | {"SL", "SR"},
}
"""Channels of ffmpeg's layouts, those beside taken for those behind but where there are both."""
_USUAL_LAYOUTS = {3: "2.1"}
"""What ffmpeg takes sound of so many channels for that says nothing of them."""
_MOST_HZ = 655_350
"""RFC 9639: more than FLAC, and than anybody has recorded."""
_STEREO, _SURROUND = 2, 6
_MIXES: Mapping[Mix, str] = {"stereo": "stereo", "dialogue": "stereo, clear speech"}
_COMMENTARY = ("commentary", "kommentar", "commentaire", "comentario", "commento")
_MOST_CHANNELS = {"mp3": 2, "ac3": 6, "eac3": 6}


def plan_audio(
    media: MediaInfo,
    rule: AudioRule,
    container: Container,
    capabilities: Capabilities,
    *,
    may_copy: bool,
    together: bool,
) -> tuple[AudioTrack, ...]:
    """Every kept track, each followed by its mixes; tracks that do not decode are left out.

    In the source's order, or that of the preferred languages; at least one is kept of any.
    `together`: all must begin with the picture, at 0.
    """
    kept = _choose(media, rule, container)
    codec = codec_for_sound(rule, container)
    mixes = {
        stream.index: _missing_mixes(stream, kept, rule)
        for stream in kept
        if not FORMATS[container].one_track
    }
    tracks: list[AudioTrack] = []
    for stream in kept:
        copied = may_copy and misfit(stream, rule, container) is None
        tracks.append(_copy(stream) if copied else _encode(stream, rule, codec, capabilities))
        wished = mixes.get(stream.index, ())
        tracks += [_mix(stream, mix, rule, codec, capabilities) for mix in wished]
    if together:
        tracks += _beside(kept, mixes, rule, capabilities)
        begins = {stream.index: stream.start for stream in kept}
        tracks = [_begin_with_rest(track, begins[track.source_index], media) for track in tracks]
    return _flag_default(tracks, rule)


def _beside(
    kept: list[AudioStream],
    mixes: Mapping[int, tuple[Mix, ...]],
    rule: AudioRule,
    capabilities: Capabilities,
) -> Iterator[AudioTrack]:
    """Every track again, in the second codec and at its own usual bit rate."""
    if (codec := rule.beside_codec) is None:
        return
    wide = rule.model_copy(update={"max_channels": _SURROUND, "bit_rate_per_channel": None})
    for stream in kept:
        yield _encode(stream, wide, codec, capabilities)
        for mix in mixes.get(stream.index, ()):
            yield _mix(stream, mix, wide, codec, capabilities)


def _begin_with_rest(track: AudioTrack, start: Fraction | None, media: MediaInfo) -> AudioTrack:
    late = None
    if start is not None and media.start is not None:
        late = max(Fraction(0), start - media.start)
    return track.model_copy(update={"padded": True, "late": late})


def tell_audio(
    media: MediaInfo, rule: AudioRule, container: Container, tracks: tuple[AudioTrack, ...]
) -> Iterator[Finding]:
    """What is said of tracks that are kept or left out against what one would expect."""
    usable = _usable(media)
    if rule.tracks == "languages" and usable and not any(map(_speaks(rule), usable)):
        wanted = listed(list(rule.languages))
        yield _finding("audio-language-missing", f"it has no sound in {wanted}: all of it is kept")
    left_out = len(usable) - len({track.source_index for track in tracks})
    if FORMATS[container].one_track and rule.tracks != "first" and left_out > 0:
        told = f"{spoken(container)} holds one track of sound: {left_out} of {len(usable)} are left"
        yield _finding("extra-audio-dropped", f"{told} out")


def _usable(media: MediaInfo) -> list[AudioStream]:
    return [stream for stream in media.audio if stream.decoded and stream.channels > 0]


def _choose(media: MediaInfo, rule: AudioRule, container: Container) -> list[AudioStream]:
    usable = _usable(media)
    if rule.commentary == "drop":
        usable = [stream for stream in usable if not _is_commentary(stream)] or usable
    if rule.tracks == "languages":
        usable = list(filter(_speaks(rule), usable)) or usable
    usable.sort(key=lambda stream: _rank(stream, rule))
    if rule.tracks == "first" or FORMATS[container].one_track:
        first = _best(usable, rule)
        return [] if first is None else [first]
    return usable


def _best(streams: list[AudioStream], rule: AudioRule) -> AudioStream | None:
    """The track people would hear first."""
    ranked = (
        (_rank(stream, rule), _is_commentary(stream), not stream.disposition.default, place)
        for place, stream in enumerate(streams)
    )
    best = min(ranked, default=None)
    return None if best is None else streams[best[-1]]


def _rank(stream: AudioStream, rule: AudioRule) -> int:
    """Place of its language in the preset's order."""
    places = (n for n, one in enumerate(rule.languages) if same_language(one, stream.language))
    return next(places, len(rule.languages))


def _speaks(rule: AudioRule) -> Callable[[AudioStream], bool]:
    return lambda stream: _rank(stream, rule) < len(rule.languages)


def _is_commentary(stream: AudioStream) -> bool:
    title = (stream.title or "").lower()
    return stream.disposition.comment or any(word in title for word in _COMMENTARY)


def _missing_mixes(
    stream: AudioStream, kept: list[AudioStream], rule: AudioRule
) -> tuple[Mix, ...]:
    """The mixes to make of a track; a track of one or two channels is taken for one made before."""
    if stream.channels <= _STEREO or rule.max_channels <= _STEREO:
        return ()
    language = stream.language or "und"
    there = sum(
        other.channels <= _STEREO
        and same_language(language, other.language)
        and not _is_commentary(other)
        for other in kept
    )
    return rule.beside_surround[there:]


def _flag_default(tracks: list[AudioTrack], rule: AudioRule) -> tuple[AudioTrack, ...]:
    """Where languages are preferred, the first track of them alone is the default one."""
    wished = tracks and any(same_language(one, tracks[0].language) for one in rule.languages)
    if not wished:
        return tuple(tracks)
    return tuple(
        track.model_copy(
            update={"disposition": track.disposition.model_copy(update={"default": number == 0})}
        )
        for number, track in enumerate(tracks)
    )


def misfit(stream: AudioStream, rule: AudioRule, container: Container) -> str | None:
    """Why a track cannot be copied, as part of a sentence; None: it fits."""
    if rule.codec == "copy":
        takes = FORMATS[container].takes_audio(stream.codec)
        return None if takes else f"{spoken(container)} does not hold {spoken(stream.codec)}"
    return next(_misfits(stream, rule, container), None)


def _misfits(stream: AudioStream, rule: AudioRule, container: Container) -> Iterator[str]:
    if stream.codec not in rule.copy_codecs:
        names = " or ".join(spoken(codec) for codec in rule.copy_codecs) or "copied"
        yield f"{spoken(stream.codec)} is not {names}"
    if not FORMATS[container].takes_audio(stream.codec):
        yield f"{spoken(stream.codec)} is not copied into {spoken(container)}"
    if stream.channels > rule.max_channels:
        yield f"it has {stream.channels} channels, not {rule.max_channels}"
    if rule.sample_rate is not None and stream.sample_rate != rule.sample_rate:
        yield f"it has {stream.sample_rate} samples a second, not {rule.sample_rate}"
    if rule.loudness is not None:
        yield "its loudness is brought to the preset's"


def _copy(stream: AudioStream) -> AudioTrack:
    return AudioTrack(
        source_index=stream.index,
        codec=stream.codec,
        channels=stream.channels,
        layout=stream.layout,
        sample_rate=stream.sample_rate,
        language=stream.language,
        title=stream.title,
        disposition=stream.disposition,
    )


def _encode(
    stream: AudioStream, rule: AudioRule, codec: AudioCodec, capabilities: Capabilities
) -> AudioTrack:
    channels, layout = _shape(stream, codec, min(rule.max_channels, _MOST_CHANNELS.get(codec, 8)))
    bits = _bits(stream) if codec in _LOSSLESS else None
    name = f"pcm_s{bits}le" if codec == "pcm" else codec
    return AudioTrack(
        source_index=stream.index,
        codec=name,
        encoder=name if codec == "pcm" else choose_audio_encoder(codec, capabilities),
        bit_rate=None if codec in _LOSSLESS else _bit_rate(codec, channels, rule),
        bits=bits if codec == "flac" else None,
        channels=channels,
        layout=layout,
        sample_rate=_sample_rate(rule.sample_rate or stream.sample_rate, codec),
        source_layout=stream.layout if channels < stream.channels else None,
        loudness=_loudness(rule),
        language=stream.language,
        title=stream.title,
        disposition=stream.disposition,
    )


def _mix(
    stream: AudioStream, mix: Mix, rule: AudioRule, codec: AudioCodec, capabilities: Capabilities
) -> AudioTrack:
    """A stereo track of a surround one, never the default."""
    stereo = rule.model_copy(update={"max_channels": _STEREO})
    made = _encode(stream, stereo, codec, capabilities)
    name = _MIXES[mix]
    return made.model_copy(
        update={
            "mix": mix,
            "title": f"{stream.title} ({name})" if stream.title else name.capitalize(),
            "disposition": stream.disposition.model_copy(update={"default": False}),
        }
    )


def _loudness(rule: AudioRule) -> Loudness | None:
    wish = rule.loudness
    return None if wish is None else Loudness(target=wish.target, true_peak=wish.true_peak)


def _finding(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.ok, message=message)


def _bits(stream: AudioStream) -> Literal[16, 24]:
    """Bits a sample that lose nothing: a lossy codec's floats hold no more than 16."""
    deep = stream.codec in _DEEP_SOURCES or stream.codec.startswith("pcm_")
    short = (stream.sample_format or "").rstrip("p") in {"u8", "s16"}
    return 24 if deep and not short else 16


def _bit_rate(codec: str, channels: int, rule: AudioRule) -> int:
    """One voice needs more than half a pair: a mono track gets one and a half shares."""
    share = rule.bit_rate_per_channel or _USUAL_BIT_RATE[codec]
    wanted = share * 3 // 2 if channels == 1 else share * channels
    known = [rate * 1000 for rate in _BIT_RATES.get(codec, ())]
    return min(known, key=lambda rate: abs(rate - wanted), default=wanted)


def _sample_rate(rate: int, codec: str) -> int:
    """The least rate of a codec that loses nothing, else the highest, Hz."""
    if codec in _LOSSLESS:
        return min(rate, _MOST_HZ)
    return min((r for r in _RATES[codec] if r >= rate), default=_RATES[codec][-1])


def _shape(stream: AudioStream, codec: str, most: int) -> tuple[int, str | None]:
    """Channels and layout of an encoded track: every channel of the source keeps its place.

    The least layout of the codec that has them all, else a mix of fewer. None: as the source's,
    which codecs without loss take as it is.
    """
    if codec in _LOSSLESS and stream.channels <= most:
        return stream.channels, None
    known = _OPUS_LAYOUTS if codec == "opus" else _LAYOUTS
    told = _PLACES.get(stream.layout or "") or _PLACES.get(_USUAL_LAYOUTS.get(stream.channels, ""))
    fitting = (
        (count, layout)
        for count, layout in known.items()
        if stream.channels <= count <= most and told is not None and told <= _PLACES[layout]
    )
    found = min(fitting, default=None)
    if found is not None:
        return found
    channels = min(stream.channels, most)
    if told is not None and stream.channels <= most:
        channels = _STEREO  # no layout has them all: the usual mix loses the least
    return channels, known[channels]

"""The sound's way from decoder to encoder: mixes, and the gain for its loudness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from darkstream.model.encoded import Gain
from darkstream.model.plan import AudioTrack
from darkstream.model.preset import Mix

_CHANNELS = {
    "3.0": "FL FR FC",
    "3.1": "FL FR FC LFE",
    "4.0": "FL FR FC BC",
    "quad": "FL FR BL BR",
    "quad(side)": "FL FR SL SR",
    "5.0": "FL FR FC BL BR",
    "5.0(side)": "FL FR FC SL SR",
    "5.1": "FL FR FC LFE BL BR",
    "5.1(side)": "FL FR FC LFE SL SR",
    "6.1": "FL FR FC LFE BC SL SR",
    "7.0": "FL FR FC BL BR SL SR",
    "7.1": "FL FR FC LFE BL BR SL SR",
}
"""ffmpeg's layouts (libavutil/channel_layout.c); of others it makes stereo by its own rule."""
_LEVELS: Mapping[Mix, Mapping[str, float]] = {
    # ITU-R BS.775-4, annex 4: front whole, centre and surround at -3 dB, no LFE.
    "stereo": {"front": 1.0, "FC": 0.7071, "around": 0.7071},
    # Speech is in the centre: everything else at a third of it.
    "dialogue": {"front": 0.35, "FC": 1.0, "around": 0.2},
}
_EVEN_OUT = "acompressor=threshold=0.06:ratio=3:attack=20:release=250:makeup=2"
"""Loud scenes come nearer to spoken ones, for evenings with neighbours."""
_PEAK_RATE = 192_000
"""Hz at which a limiter sees true peaks: four samples for one, as ITU-R BS.1770-5 annex 2 asks."""
_BEGUN = Fraction(1, 4)
_NO_GAPS = "aresample=async=1"
_HEADROOM_DB = 0.3
"""What the way back to the output's rate may add."""


def sound_filters(track: AudioTrack, gain: Gain | None) -> str | None:
    """The filters of one encoded track, as ffmpeg's words; None: there are none."""
    filters = (*_from_the_begin(track), *mix_filters(track), *gain_filters(track, gain))
    return ",".join(filters) or None


def _from_the_begin(track: AudioTrack) -> Iterator[str]:
    """Silence until the sound begins, and in its gaps.

    ffmpeg sets its filters up anew where the sound changes its form, and one that fills from 0
    would then fill all that was played already. So it gets the begin alone, where that is known:
    two parts of what has no gaps any more are joined a quarter of a second after it.
    """
    if not track.padded:
        return
    if track.late is None:
        yield f"{_NO_GAPS}:first_pts=0"
        return
    end = f"{float(track.late + _BEGUN):.6f}"
    shift = f"if(lt(STARTT\\,{end}+0.001)\\,{end}/TB\\,0)"
    yield (
        f"{_NO_GAPS},asplit=2[a][b];[a]atrim=end={end},{_NO_GAPS}:first_pts=0[c]"
        f";[b]atrim=start={end},asetpts=PTS-{shift}[d];[c][d]concat=v=0:a=1"
    )


def mix_filters(track: AudioTrack) -> Iterator[str]:
    """From the source's channels to the track's: what its loudness is measured behind."""
    if track.mix is not None:
        names = _CHANNELS.get(track.source_layout or "", "").split()
        if names:
            yield f"pan=stereo|FL<{_side('L', names, track.mix)}|FR<{_side('R', names, track.mix)}"
        if track.mix == "dialogue":
            yield _EVEN_OUT
    if track.layout and (track.mix is not None or track.loudness is not None):
        yield f"aformat=channel_layouts={track.layout}"


def _side(side: str, names: list[str], mix: Mix) -> str:
    levels = _LEVELS[mix]
    parts = [(f"F{side}", levels["front"]), ("FC", levels["FC"])]
    parts += [(f"B{side}", levels["around"]), (f"S{side}", levels["around"])]
    parts.append(("BC", levels["around"] * 0.7071))
    return "+".join(f"{level:.4g}*{name}" for name, level in parts if name in names)


def gain_filters(track: AudioTrack, gain: Gain | None) -> Iterator[str]:
    """To the loudness the plan demands, no peak above the one it allows."""
    if gain is None:
        return
    yield f"volume={gain.gain_db:.2f}dB:precision=double"
    if gain.limited and track.loudness is not None:
        peak = 10 ** ((track.loudness.true_peak - _HEADROOM_DB) / 20)
        yield f"aresample={_PEAK_RATE}"
        yield f"alimiter=limit={peak:.5f}:attack=5:release=50:level=disabled"
        yield f"aresample={track.sample_rate}"

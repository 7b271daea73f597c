"""Guards: sources that a preset leaves alone, whatever could be made of them."""

from __future__ import annotations

from collections.abc import Iterator

from darkstream.model.media import MediaInfo, VideoStream
from darkstream.model.preset import Guards
from darkstream.planning.picture import display_size
from darkstream.planning.words import spoken


def spare(media: MediaInfo, video: VideoStream | None, guards: Guards) -> str | None:
    """Why a source is left as it is, as a sentence; None: it is not."""
    why = next((why for why in _reasons(media, video, guards) if why), None)
    return None if why is None else f"left alone as the preset says: {why}"


def _reasons(media: MediaInfo, video: VideoStream | None, guards: Guards) -> Iterator[str | None]:
    yield _outside("bytes", media.size_bytes, guards.min_bytes, guards.max_bytes)
    if media.duration is not None:
        seconds = float(media.duration)
        least, most = (
            None if limit is None else float(limit)
            for limit in (guards.min_seconds, guards.max_seconds)
        )
        yield _outside("seconds", seconds, least, most)
        rate = media.size_bytes * 8 / seconds if seconds else None
        if guards.min_bit_rate is not None and rate is not None and rate < guards.min_bit_rate:
            yield f"it spends {rate / 1000:.0f} kbit/s, less than {guards.min_bit_rate / 1000:g}"
    if video is not None:
        if video.codec in guards.skip_codecs:
            yield f"its video is {spoken(video.codec)}"
        height = round(min(display_size(video)))
        yield _outside("pixels high", height, guards.min_height, guards.max_height)


def _outside(unit: str, value: float, least: float | None, most: float | None) -> str | None:
    if least is not None and value < least:
        return f"it is {_number(value)} {unit}, less than {_number(least)}"
    if most is not None and value > most:
        return f"it is {_number(value)} {unit}, more than {_number(most)}"
    return None


def _number(value: float) -> str:
    return f"{round(value, 2):,}".replace(",", " ").removesuffix(".0")

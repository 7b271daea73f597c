"""Text tracks taken out of a source, each a file of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pysubs2

from darkstream.media.command.sidecars import sidecar_command, track_name
from darkstream.media.decoding import Decoder
from darkstream.media.manifests import text_name
from darkstream.media.process import FfmpegProgress, run
from darkstream.model.plan import EncodePlan, Sidecar

_MOST_TEXT = 64 << 20
_CLOCK = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"
"""The presentation begins at 0, as the cues do (RFC 8216bis 3.1.4)."""


def take_texts(
    plan: EncodePlan, wishes: Sequence[Sidecar], source: bytes, directory: bytes, decoder: Decoder
) -> tuple[bytes | None, ...]:
    """The file of each wish in a directory, in the wished form; None where nothing can be read.

    Raises ProcessFailed, ProcessTimeout, and what the token was given.
    """
    os.makedirs(directory)
    argv = sidecar_command(
        plan,
        wishes,
        source,
        directory,
        program=os.fsencode(decoder.capabilities.ffmpeg),
        max_pixels=decoder.max_pixels,
    )
    run(
        decoder.sandbox.wrap(argv, read=[source], write=[directory]),
        limits=decoder.limits,
        cancel=decoder.cancel,
        on_progress=_ignore,
    )
    paths = [os.path.join(directory, track_name(n, wish)) for n, wish in enumerate(wishes)]
    return tuple(
        path if _convert(path, wish) else None for path, wish in zip(paths, wishes, strict=True)
    )


def write_texts(plan: EncodePlan, source: bytes, directory: bytes, decoder: Decoder) -> None:
    """The subtitles of a presentation as WebVTT beside its segments.

    Raises ProcessFailed, ProcessTimeout, and what the token was given.
    """
    wishes = [
        Sidecar(suffix="", source_index=track.source_index, track=track.track, format="vtt")
        for track in plan.subtitles
        if track.track is not None
    ]
    if not wishes:
        return
    aside = directory + b".texts"
    shutil.rmtree(aside, ignore_errors=True)
    for number, path in enumerate(take_texts(plan, wishes, source, aside, decoder)):
        cues = _read(path).partition("\n")[2] if path is not None else "\n"
        target = os.path.join(directory, text_name(number).encode())
        with open(target, "w", encoding="utf-8") as file:
            file.write(f"WEBVTT\n{_CLOCK}\n{cues}")
    shutil.rmtree(aside)


def _convert(path: bytes, wish: Sidecar) -> bool:
    """Bring a text track to the wished form, in place; false where nothing can be read in it."""
    if os.stat(path).st_size > _MOST_TEXT:
        return False
    text = without_programs(_read(path)) if wish.track == "ass" else _read(path)
    try:
        subtitles = pysubs2.SSAFile.from_string(text, format_=wish.track)
        made = text if wish.format == wish.track else subtitles.to_string(wish.format)
    except (pysubs2.exceptions.Pysubs2Error, ValueError, LookupError, OverflowError):
        return False  # a broken track is no reason to lose the film
    if not subtitles.events:
        return False
    with open(path, "w", encoding="utf-8") as file:
        file.write(made)
    return True


def without_programs(text: str) -> str:
    """An ASS track without its attached fonts and pictures, which libass would load."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith("["):
            inside = line.strip().lower() in {"[fonts]", "[graphics]"}
        if not inside:
            kept.append(line)
    return "".join(kept)


def _read(path: bytes) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

"""The sound of a film, encoded alone: it needs no pictures, and they do not have to wait for it."""

from __future__ import annotations

import os
import shutil

import structlog

from darkstream.errors import OutputTooLarge, ProcessFailed, ProcessKilled, ProcessTimeout
from darkstream.media.chunks import describe_file
from darkstream.media.command.soundtrack import (
    soundtrack_command,
    soundtrack_name,
    tracks_alone,
)
from darkstream.media.decoding import Decoder
from darkstream.media.encode import find_full, limit_size
from darkstream.media.loudness import find_gains
from darkstream.media.process import Completed, FfmpegProgress, Limits, run, shell_quote
from darkstream.media.tally import Tally
from darkstream.model.encoded import EncodedSoundtrack, Gain
from darkstream.model.paths import display
from darkstream.model.plan import AudioTrack, EncodePlan

log = structlog.get_logger(__name__)

_LOG_CHARACTERS = 16_384
_MOST_GAIN_DB = 100.0
"""Far more than any measured one, and far less than what would be no number behind it."""


def encode_soundtrack(
    plan: EncodePlan, source: bytes, directory: bytes, decoder: Decoder
) -> EncodedSoundtrack | None:
    """Encode the sound of a plan that has some into a directory (absolute), which is made anew.

    None where the sound is damaged, missing, too large or cannot be encoded: `encode_rest` tries it
    then, and tells of it. Raises ProcessKilled, ProcessTimeout, StorageFull, and what the token was
    given.
    """
    name = soundtrack_name(plan)
    if name is None:
        raise ValueError("the plan has no sound to encode alone")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    tally = Tally()
    try:
        gains = find_gains(plan, source, decoder)
        argv = soundtrack_command(
            plan,
            program=os.fsencode(decoder.capabilities.ffmpeg),
            source=source,
            directory=directory,
            max_pixels=decoder.max_pixels,
            gains=gains,
        )
        done = _carry_out(plan, argv, source, directory, decoder, tally)
    except OutputTooLarge as error:
        _give_up(source, directory, str(error))
        return None
    except (ProcessKilled, ProcessTimeout):
        raise
    except ProcessFailed as error:
        if (full := find_full(error, directory)) is not None:
            raise full from error
        _give_up(source, directory, str(error))
        return None
    made = EncodedSoundtrack(
        files=(describe_file(directory, name.encode(), decoder.cancel),),
        tracks=tracks_alone(plan),
        packets=tuple(stream.packets for stream in tally.outputs),
        sources=tuple(one for _, one in tally.inputs if one.index in _streams(plan)),
        gains=gains,
        command=shell_quote(argv),
        log="\n".join(tally.lines)[:_LOG_CHARACTERS],
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )
    if tally.errors or not fits(plan, made):
        _give_up(source, directory, tally.example or "a track of it is empty")
        return None
    return made


def fits(plan: EncodePlan, made: EncodedSoundtrack) -> bool:
    """Whether that is what a plan needs: its tracks, none of them empty, and loudness as wished."""
    tracks, wished = tracks_alone(plan), any(one.loudness is not None for one in plan.audio)
    return (
        made.tracks == tracks
        and len(made.packets) == len(tracks)
        and all(made.packets)
        and {one.index for one in made.sources} == _streams(plan)
        and all(one.packets for one in made.sources)
        and len(made.gains) == (len(plan.audio) if wished else 0)
        and all(map(_is_wished, plan.audio, made.gains))
    )


def _is_wished(track: AudioTrack, gain: Gain | None) -> bool:
    return gain is None or (track.loudness is not None and abs(gain.gain_db) <= _MOST_GAIN_DB)


def _streams(plan: EncodePlan) -> set[int]:
    return {plan.audio[number].source_index for number in tracks_alone(plan)}


def _carry_out(
    plan: EncodePlan,
    argv: tuple[bytes, ...],
    source: bytes,
    directory: bytes,
    decoder: Decoder,
    tally: Tally,
) -> Completed:
    return run(
        decoder.sandbox.wrap(argv, read=[source], write=[directory]),
        limits=limit_size(decoder.limits or Limits(), plan, source),
        cancel=decoder.cancel,
        on_progress=_ignore,
        on_stderr_line=tally.note,
    )


def _give_up(source: bytes, directory: bytes, reason: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)  # what is to be written next may need the room
    log.warning("soundtrack_not_encoded", source=display(source), reason=reason)


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

"""The sound of a film, encoded alone: it needs no pictures, and they do not have to wait for it."""

from __future__ import annotations

import os
import shutil

import structlog

from darkstream.errors import ProcessFailed, ProcessKilled, ProcessTimeout
from darkstream.media.chunks import describe_file
from darkstream.media.command.soundtrack import (
    is_alone,
    soundtrack_command,
    soundtrack_name,
)
from darkstream.media.decoding import Decoder
from darkstream.media.encode import find_full
from darkstream.media.loudness import find_gains
from darkstream.media.process import FfmpegProgress, run, shell_quote
from darkstream.media.tally import Tally
from darkstream.model.encoded import EncodedSoundtrack
from darkstream.model.plan import EncodePlan

log = structlog.get_logger(__name__)


def encode_soundtrack(
    plan: EncodePlan, source: bytes, directory: bytes, decoder: Decoder
) -> EncodedSoundtrack | None:
    """Encode the sound of a plan that has some into a directory (absolute), which is made anew.

    None where the sound is damaged, missing or cannot be encoded: `encode_rest` tries it then, and
    tells of it. Raises ProcessKilled, ProcessTimeout, StorageFull, and what the token was given.
    """
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    name = soundtrack_name(plan)
    if name is None:
        raise ValueError("the plan has no sound to encode alone")
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
        done = run(
            decoder.sandbox.wrap(argv, read=[source], write=[directory]),
            limits=decoder.limits,
            cancel=decoder.cancel,
            on_progress=_ignore,
            on_stderr_line=tally.note,
        )
    except (ProcessKilled, ProcessTimeout):
        raise
    except ProcessFailed as error:
        if (full := find_full(error, directory)) is not None:
            raise full from error
        log.warning("soundtrack_not_encoded", reason=str(error))
        return None
    streams = {track.source_index for track in filter(is_alone(plan), plan.audio)}
    sources = tuple(stream for _, stream in tally.inputs if stream.index in streams)
    missing = len(sources) < len(streams) or not all(stream.packets for stream in sources)
    if tally.errors or missing or not all(stream.packets for stream in tally.outputs):
        log.warning("soundtrack_not_whole", reason=tally.example or "a track of it is empty")
        return None
    return EncodedSoundtrack(
        files=(describe_file(directory, name.encode()),),
        sources=sources,
        gains=gains,
        command=shell_quote(argv),
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

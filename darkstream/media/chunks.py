"""A film in parts: each chunk one caged ffmpeg over the whole source, then all joined."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blake3 import blake3

from darkstream.errors import (
    IndexDiffers,
    ProcessFailed,
    ProcessKilled,
    ProcessTimeout,
    StorageError,
)
from darkstream.media.command import chunk_command
from darkstream.media.command.chunk import chunk_names
from darkstream.media.decoding import Decoder
from darkstream.media.devices import device_files
from darkstream.media.encode import find_full
from darkstream.media.probe import find_package
from darkstream.media.process import Completed, FfmpegProgress, run, shell_quote
from darkstream.media.tally import Tally
from darkstream.model.encoded import Assembled, ChunkFile, EncodedChunk, StreamTally
from darkstream.model.paths import display
from darkstream.model.plan import Chunk, Chunking, EncodePlan, VideoEncode
from darkstream.observe.cancel import CancelToken

_AT_THE_SEAM = re.compile(
    "mmco: unref short failure|co located POCs unavailable|reference picture missing during"
    "|Missing reference picture|number of reference frames .* exceeds max"
)
"""What libavcodec says of pictures before the one that was sought, which are not used."""
_PROGRAM = """
import sys
sys.path.extend({paths!r})
from darkstream.media.assembler import main
sys.exit(main(sys.argv[1:]))
"""


_UNLIKE = 3
"""Exit code of the program that joins, where chunks cannot be one stream."""


@dataclass(frozen=True)
class Joint:
    """Where the files of one encoded chunk are: absolute paths, in the plan's order."""

    made: EncodedChunk
    files: tuple[bytes, ...]


def encode_chunk(
    plan: EncodePlan,
    chunk: Chunk,
    source: bytes,
    directory: bytes,
    decoder: Decoder,
    on_progress: Callable[[FfmpegProgress], None],
) -> EncodedChunk:
    """Encode one chunk of a plan into a directory (absolute), which is made anew.

    Raises IndexDiffers where other pictures were decoded than the plan expects, ProcessFailed,
    ProcessTimeout, StorageFull, and what the token was given.
    """
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    argv = chunk_command(
        plan,
        chunk,
        program=os.fsencode(decoder.capabilities.ffmpeg),
        source=source,
        directory=directory,
        max_pixels=decoder.max_pixels,
        threads=decoder.threads,
    )
    tally = _Chunk(sought=chunk.seek is not None)
    done = _carry_out(plan, argv, source, directory, decoder, on_progress, tally)
    made = [stream.frames for stream in tally.outputs]
    if tally.errors or made != [chunk.pictures] * len(plan.renditions):
        told = tally.example or f"{made} pictures instead of {chunk.pictures}"
        raise IndexDiffers(f"chunk {chunk.index}: {told}")
    return EncodedChunk(
        index=chunk.index,
        files=tuple(describe_file(directory, name, decoder.cancel) for name in chunk_names(plan)),
        source=StreamTally(
            index=plan.renditions[0].source_index,
            kind="video",
            packets=chunk.pictures,
            frames=chunk.pictures,
            errors=0,
        ),
        command=shell_quote(argv),
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )


def join_chunks(
    plan: EncodePlan, joints: Sequence[Joint], directory: bytes, decoder: Decoder, *, encoded: int
) -> Assembled:
    """Join the chunks of a plan, all of them and in order, into files in a directory, made anew.

    `encoded`: how many of them are new. Raises IndexDiffers where they cannot be one stream,
    StorageError where one is gone, StorageFull, ProcessFailed, ProcessTimeout, and what the token
    was given.
    """
    if plan.chunking is None:
        raise ValueError("the plan has no chunks")
    gone = [path for joint in joints for path in joint.files if not os.path.exists(path)]
    if gone:
        raise StorageError(f"{display(gone[0])} is gone, a finished chunk: retry the job")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    files, wall_s, cpu_s = [], 0.0, 0.0
    for number in range(len(plan.renditions)):
        path = os.path.join(directory, b"video-%d.mp4" % number)
        done = _join(plan.chunking, [joint.files[number] for joint in joints], path, decoder)
        files.append(path)
        wall_s, cpu_s = wall_s + done.wall_s, cpu_s + done.cpu_s
    pictures = sum(chunk.pictures for chunk in plan.chunking.chunks)
    return Assembled(
        files=tuple(files),
        pictures=pictures,
        source=joints[0].made.source.model_copy(update={"packets": pictures, "frames": pictures}),
        chunks=len(joints),
        encoded=encoded,
        command=joints[0].made.command,
        wall_s=wall_s + sum(joint.made.wall_s for joint in joints),
        cpu_s=cpu_s + sum(joint.made.cpu_s for joint in joints),
    )


class _Chunk(Tally):
    """The tally of a run that reads from the middle on."""

    def __init__(self, *, sought: bool) -> None:
        super().__init__()
        self._sought = sought

    def note(self, line: str) -> None:
        if not (self._sought and _AT_THE_SEAM.search(line)):
            super().note(line)


def _carry_out(
    plan: EncodePlan,
    argv: tuple[bytes, ...],
    source: bytes,
    directory: bytes,
    decoder: Decoder,
    on_progress: Callable[[FfmpegProgress], None],
    tally: Tally,
) -> Completed:
    """Run the command of a chunk. Raises IndexDiffers where the source did not decode."""
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    caged = decoder.sandbox.wrap(
        argv,
        read=[source],
        write=[directory],
        devices=device_files() if any(video.hwaccel for video in encodes) else (),
    )
    try:
        return run(
            caged,
            limits=decoder.limits,
            cancel=decoder.cancel,
            on_progress=on_progress,
            on_stderr_line=tally.note,
        )
    except (ProcessKilled, ProcessTimeout):
        raise
    except ProcessFailed as error:
        if (full := find_full(error, directory)) is not None:
            raise full from error
        if tally.source_damaged:
            raise IndexDiffers(f"the source did not decode: {tally.example}") from error
        raise


def _join(chunking: Chunking, files: Sequence[bytes], output: bytes, decoder: Decoder) -> Completed:
    first = chunking.chunks[0].begin
    pieces = [
        (chunk.begin - first, os.fsdecode(path))
        for chunk, path in zip(chunking.chunks, files, strict=True)
    ]
    listed = output + b".json"
    # In a file: a command may not be as long as a long film's list.
    with open(listed, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump({"tick": str(chunking.time_base), "pieces": pieces}, file, ensure_ascii=False)
    paths = sorted({os.path.dirname(place) for place in _packages()})
    python = os.path.realpath(sys.executable)
    words = [python, "-I", "-S", "-c", _PROGRAM.format(paths=paths)]
    argv = [*map(os.fsencode, words), output, listed]
    places = sorted({os.path.dirname(path) for path in files})
    write = [os.path.dirname(output)]
    try:
        return run(
            decoder.sandbox.wrap(argv, read=[*_interpreter(), *places], write=write),
            limits=decoder.limits,
            cancel=decoder.cancel,
            on_progress=lambda _: None,
        )
    except (ProcessKilled, ProcessTimeout):
        raise
    except ProcessFailed as error:
        if error.code == _UNLIKE:
            raise IndexDiffers(f"its chunks cannot be joined: {error.stderr.strip()}") from error
        if (full := find_full(error, write[0])) is not None:
            raise full from error
        raise


def _interpreter() -> list[bytes]:
    """What the program that joins may read of this machine."""
    read = {os.path.realpath(sys.executable), sys.base_prefix, *_packages()}
    return sorted(os.fsencode(path) for path in read if not path.startswith("/usr"))


def _packages() -> list[str]:
    return [*find_package("av"), *find_package("darkstream")]


def describe_file(directory: bytes, name: bytes, cancel: CancelToken | None) -> ChunkFile:
    """Size and BLAKE3 of a file in a directory. Raises what the token was given."""
    state, size = blake3(), 0
    with open(os.path.join(directory, name), "rb") as file:
        while block := file.read(1 << 20):
            if cancel is not None:
                cancel.check()
            state.update(block)
            size += len(block)
    return ChunkFile(name=name.decode(), size=size, blake3=state.hexdigest())

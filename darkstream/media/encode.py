"""Encoding: one plan, one caged ffmpeg, its files in a directory of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace

from pydantic import ValidationError

from darkstream.errors import (
    ProcessFailed,
    ProcessKilled,
    ProcessTimeout,
    SourceRejected,
    StorageFull,
    VerificationFailed,
)
from darkstream.media.command import convert_command
from darkstream.media.command.convert import output_name
from darkstream.media.damage import describe_damage, describe_empty, describe_hidden, refuse_ruins
from darkstream.media.decoding import MAX_PIXELS
from darkstream.media.devices import device_files
from darkstream.media.manifests import directory_size, write_manifests
from darkstream.media.process import Completed, FfmpegProgress, Limits, run, shell_quote
from darkstream.media.sandbox import Sandbox
from darkstream.media.tally import Tally
from darkstream.model.capabilities import Capabilities
from darkstream.model.encoded import Encoded
from darkstream.model.paths import display
from darkstream.model.plan import AbrPackage, EncodePlan, VideoCopy, VideoEncode
from darkstream.observe.cancel import CancelToken

_FILES = b"output"
_VERIFIED = b"verified.json"
_GROWTH, _GROWTH_BYTES = 20, 1 << 30
"""An output larger than so many times its source, and a GiB, is that of a decoder gone astray."""
_NO_SPACE = "No space left on device"


def encode(  # noqa: PLR0913 - keywords, each one thing the caller has
    plan: EncodePlan,
    source: bytes,
    directory: bytes,
    *,
    capabilities: Capabilities,
    sandbox: Sandbox,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    on_progress: Callable[[FfmpegProgress], None] | None = None,
) -> Encoded:
    """Do what the plan says; `source` and `directory` are absolute, the directory exists.

    What an earlier attempt left there verified (`mark_verified`) is not encoded again. Raises
    ProcessFailed, ProcessTimeout, SourceRejected where nearly nothing could be decoded,
    VerificationFailed where ffmpeg lost pictures, StorageFull, and what the token was given.
    """
    if (earlier := read_verified(directory)) is not None:
        return earlier
    files = os.path.join(directory, _FILES)
    shutil.rmtree(files, ignore_errors=True)
    os.makedirs(files)
    argv = convert_command(
        plan,
        program=os.fsencode(capabilities.ffmpeg),
        source=source,
        directory=files,
        max_pixels=max_pixels,
        threads=threads,
    )
    caged = sandbox.wrap(argv, read=[source], write=[files], devices=_devices(plan))
    tally = Tally()
    allowed = _limit_size(limits or Limits(), plan, source)
    try:
        done = run(
            caged,
            limits=allowed,
            cancel=cancel,
            on_progress=on_progress or _ignore,
            on_stderr_line=tally.note,
        )
    except ProcessTimeout as error:
        if plan.smaller_by is None or "grew past" not in str(error):
            raise
        return _outgrown(plan, files, argv, tally, str(error))
    except ProcessKilled:
        raise
    except ProcessFailed as error:
        raise _explain(error, tally, directory) from error
    if plan.smaller_by is not None and _size(plan, files) > (allowed.output_bytes or 0):
        return _outgrown(plan, files, argv, tally, "the finished output is not small enough")
    return _finish(plan, files, argv, done, tally)


def mark_verified(encoded: Encoded, directory: bytes) -> None:
    """Remember that the files in `directory` were verified; a later attempt takes them."""
    path = os.path.join(directory, _VERIFIED)
    part = path + b".part"
    with open(part, "wb") as file:
        file.write(encoded.model_copy(update={"reused": True}).model_dump_json().encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


def read_verified(directory: bytes) -> Encoded | None:
    """What an earlier attempt left verified in `directory`, if it is all there."""
    try:
        with open(os.path.join(directory, _VERIFIED), "rb") as file:
            found = Encoded.model_validate_json(file.read())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return found if os.path.exists(os.path.join(found.directory, found.main)) else None


def _finish(
    plan: EncodePlan, files: bytes, argv: tuple[bytes, ...], done: Completed, tally: Tally
) -> Encoded:
    frames = _frames(plan, tally)
    decoded = _decoded(plan, tally)
    expected = plan.expect.frames
    refuse_ruins(tally, expected=expected, decoded=decoded)
    _check_counts(plan, frames, decoded)
    more = describe_hidden(plan, frames, decoded) + describe_empty(plan, tally)
    if isinstance(plan.package, AbrPackage):
        write_manifests(plan, files)
    return Encoded(
        directory=files,
        main=output_name(plan).encode(),
        frames=frames,
        source=tuple(stream for _, stream in tally.inputs),
        decode_errors=tally.errors,
        findings=describe_damage(tally, expected=expected, decoded=decoded) + more,
        command=shell_quote(argv),
        log="\n".join(tally.lines),
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )


def _frames(plan: EncodePlan, tally: Tally) -> tuple[int, ...]:
    made = {stream.index: stream for stream in tally.outputs}
    return tuple(
        made[index].frames or made[index].packets if index in made else 0
        for index in range(len(plan.renditions))
    )


def _decoded(plan: EncodePlan, tally: Tally) -> int | None:
    """Pictures read of the main video: decoded, or its packets where they are copied."""
    for rendition in plan.renditions:
        if isinstance(rendition, VideoEncode | VideoCopy):
            seen = tally.input(rendition.source_index)
            if seen is not None:
                return seen.frames if isinstance(rendition, VideoEncode) else seen.packets
    return None


def _check_counts(plan: EncodePlan, frames: tuple[int, ...], decoded: int | None) -> None:
    for rendition, count in zip(plan.renditions, frames, strict=True):
        exact = isinstance(rendition, VideoEncode) and rendition.frame_rate is None
        if decoded is not None and exact and count != decoded:
            raise VerificationFailed(
                f"ffmpeg read {decoded} pictures and wrote {count}: the output is not published"
            )


def _limit_size(limits: Limits, plan: EncodePlan, source: bytes) -> Limits:
    """End an encode that can no longer become as small as planned, or that fills the disk."""
    size = os.stat(source).st_size
    if plan.smaller_by is None:
        return replace(limits, output_bytes=_GROWTH * size + _GROWTH_BYTES)
    return replace(limits, output_bytes=max(1, int(size * (1 - plan.smaller_by))))


def _size(plan: EncodePlan, files: bytes) -> int:
    if isinstance(plan.package, AbrPackage):
        return directory_size(files)
    return os.stat(os.path.join(files, output_name(plan).encode())).st_size


def _outgrown(
    plan: EncodePlan, files: bytes, argv: tuple[bytes, ...], tally: Tally, why: str
) -> Encoded:
    shutil.rmtree(files, ignore_errors=True)
    return Encoded(
        directory=files,
        main=output_name(plan).encode(),
        frames=(),
        source=(),
        decode_errors=tally.errors,
        findings=describe_damage(tally, expected=None, decoded=None),
        outgrown=True,
        command=shell_quote(argv),
        log=why,
        wall_s=0.0,
        cpu_s=0.0,
    )


def _explain(error: ProcessFailed, tally: Tally, directory: bytes) -> Exception:
    if _NO_SPACE in error.stderr:
        return StorageFull(
            f"no space is left in the work directory {display(directory)}: free some, then retry "
            "the job"
        )
    if tally.source_damaged:
        return SourceRejected(f"it is too damaged to be converted: {tally.example}")
    reason = tally.example or "it did not say why"
    return ProcessFailed(
        f"ffmpeg failed: {reason}", argv=error.argv, code=error.code, stderr=error.stderr
    )


def _devices(plan: EncodePlan) -> list[bytes]:
    hardware = any(isinstance(v, VideoEncode) and v.hardware for v in plan.renditions)
    return device_files() if hardware else []


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

"""Encoding: one plan, one caged ffmpeg, its files in a directory of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog
from pydantic import ValidationError

from darkstream.errors import (
    OutputTooLarge,
    ProcessFailed,
    ProcessKilled,
    ProcessTimeout,
    SourceRejected,
    StorageFull,
    VerificationFailed,
)
from darkstream.media.command import convert_command, mux_command
from darkstream.media.command.convert import mark_of, output_name
from darkstream.media.command.drawing import Drawing
from darkstream.media.damage import describe_damage, describe_empty, describe_hidden, refuse_ruins
from darkstream.media.decoding import MAX_PIXELS, Decoder
from darkstream.media.devices import device_files
from darkstream.media.drawing import prepare_drawing
from darkstream.media.dynamic_hdr import strip_gaps
from darkstream.media.hdr10plus import Scenes, prepare_hdr10plus
from darkstream.media.loudness import find_gains
from darkstream.media.manifests import directory_size, write_manifests
from darkstream.media.probe import Prober
from darkstream.media.process import Completed, FfmpegProgress, Limits, run, shell_quote
from darkstream.media.sandbox import Sandbox
from darkstream.media.tally import Tally
from darkstream.media.texts import write_texts
from darkstream.model.capabilities import Capabilities
from darkstream.model.encoded import Assembled, Encoded, EncodedSoundtrack, Gain, Soundtrack
from darkstream.model.media import Finding
from darkstream.model.paths import display
from darkstream.model.plan import AbrPackage, EncodePlan, VideoCopy, VideoEncode
from darkstream.observe.cancel import CancelToken
from darkstream.planning.estimates import outgrows

log = structlog.get_logger(__name__)

_FILES = b"output"
_DRAWING = b"drawing"
_SCENES = b"hdr10plus.json"
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
    fonts: Path | None = None,
    prober: Prober | None = None,
    cancel: CancelToken | None = None,
    on_progress: Callable[[FfmpegProgress], None] | None = None,
) -> Encoded:
    """Do what the plan says; `source` and `directory` are absolute, the directory exists.

    What an earlier attempt left there verified (`mark_verified`) is not encoded again. `prober`
    looks for the data of plans that keep Dolby Vision or HDR10+. Raises ProcessFailed,
    ProcessTimeout, SourceRejected where nearly nothing could be decoded, VerificationFailed where
    ffmpeg lost pictures or such data are demanded and cannot be kept, StorageFull, and what the
    token was given.
    """
    if (earlier := read_verified(directory)) is not None:
        return earlier
    decoder = Decoder(capabilities, sandbox, limits, max_pixels, threads, cancel)
    gains = find_gains(plan, source, decoder)
    drawing = prepare_drawing(plan, source, os.path.join(directory, _DRAWING), decoder, fonts)
    plan, gaps = strip_gaps(plan, source, prober, cancel)
    scenes = prepare_hdr10plus(plan, source, os.path.join(directory, _SCENES), prober, cancel)
    files = _empty(directory)
    argv = convert_command(
        plan,
        program=os.fsencode(capabilities.ffmpeg),
        source=source,
        directory=files,
        max_pixels=max_pixels,
        threads=threads,
        gains=gains,
        drawing=drawing,
        hdr10plus=scenes.path,
    )
    reads = [source, *_drawn(plan, drawing), *filter(None, [scenes.path])]
    ran = _carry_out(plan, argv, reads, files, decoder, on_progress, drawing)
    if isinstance(ran, Encoded):
        return ran
    write_texts(plan, source, files, decoder)
    tally, done = ran
    return _note_kept(_finish(plan, files, argv, done, tally, gains), gaps, scenes)


def encode_rest(  # noqa: PLR0913 - keywords, each one thing the caller has
    plan: EncodePlan,
    video: Assembled,
    source: bytes,
    directory: bytes,
    *,
    capabilities: Capabilities,
    sandbox: Sandbox,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
    cancel: CancelToken | None = None,
    on_progress: Callable[[FfmpegProgress], None] | None = None,
) -> Encoded:
    """As `encode`, where the chunks of a plan are encoded and joined already: the rest of it.

    A soundtrack that does not go into the output as it is, is encoded once more, and the log says
    why.
    """
    if (earlier := read_verified(directory)) is not None:
        return earlier
    decoder = Decoder(capabilities, sandbox, limits, max_pixels, cancel=cancel)
    sound, refused = video.soundtrack, ""
    gains = find_gains(plan, source, decoder) if sound is None else sound.made.gains
    files = _empty(directory)
    rest = partial(_mux, plan, video, source, files, gains, decoder, on_progress)
    try:
        argv, ran = rest(sound)
    except (ProcessKilled, ProcessTimeout):
        raise
    except (ProcessFailed, SourceRejected, VerificationFailed) as error:
        if sound is None:
            raise
        log.warning("soundtrack_not_used", source=display(source), reason=str(error))
        sound, refused = None, f"its encoded sound did not go in as it was: {error}\n"
        _empty(directory)
        argv, ran = rest(None)
    if isinstance(ran, Encoded):
        return ran
    tally, done = ran
    write_texts(plan, source, files, decoder)
    # The joined files were copied: what counts is what was read of the source for them.
    read = [video.source, *(() if sound is None else sound.made.sources)]
    known = {one.index for one in read}
    tally.inputs = [one for one in tally.inputs if one[0] == 0 and one[1].index not in known]
    tally.inputs += [(0, one) for one in read]
    made = _finish(plan, files, argv, done, tally, gains)
    made = made.model_copy(update={"log": f"{refused}{made.log}"})
    return _note_chunks(made, video, sound)


def _mux(
    plan: EncodePlan,
    video: Assembled,
    source: bytes,
    files: bytes,
    gains: tuple[Gain | None, ...],
    decoder: Decoder,
    on_progress: Callable[[FfmpegProgress], None] | None,
    sound: Soundtrack | None,
) -> tuple[tuple[bytes, ...], tuple[Tally, Completed] | Encoded]:
    """The command that writes the output, and what came of it; all of the sound must be in it."""
    argv = mux_command(
        plan,
        video.files,
        program=os.fsencode(decoder.capabilities.ffmpeg),
        source=source,
        directory=files,
        max_pixels=decoder.max_pixels,
        gains=gains,
        soundtrack=None if sound is None else sound.path,
    )
    reads = [source, *video.files, *([] if sound is None else [sound.path])]
    ran = _carry_out(plan, argv, reads, files, decoder, on_progress, None)
    if sound is not None and not isinstance(ran, Encoded):
        made = {stream.index: stream.packets for stream in ran[0].outputs}
        first = len(plan.renditions)
        copied = tuple(made.get(first + number, 0) for number in sound.made.tracks)
        if copied != sound.made.packets:
            raise VerificationFailed(
                f"{copied} packets of sound were copied instead of {sound.made.packets}"
            )
    return argv, ran


def give_up(plan: EncodePlan, directory: bytes, why: str) -> Encoded:
    """What is left of an encode whose output would be larger than the plan allows."""
    return _outgrown(plan, os.path.join(directory, _FILES), (), Tally(), why)


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


def _empty(directory: bytes) -> bytes:
    """Where the output goes, made anew."""
    files = os.path.join(directory, _FILES)
    shutil.rmtree(files, ignore_errors=True)
    os.makedirs(files)
    return files


def _carry_out(
    plan: EncodePlan,
    argv: tuple[bytes, ...],
    reads: list[bytes],
    files: bytes,
    decoder: Decoder,
    on_progress: Callable[[FfmpegProgress], None] | None,
    drawing: Drawing | None,
) -> tuple[Tally, Completed] | Encoded:
    """Run the one command; `reads` begins with the source. An Encoded that is too large is none."""
    tally = Tally()
    allowed = limit_size(decoder.limits or Limits(), plan, reads[0])
    variables = None if drawing is None else drawing.variables
    caged = decoder.sandbox.wrap(
        argv, read=reads, write=[files], devices=_devices(plan), variables=variables
    )
    try:
        done = run(
            caged,
            limits=allowed,
            cancel=decoder.cancel,
            on_progress=_watch(plan, allowed.output_bytes or 0, argv, on_progress),
            on_stderr_line=tally.note,
        )
    except OutputTooLarge as error:
        if plan.smaller_by is None:
            raise
        return _outgrown(plan, files, argv, tally, str(error))
    except (ProcessKilled, ProcessTimeout):
        raise
    except ProcessFailed as error:
        raise _explain(error, tally, os.path.dirname(files)) from error
    if plan.smaller_by is not None and _size(plan, files) > (allowed.output_bytes or 0):
        return _outgrown(plan, files, argv, tally, "the finished output is not small enough")
    return tally, done


def _finish(
    plan: EncodePlan,
    files: bytes,
    argv: tuple[bytes, ...],
    done: Completed,
    tally: Tally,
    gains: tuple[Gain | None, ...],
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
        gains=gains,
        command=shell_quote(argv),
        log="\n".join(tally.lines),
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )


def _note_kept(made: Encoded, gaps: tuple[Finding, ...], scenes: Scenes) -> Encoded:
    """What was done about data for single scenes."""
    return made.model_copy(
        update={
            "without_dolby_vision": bool(gaps),
            "hdr10plus": scenes.digest,
            "findings": made.findings + gaps + scenes.findings,
        }
    )


def _note_chunks(made: Encoded, video: Assembled, sound: Soundtrack | None) -> Encoded:
    """The chunks' part in what was done."""
    told = f"{video.chunks} chunks, {video.encoded} of them encoded by this attempt"
    if video.helped:
        told += f", {video.helped} by others meanwhile"
    parts: list[Assembled | EncodedSoundtrack] = [video]
    if sound is not None:
        told += f"; the sound by {'an earlier attempt' if sound.found else 'this one'}, beside them"
        parts.append(sound.made)
    heard = "" if sound is None or not sound.made.log else f"\n{sound.made.log}"
    return made.model_copy(
        update={
            "command": "\n".join((made.command, *(part.command for part in parts))),
            "log": f"{told}\n{made.log}{heard}",
            "wall_s": made.wall_s + sum(part.wall_s for part in parts),
            "cpu_s": made.cpu_s + sum(part.cpu_s for part in parts),
        }
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


def limit_size(limits: Limits, plan: EncodePlan, source: bytes) -> Limits:
    """End an encode that can no longer become as small as planned, or that fills the disk."""
    size = os.stat(source).st_size
    if plan.smaller_by is None:
        return replace(limits, output_bytes=_GROWTH * size + _GROWTH_BYTES)
    return replace(limits, output_bytes=max(1, int(size * (1 - plan.smaller_by))))


def _watch(
    plan: EncodePlan,
    allowed: int,
    argv: tuple[bytes, ...],
    on_progress: Callable[[FfmpegProgress], None] | None,
) -> Callable[[FfmpegProgress], None]:
    """Hands progress on; raises OutputTooLarge once it is clear that it will not be small enough.

    Progress that nobody asked for is still read: it shows that ffmpeg is alive.
    """
    duration = plan.expect.duration

    def watch(progress: FfmpegProgress) -> None:
        if on_progress is not None:
            on_progress(progress)
        if plan.smaller_by is None or not duration or not progress.out_time:
            return
        done = min(float(progress.out_time / duration), 1.0)
        if outgrows(progress.total_size or 0, done, allowed):
            raise OutputTooLarge(
                f"after {done:.0%} it is {progress.total_size} bytes: it would grow past {allowed}",
                argv=argv,
                code=0,
                stderr="",
            )

    return watch


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


def find_full(error: ProcessFailed, directory: bytes) -> StorageFull | None:
    """What to raise where a tool failed for want of space in the work directory."""
    if _NO_SPACE not in error.stderr:
        return None
    return StorageFull(
        f"no space is left in the work directory {display(directory)}: free some, then retry "
        "the job"
    )


def _explain(error: ProcessFailed, tally: Tally, directory: bytes) -> Exception:
    if (full := find_full(error, directory)) is not None:
        return full
    if tally.source_damaged:
        return SourceRejected(f"it is too damaged to be converted: {tally.example}")
    reason = tally.example or "it did not say why"
    return ProcessFailed(
        f"ffmpeg failed: {reason}", argv=error.argv, code=error.code, stderr=error.stderr
    )


def _drawn(plan: EncodePlan, drawing: Drawing | None) -> list[bytes]:
    """What is read to draw into the pictures."""
    directory = b"" if drawing is None else drawing.directory
    return [path for path in (directory, mark_of(plan)) if path]


def _devices(plan: EncodePlan) -> list[bytes]:
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    return device_files() if any(one.hardware or one.hwaccel for one in encodes) else []

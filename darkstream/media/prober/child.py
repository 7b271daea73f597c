"""The caged child: gets each file as an open descriptor, answers one JSON object a file.

Protocol on the socket: one byte out when it is ready; then what to do and one descriptor in
(SCM_RIGHTS), one 4-byte length and JSON out, until the other end is closed. A length of 0 says that
it is still at work.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import av.logging

from darkstream.media.prober.describe import describe
from darkstream.media.prober.endings import Beginning
from darkstream.media.prober.head import Refused, check_head
from darkstream.media.prober.layout import Layout, read_layout
from darkstream.media.prober.scenes import list_hdr10plus
from darkstream.media.prober.survey import survey
from darkstream.media.prober.times import list_times

if TYPE_CHECKING:
    from av.container import InputContainer

SURVEY = b"survey"
HDR10PLUS, TIMES = b"hdr10plus:", b"times:"
"""Before the index of a stream."""
_ALIVE = bytes(4)
_COLLECT_EVERY = 64
"""Files. A container and its streams hold each other, and what libav has for them is much larger
than Python's collector thinks: by itself it lets some fifty KiB a file lie."""

_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,live_flv,ogg,asf,rm,mxf,"
    "nut,dv,gxf,ivf,h264,hevc,av1,obu,m4v,vc1,yuv4mpegpipe,aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,"
    "caf,dts,dtshd,flac,mp3,wav,w64,wv,tta,loas,truehd,mjpeg,gif,swf,wtv,nsv,vob,4xm,bink,smk"
)
"""What may read a file: never a demuxer that opens others (concat, hls, dash, image2 …)."""
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}
_INDEXED_OPTIONS = {"skip_frame": "all"}
"""Where an index tells all but the pictures, opening need not decode some: we decode one after."""


def serve(descriptor: int, max_pixels: int) -> None:
    """Answer probes on a socket until its other end is closed."""
    av.logging.set_level(av.logging.PANIC)
    gc.freeze()
    with socket.socket(fileno=descriptor) as peer:
        peer.sendall(b"!")
        for answered in count(1):
            message, descriptors, _, _ = socket.recv_fds(peer, 16, 1)
            if not message:
                return
            with os.fdopen(descriptors[0], "rb", buffering=1 << 16) as stream:
                found = _answer(message, stream, max_pixels, lambda: peer.sendall(_ALIVE))
            answer = json.dumps(found).encode()
            peer.sendall(struct.pack("!I", len(answer)) + answer)
            if answered % _COLLECT_EVERY == 0:
                gc.collect()


def _answer(
    wish: bytes, stream: BinaryIO, max_pixels: int, alive: Callable[[], None]
) -> dict[str, Any]:
    """What was wished for, or `refused` with a sentence; `spent` where libav met an error."""
    try:
        with _open(stream) as (container, layout, size):
            if wish == SURVEY:
                said = None if layout.duration is None else str(layout.duration)
                return {"survey": survey(container, alive) | {"said": said}}
            if wish.startswith(HDR10PLUS):
                index = int(wish.removeprefix(HDR10PLUS))
                return {"hdr10plus": list_hdr10plus(container, index, alive)}
            if wish.startswith(TIMES):
                return {"times": list_times(container, int(wish.removeprefix(TIMES)), alive)}
            return {"media": describe(container, layout, size, max_pixels)}
    except Refused as error:
        return {"refused": str(error), "spent": error.__cause__ is not None}
    except (av.error.FFmpegError, ValueError, OverflowError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return {"refused": f"no video or audio could be read from it ({reason})", "spent": True}


@contextmanager
def _open(stream: BinaryIO) -> Iterator[tuple[InputContainer, Layout, int]]:
    size = os.fstat(stream.fileno()).st_size
    check_head(stream, size)
    layout = read_layout(stream, size)
    options = _OPTIONS | _INDEXED_OPTIONS if layout.has_index else _OPTIONS
    stream.seek(0)
    whole = stream if layout.content_bytes is None else Beginning(stream, layout.content_bytes)
    try:
        with av.open(whole, mode="r", options=options, metadata_errors="replace") as container:
            yield container, layout, size
    except av.error.FFmpegError as error:
        if reason := _explain(layout):
            raise Refused(reason) from error
        raise


def _explain(layout: Layout) -> str | None:
    """Why libav could not open it, where the file's own structure tells."""
    if layout.encrypted:
        return "it is encrypted (DRM), which DarkStream does not undo"
    if layout.is_iso and not layout.has_index:
        why = "its boxes are damaged" if layout.broken else "it was not recorded or copied whole"
        return f"its index (moov) is missing: {why}"
    if layout.missing_bytes:
        return f"it is cut off: {layout.missing_bytes} bytes of it are missing"
    return None

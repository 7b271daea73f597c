"""The isolated half of the prober: sees no file system, gets each input as an open descriptor.

Runs as a program of its own, imports PyAV and nothing of ours, answers one JSON object a file.
Protocol on the socket: one descriptor in (SCM_RIGHTS), one 4-byte length and JSON out.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
import sys
from fractions import Fraction
from itertools import pairwise
from typing import Any, BinaryIO

import av
import av.logging

_TEXT_HEADS = (
    (b"#EXTM3U", "an HLS playlist"),
    (b"ffconcat", "an ffconcat script"),
    (b"<?xml", "an XML document (a DASH manifest, perhaps)"),
    (b"<MPD", "a DASH manifest"),
    (b"v=0", "an SDP session"),
    (b"[playlist]", "a playlist"),
    (b"#!", "a script"),
)
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,live_flv,ogg,asf,rm,mxf,"
    "nut,dv,gxf,ivf,h264,hevc,av1,obu,m4v,vc1,yuv4mpegpipe,aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,"
    "caf,dts,dtshd,flac,mp3,wav,w64,wv,tta,loas,truehd,mjpeg,gif,swf,wtv,nsv,vob,4xm,bink,smk"
)
_FRAME_PACKETS = 200
_RATE_PACKETS = 60
_CONTAINER_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"stsd", b"sinf"}
_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"}
_ENCRYPTION_BOXES = {b"encv", b"enca", b"pssh", b"sinf", b"senc"}
_DEFAULT, _DUB, _ORIGINAL, _COMMENT, _FORCED = 1, 2, 4, 8, 64
_HEARING, _VISUAL, _ATTACHED_PIC = 128, 256, 1024
_FIELD_ORDERS = {1: "progressive", 2: "tff", 3: "bff", 4: "tff", 5: "bff"}
_BITMAP_SUBTITLES = {
    "hdmv_pgs_subtitle",
    "dvd_subtitle",
    "dvb_subtitle",
    "xsub",
    "pgssub",
    "dvdsub",
    "dvbsub",
}
_NAMES = {
    "ssa": "ass",
    "srt": "subrip",
    "pgssub": "hdmv_pgs_subtitle",
    "dvdsub": "dvd_subtitle",
    "dvbsub": "dvb_subtitle",
    "cc_dec": "eia_608",
    "libdav1d": "av1",
    "libvpx-vp9": "vp9",
    "libvpx": "vp8",
}


class _Refused(Exception):
    """The file is not what DarkStream converts; the text says why."""


def main() -> None:
    """Answer probes until the other end is closed."""
    av.logging.set_level(av.logging.PANIC)
    limit = int(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as peer:
        while True:
            message, descriptors, _, _ = socket.recv_fds(peer, 16, 1)
            if not message:
                return
            with os.fdopen(descriptors[0], "rb", buffering=1 << 16) as stream:
                answer = json.dumps(_answer(stream, limit)).encode()
            peer.sendall(struct.pack("!I", len(answer)) + answer)


def _answer(stream: BinaryIO, max_pixels: int) -> dict[str, Any]:
    try:
        return {"media": _probe(stream, max_pixels)}
    except _Refused as error:
        return {"refused": str(error), "spent": error.__cause__ is not None}
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return {"refused": f"no video or audio could be read from it ({reason})", "spent": True}


def _probe(stream: BinaryIO, max_pixels: int) -> dict[str, Any]:
    size = os.fstat(stream.fileno()).st_size
    _check_head(stream, size)
    boxes = _Boxes(stream, size)
    stream.seek(0)
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}
    try:
        with av.open(stream, options=options, metadata_errors="replace") as container:
            return _describe(container, boxes, size, max_pixels)
    except av.error.FFmpegError as error:
        if reason := boxes.explain():
            raise _Refused(reason) from error
        raise


def _check_head(stream: BinaryIO, size: int) -> None:
    if size == 0:
        raise _Refused("it is empty (0 bytes)")
    head = stream.read(4096)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, what in _TEXT_HEADS:
        if start.lower().startswith(mark.lower()):
            raise _Refused(f"it is {what}, not a video")
    if b"\0" not in head and all(byte >= 9 for byte in head) and not _is_binary(head):
        raise _Refused("it is text, not a video")


def _is_binary(head: bytes) -> bool:
    if head.startswith(b"YUV4MPEG2"):
        return True
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start < len(head) - 4
    return False


class _Boxes:
    """What a walk of ISO base media boxes (ISO/IEC 14496-12) tells that libav does not."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.faststart: bool | None = None
        self.encrypted = False
        self.findings: list[dict[str, str]] = []
        self._stream = stream
        self._moov = self._mdat = -1
        stream.seek(4)
        self.is_iso = stream.read(4) in _FIRST_BOXES
        if self.is_iso:
            self._walk(0, size, 0)
        if self._moov >= 0 and self._mdat >= 0:
            self.faststart = self._moov < self._mdat

    def explain(self) -> str | None:
        """Why libav could not open it, where the boxes tell."""
        if self.encrypted:
            return "it is encrypted (DRM), which DarkStream does not undo"
        if self.is_iso and self._moov < 0:
            return "its index (moov) is missing: the recording or download was not finished"
        return None

    def _walk(self, start: int, end: int, depth: int) -> None:
        position, count = start, 0
        while position + 8 <= end and count < 10_000 and depth < 10:
            self._stream.seek(position)
            length, kind = struct.unpack("!I4s", self._stream.read(8))
            header = 8
            if length == 1:
                length, header = struct.unpack("!Q", self._stream.read(8))[0], 16
            length = length or end - position
            if length < header:
                return
            self._note(kind, position, length, end, depth)
            if kind in _CONTAINER_BOXES:
                skip = 8 if kind == b"stsd" else 0
                self._walk(position + header + skip, min(end, position + length), depth + 1)
            position, count = position + length, count + 1

    def _note(self, kind: bytes, position: int, length: int, end: int, depth: int) -> None:
        if kind in _ENCRYPTION_BOXES:
            self.encrypted = True
        if depth:
            return
        if kind == b"moov" and self._moov < 0:
            self._moov = position
        if kind == b"mdat" and self._mdat < 0:
            self._mdat = position
        if position + length > end and kind in {b"mdat", b"moof", b"moov"}:
            missing = position + length - end
            self.findings.append(
                {
                    "code": "truncated",
                    "severity": "repairable",
                    "message": f"the file ends {missing} bytes before its own index says",
                }
            )


def _describe(container: Any, boxes: _Boxes, size: int, max_pixels: int) -> dict[str, Any]:
    formats = container.format.name.split(",")
    groups: dict[str, list[dict[str, Any]]] = {
        "video": [],
        "audio": [],
        "subtitles": [],
        "attachments": [],
    }
    for stream in container.streams:
        group, described = _stream(stream, max_pixels)
        groups[group].append(described)
    if not groups["video"] and not groups["audio"]:
        raise _Refused("it holds neither video nor audio")
    chapters = [
        {
            "start": str(Fraction(c["start"]) * c["time_base"]),
            "end": str(Fraction(c["end"]) * c["time_base"]),
            "title": _clean(c["metadata"].get("title")),
        }
        for c in container.chapters()
    ]
    readable = boxes.encrypted or _read_packets(container, groups, max_pixels)
    findings = list(boxes.findings)
    if not readable:
        raise _Refused("it has a header but no picture or sound (no samples)")
    return {
        "formats": formats,
        "container": _family(formats, container),
        "size_bytes": size,
        "duration": _time(container.duration, Fraction(1, av.time_base)),
        "start": _time(container.start_time, Fraction(1, av.time_base)),
        "bit_rate": container.bit_rate or None,
        "faststart": boxes.faststart,
        "encrypted": boxes.encrypted,
        "chapters": chapters,
        "title": _clean(container.metadata.get("title")),
        "findings": findings,
        "prober": _version(),
        **groups,
    }


def _version() -> str:
    library = ".".join(map(str, av.library_versions["libavformat"]))
    return f"pyav {av.__version__}, libavformat {library}"


def _family(formats: list[str], container: Any) -> str:
    first = formats[0]
    if first == "mov":
        brand = container.metadata.get("major_brand", "")
        return "mov" if brand.strip() == "qt" or not brand else "mp4"
    if first == "matroska":
        return "webm" if container.metadata.get("DOCTYPE") == "webm" else "matroska"
    known = {"mpegts": "mpegts", "avi": "avi", "flv": "flv", "ogg": "ogg", "asf": "asf"}
    audio = {
        "aac",
        "ac3",
        "aiff",
        "amr",
        "ape",
        "caf",
        "dts",
        "eac3",
        "flac",
        "mp3",
        "wav",
        "w64",
        "wv",
    }
    return known.get(first, "audio" if first in audio else "other")


def _time(value: int | None, base: Fraction | None) -> str | None:
    return None if value is None or base is None else str(value * Fraction(base))


def _clean(text: str | None) -> str | None:
    return text.encode("utf-8", "replace").decode().replace("\0", "") if text else None


def _stream(stream: Any, max_pixels: int) -> tuple[str, dict[str, Any]]:
    metadata = {key.lower(): value for key, value in stream.metadata.items()}
    context, flags = stream.codec_context, int(stream.disposition)
    name = context.name if context is not None else "unknown"
    canonical = getattr(context.codec, "canonical_name", name) if context is not None else name
    common: dict[str, Any] = {
        "index": stream.index,
        "codec": _NAMES.get(name, canonical or name),
        "tag": _tag(context),
        "profile": _profile(stream),
        "time_base": str(stream.time_base) if stream.time_base else None,
        "start": _time(stream.start_time, stream.time_base),
        "duration": _time(stream.duration, stream.time_base) or _tagged_duration(metadata),
        "bit_rate": (context.bit_rate or None)
        if context is not None and stream.type in {"audio", "video"}
        else None,
        "language": None if metadata.get("language", "und") == "und" else metadata["language"],
        "title": _clean(metadata.get("title")),
        "disposition": _disposition(flags),
    }
    if stream.type == "video" and not flags & _ATTACHED_PIC and context is not None:
        return "video", common | _video(stream, max_pixels)
    if stream.type == "audio" and context is not None:
        return "audio", common | _audio(context)
    if stream.type == "subtitle":
        bitmap = common["codec"] in _BITMAP_SUBTITLES
        return "subtitles", common | {"kind": "bitmap" if bitmap else "text"}
    return "attachments", common | _attachment(stream, metadata, flags)


def _tag(context: Any) -> str | None:
    tag = getattr(context, "codec_tag", None)
    return tag.strip() if isinstance(tag, str) and tag.strip() and tag.isprintable() else None


def _profile(stream: Any) -> str | None:
    profile = getattr(stream, "profile", None)
    return str(profile) if profile else None


def _tagged_duration(metadata: dict[str, str]) -> str | None:
    parts = metadata.get("duration", "").split(":")
    try:
        hours, minutes, seconds = (Fraction(part) for part in parts)
    except ValueError:
        return None
    return str(hours * 3600 + minutes * 60 + seconds)


def _disposition(flags: int) -> dict[str, bool]:
    return {
        "default": bool(flags & _DEFAULT),
        "forced": bool(flags & _FORCED),
        "comment": bool(flags & _COMMENT),
        "original": bool(flags & _ORIGINAL),
        "dub": bool(flags & _DUB),
        "hearing_impaired": bool(flags & _HEARING),
        "visual_impaired": bool(flags & _VISUAL),
    }


def _video(stream: Any, max_pixels: int) -> dict[str, Any]:
    context = stream.codec_context
    if context.width * context.height > max_pixels:
        raise _Refused(
            f"its picture of {context.width}x{context.height} is larger than the limit of "
            f"{max_pixels} pixels"
        )
    context.thread_count = 1
    sar = stream.sample_aspect_ratio
    return {
        "width": context.width,
        "height": context.height,
        "sar": str(sar) if sar else "1",
        **_pixels(context.format),
        "level": context.level if context.level and context.level > 0 else None,
        "average_rate": str(stream.average_rate) if stream.average_rate else None,
        "nominal_rate": str(stream.base_rate) if stream.base_rate else None,
        "frames": stream.frames or None,
        "field_order": _FIELD_ORDERS.get(int(getattr(context, "field_order", 0) or 0), "unknown"),
        "colour": _colour(context),
        "decoded": False,
    }


def _pixels(fmt: Any) -> dict[str, Any]:
    if fmt is None:
        return {"pix_fmt": "unknown", "bit_depth": 8, "chroma": "other", "alpha": False}
    name = fmt.name
    components = [component for component in fmt.components if not component.is_alpha]
    depth = max((component.bits for component in components), default=8)
    if fmt.is_rgb or name.startswith(("rgb", "bgr", "gbr", "argb", "pal8")):
        chroma = "rgb"
    elif len(components) == 1:
        chroma = "400"
    else:
        known = {(2, 2): "420", (2, 1): "422", (1, 1): "444"}
        width, height = max(1, fmt.chroma_width(64)), max(1, fmt.chroma_height(64))
        chroma = known.get((64 // width, 64 // height), "other")
    alpha = any(component.is_alpha for component in fmt.components)
    return {"pix_fmt": name, "bit_depth": depth, "chroma": chroma, "alpha": alpha}


_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
_MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
}
_RANGES = {1: "tv", 2: "pc"}


def _colour(context: Any) -> dict[str, Any]:
    pix_fmt = context.format.name if context.format is not None else ""
    found = {
        "primaries": _PRIMARIES.get(int(context.color_primaries or 0)),
        "transfer": _TRANSFERS.get(int(context.color_trc or 0)),
        "matrix": _MATRICES.get(int(context.colorspace))
        if context.colorspace is not None
        else None,
        "range": _RANGES.get(int(context.color_range or 0)),
    }
    if pix_fmt.startswith("yuvj"):
        found["range"] = "pc"
    return found


def _audio(context: Any) -> dict[str, Any]:
    layout = getattr(context, "layout", None)
    return {
        "sample_rate": context.sample_rate or 0,
        "channels": context.channels or 0,
        "layout": layout.name if layout is not None else None,
        "sample_format": context.format.name if context.format is not None else None,
        "decoded": True,
    }


def _attachment(stream: Any, metadata: dict[str, str], flags: int) -> dict[str, Any]:
    mimetype, filename = metadata.get("mimetype"), metadata.get("filename")
    if flags & _ATTACHED_PIC or (mimetype or "").startswith("image/"):
        kind = "cover"
    elif "font" in (mimetype or "") or (filename or "").lower().endswith((".ttf", ".otf", ".ttc")):
        kind = "font"
    elif stream.type == "data":
        kind = (
            "timecode"
            if "timecode" in metadata and "tmcd" in str(metadata.get("handler_name", "")).lower()
            else "data"
        )
    else:
        kind = "other"
    return {"kind": kind, "filename": _clean(filename), "mimetype": _clean(mimetype)}


def _read_packets(container: Any, groups: dict[str, list[dict[str, Any]]], max_pixels: int) -> bool:
    """Decode the first frame of each video stream and look at its timestamps; false: no packet."""
    wanted = {video["index"]: video for video in groups["video"]}
    times: dict[int, list[int]] = {index: [] for index in wanted}
    streams = [stream for stream in container.streams if stream.type in {"video", "audio"}]
    found = False
    for count, packet in enumerate(_packets(container, streams)):
        if packet.size:
            found = True
        index = packet.stream.index
        if index in wanted:
            if packet.pts is not None:
                times[index].append(packet.pts)
            if not wanted[index]["decoded"]:
                _decode_first(packet, wanted[index], max_pixels)
        elif not wanted and found:
            break
        seen = all(len(times[i]) >= _RATE_PACKETS and wanted[i]["decoded"] for i in wanted)
        if seen or count > _FRAME_PACKETS * max(1, len(streams)):
            break
    for index, video in wanted.items():
        video["variable_rate"] = _is_variable(times[index])
    return found


def _packets(container: Any, streams: list[Any]) -> Any:
    try:
        yield from container.demux(streams)
    except av.error.FFmpegError:
        return


def _is_variable(times: list[int]) -> bool:
    ordered = sorted(set(times))[:_RATE_PACKETS]
    steps = [after - before for before, after in pairwise(ordered)]
    steps = steps[:-2] if len(steps) > 4 else steps
    return bool(steps) and max(steps) - min(steps) > max(2, min(steps) // 4)


def _decode_first(packet: Any, video: dict[str, Any], max_pixels: int) -> None:
    try:
        frames = packet.decode()
    except (av.error.FFmpegError, ValueError):
        return
    for frame in frames:
        if frame.width * frame.height > max_pixels:
            raise _Refused(f"its picture of {frame.width}x{frame.height} is too large")
        video |= _pixels(frame.format)
        video["decoded"] = True
        video["colour"] = {
            key: value if value is not None else _colour(packet.stream.codec_context)[key]
            for key, value in video["colour"].items()
        }
        if frame.interlaced_frame and video["field_order"] in {"unknown", "progressive"}:
            video["field_order"] = "tff"
        _side_data(frame, video)
        return


def _side_data(frame: Any, video: dict[str, Any]) -> None:
    found = {side.type.name: bytes(side) for side in frame.side_data}
    if matrix := found.get("DISPLAYMATRIX"):
        video["rotation"], video["mirrored"] = _orientation(matrix)
    transfer = video["colour"]["transfer"]
    if "DOVI_METADATA" in found or "DOVI_RPU_BUFFER" in found:
        video["hdr"] = "dolby_vision"
    elif "DYNAMIC_HDR_PLUS" in found:
        video["hdr"] = "hdr10plus"
    else:
        video["hdr"] = {"smpte2084": "hdr10", "arib-std-b67": "hlg"}.get(transfer or "", "none")
    if (mastering := found.get("MASTERING_DISPLAY_METADATA")) and len(mastering) >= 88:
        video["mastering_display"] = _mastering(mastering)
    if (light := found.get("CONTENT_LIGHT_LEVEL")) and len(light) >= 8:
        cll, fall = struct.unpack("=II", light[:8])
        video["content_light"] = {"max_cll": cll, "max_fall": fall}


def _orientation(matrix: bytes) -> tuple[int, bool]:
    """Clockwise degrees after an optional horizontal flip, from a 3x3 display matrix (16.16)."""
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    mirrored = a * d - b * c < 0
    cosine, sine = (-a, -b) if mirrored else (a, b)
    degrees = round(math.degrees(math.atan2(sine, cosine)) / 90) * 90 % 360
    return degrees, mirrored


def _mastering(data: bytes) -> dict[str, Any] | None:
    numbers = struct.unpack("=22i", data[:88])
    pairs = [
        Fraction(n, d) if d else Fraction(0)
        for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)
    ]
    has_primaries, has_luminance = numbers[20:22]
    if not (has_primaries and has_luminance):
        return None
    text = [str(pair) for pair in pairs]
    return {
        "red": text[0:2],
        "green": text[2:4],
        "blue": text[4:6],
        "white": text[6:8],
        "min_luminance": text[8],
        "max_luminance": text[9],
    }


if __name__ == "__main__":
    main()

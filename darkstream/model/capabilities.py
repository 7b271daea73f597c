"""What one node's ffmpeg can truly do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Self

from darkstream.model.base import Frozen
from darkstream.model.media import DynamicHdr

HardwareFamily = Literal["nvenc", "qsv", "videotoolbox", "amf", "vaapi", "vulkan", "v4l2m2m"]
"""One vendor's, or one system's, way to its encoders."""


class Encoder(Frozen):
    """An encoder that made a picture (or a sound) that was decoded again.

    Of hardware also how far that went: `bits` a sample that came out as deep as they went in,
    `rungs` where key frames came when asked for below a ceiling, as ladders need, and `hdr10` where
    the static data of HDR came out again. `device`: the device it was proved on, where one is named
    to ffmpeg.
    """

    name: str
    codec: str
    hardware: bool = False
    family: HardwareFamily | None = None
    device: str | None = None
    bits: tuple[int, ...] = (8,)
    rungs: bool = False
    hdr10: bool = False
    dynamic_hdr: tuple[DynamicHdr, ...] = ()
    """Data for single scenes that were in what it made, as they had been in what it was given."""


_FASTER = 1.2
DecodingFamily = Literal["cuda", "vaapi", "vulkan"]


class HardwareDecoder(Frozen):
    """A decoder of hardware whose pictures were held against software's, after scaling.

    `psnr` in dB; `scales` where that is high enough for its scaler to be used; `speed`: how many
    times as fast as software it decoded and scaled a clip of 1080p here.
    """

    family: DecodingFamily
    codec: str
    bits: Literal[8, 10]
    device: str | None = None
    scales: bool
    psnr: float
    speed: float

    @property
    def is_used(self) -> bool:
        """Whether plans may use it: less than a fifth faster may be chance."""
        return self.scales and self.speed >= _FASTER


class Gpu(Frozen):
    """One GPU's state: parts of its time in percent; None: it does not tell."""

    name: str
    driver: str
    busy: int | None = None
    encoder_busy: int | None = None
    decoder_busy: int | None = None
    memory_used_mib: int | None = None
    memory_mib: int | None = None
    temperature_c: int | None = None
    sessions: int | None = None
    """Encoding sessions in use, also those of other programs."""


class Capabilities(Frozen):
    """Proved by test encodes; cached by the binary's hash.

    `build` names the exact ffmpeg build (version and blake3 of the binary) and is part of every
    plan's fingerprint.
    """

    ffmpeg: str
    """Absolute path of the binary."""
    version: str
    build: str
    encoders: tuple[Encoder, ...]
    decoders: tuple[str, ...]
    filters: tuple[str, ...]
    muxers: tuple[str, ...]
    sandbox: Literal["bubblewrap", "rlimits"]
    gpu: str | None = None
    """The GPU's name where a hardware encoder was proved, else None: decoding alone is no GPU that
    jobs are sent to."""
    hardware_decoders: tuple[HardwareDecoder, ...] = ()

    def without(self, families: Collection[str]) -> Self:
        """The same node as if some families of hardware were not there."""
        left = tuple(one for one in self.encoders if one.family not in families)
        decoders = tuple(one for one in self.hardware_decoders if one.family not in families)
        gone = not any(one.hardware for one in left)
        changes: dict[str, object] = {"encoders": left, "hardware_decoders": decoders}
        return self.model_copy(update=changes | ({"gpu": None} if gone else {}))

    def encoder(self, codec: str, *, hardware: bool = False) -> Encoder | None:
        """The first proved encoder of a codec, in order of preference."""
        for encoder in self.encoders:
            if encoder.codec == codec and encoder.hardware == hardware:
                return encoder
        return None

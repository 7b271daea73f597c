"""What one node's ffmpeg can truly do."""

from __future__ import annotations

from typing import Literal

from darkstream.model.base import Frozen


class Encoder(Frozen):
    """An encoder that made a picture (or a sound) that was decoded again."""

    name: str
    codec: str
    hardware: bool = False


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
    """The GPU's name where a hardware encoder was proved, else None."""

    def encoder(self, codec: str, *, hardware: bool = False) -> Encoder | None:
        """The first proved encoder of a codec, in order of preference."""
        for encoder in self.encoders:
            if encoder.codec == codec and encoder.hardware == hardware:
                return encoder
        return None

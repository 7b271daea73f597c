"""Pure: a plan becomes the words of an ffmpeg command; ffmpeg-python joins them."""

from __future__ import annotations

from darkstream.media.command.chunk import chunk_command
from darkstream.media.command.convert import convert_command
from darkstream.media.command.decode import decode_command
from darkstream.media.command.mux import mux_command
from darkstream.media.command.soundtrack import soundtrack_command

__all__ = [
    "chunk_command",
    "convert_command",
    "decode_command",
    "mux_command",
    "soundtrack_command",
]

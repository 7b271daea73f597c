"""What ffmpeg says of itself at `-loglevel repeat+level+verbose`, counted line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from darkstream.model.encoded import StreamTally

_LEVEL = re.compile(r"\[(?P<level>error|fatal|panic|warning|info|verbose)\] (?P<text>.*)")
_INPUT = re.compile(
    r"\s*Input stream #(?P<file>\d+):(?P<index>\d+) \((?P<kind>\w+)\): "
    r"(?P<packets>\d+) packets read"
    r"(?:.*?; (?P<frames>\d+) frames decoded; (?P<errors>\d+) decode errors)?"
)
_OUTPUT = re.compile(
    r"\s*Output stream #\d+:(?P<index>\d+) \((?P<kind>\w+)\): (?:(?P<frames>\d+) frames encoded"
    r".*?; )?(?P<packets>\d+) packets muxed"
)
_MISSING = ("corrupt", "partial file", "truncat")
_NOWHERE = "[null @"
"""The muxer that decoded data go to: it minds equal timestamps, which say nothing of damage."""
_NO_DAMAGE = "Channel layout not supported by Flac"
"""It keeps every channel all the same, in its order."""
_EXAMPLES = 2
_KEPT_LINES = 200


@dataclass
class Tally:
    """Errors and stream counts of one ffmpeg run; `note` takes its lines."""

    errors: int = 0
    losses: int = 0
    """Packets that ffmpeg calls corrupt or cut off."""
    examples: list[str] = field(default_factory=list)
    inputs: list[tuple[int, StreamTally]] = field(default_factory=list)
    outputs: list[StreamTally] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Count one line of stderr."""
        found = _LEVEL.search(line)
        if found is None or _NOWHERE in line or _NO_DAMAGE in line:
            return
        text, level = found["text"], found["level"]
        lost = _tells_of_loss(level, text)
        self.losses += lost
        if level in {"error", "fatal", "panic"} or lost:
            self._error(text)
        elif level == "verbose" and "stream #" in text:
            self._count(text)
        if level != "verbose" and len(self.lines) < _KEPT_LINES:
            self.lines.append(line)

    def input(self, index: int, file: int = 0) -> StreamTally | None:
        """The counts of one input stream."""
        found = (tally for number, tally in self.inputs if (number, tally.index) == (file, index))
        return next(found, None)

    @property
    def source_damaged(self) -> bool:
        """Whether an input did not decode, as opposed to an output that could not be made."""
        return self.losses > 0 or any(stream.errors for _, stream in self.inputs)

    @property
    def example(self) -> str:
        """The first messages, for a sentence."""
        return "; ".join(self.examples)

    def _error(self, text: str) -> None:
        self.errors += 1
        if len(self.examples) < _EXAMPLES and text not in self.examples:
            self.examples.append(text)

    def _count(self, text: str) -> None:
        if found := _INPUT.match(text):
            self.inputs.append((int(found["file"]), _stream(found)))
        elif found := _OUTPUT.match(text):
            self.outputs.append(_stream(found))


def _tells_of_loss(level: str, text: str) -> bool:
    return level == "warning" and any(word in text.lower() for word in _MISSING)


def _stream(found: re.Match[str]) -> StreamTally:
    values = found.groupdict()
    return StreamTally(
        index=int(values["index"]),
        kind=values["kind"],
        packets=int(values["packets"]),
        frames=int(values["frames"] or 0),
        errors=int(values.get("errors") or 0),
    )

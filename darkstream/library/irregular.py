"""Entries of a library that are met but never converted, and why."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass

from darkstream.model.job import ReportLine
from darkstream.model.paths import display, is_text

DIRECTORY_LIKE_A_FILE = (
    "a directory, though its name looks like a file's; the files in it are converted under their "
    "own names"
)
GONE = "it vanished while the library was scanned"
UNREADABLE_ADVICE = "give the user that runs the worker read access"

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, slots=True)
class Irregular:
    """One entry (path relative to the library's root) and the reason it is left out."""

    path: bytes
    reason: str
    size: int = 0
    unreadable: bool = False
    """Whether it is, or may hold, what would have been a source if it could be read."""

    def line(self) -> ReportLine:
        """The report's line of it: skipped, without a job."""
        text = is_text(self.path)
        return ReportLine(
            source=self.path.decode() if text else display(self.path),
            source_b64=None if text else base64.b64encode(self.path).decode(),
            decision="skip",
            status="skipped",
            reason=self.reason,
            source_bytes=self.size,
            output_bytes=0,
            wall_s=0.0,
            cpu_s=0.0,
            attempts=0,
            job=None,
        )


def unreadable_directory(path: bytes, error: OSError) -> Irregular:
    """A directory that could not be listed; what was known below it is not gone."""
    reason = f"the directory cannot be read: {cause(error)}"
    return Irregular(path, reason, unreadable=True)


def cause(error: OSError) -> str:
    """What the system said of a read, and what to do about it where that is known."""
    said = (error.strerror or str(error)).lower()
    return f"{said}; {UNREADABLE_ADVICE}" if isinstance(error, PermissionError) else said


def special(mode: int) -> str:
    """The reason a file of that mode is left out."""
    return f"{_KINDS.get(stat.S_IFMT(mode), 'no regular file')}, not a file"


def too_long(length: int, limit: int) -> str:
    """The reason a path of that many bytes is left out."""
    return (
        f"its path has {length} bytes and the system opens at most {limit}; "
        "move it nearer to the library's root"
    )


def dangling(target: bytes) -> str:
    """The reason a link to nothing is left out."""
    return f"a link to {display(target)}, which does not exist"


def looping(target: bytes) -> str:
    """The reason a link that never ends is left out."""
    return f"a link to {display(target)}, which leads back to itself"


def to_directory(target: bytes) -> str:
    """The reason a link to a directory is not followed."""
    return f"a link to the directory {display(target)}; links to directories are not followed"


def escaping(target: bytes) -> str:
    """The reason a link that leaves the library is left out."""
    return (
        f"a link to {display(target)}, which is outside the library; "
        "add its directory as a library of its own"
    )


def inside(target: bytes, *, converted: bool) -> str:
    """The reason a link to a file of the same library is left out."""
    fate = "which is converted under its own name" if converted else "which the library leaves out"
    return f"a link to {display(target)}, {fate}"


def below(path: bytes, root: bytes) -> bytes | None:
    """A path relative to a root, '' for the root itself; None when it is not below it."""
    if path == root:
        return b""
    prefix = root if root.endswith(b"/") else root + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def join(root: bytes, path: bytes) -> bytes:
    """A relative path ('' the root) below a root."""
    return os.path.join(root, path) if path else root

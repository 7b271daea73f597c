"""The whole exception tree of DarkStream.

DarkstreamError                   exit code 1 unless said otherwise
+-- UsageError                    what the user asked cannot be (exit 2)
|   +-- UnknownPreset             no preset of that name; names the nearest
|   +-- InvalidPreset             a preset that cannot be read, with the field
|   +-- SettingsError             a setting that cannot be used
|   +-- NoSuchPath                a path that is not there
|   +-- NotFound                  no such job, library, scan or node
|   +-- Conflict                  it exists already, or its state forbids the request
+-- SourceError                   this source cannot be converted; never retried
|   +-- SourceUnreadable          permission or I/O error on the source
|   +-- SourceVanished            gone since it was listed
|   +-- SourceChanged             written to while it was read; converted again later
|   +-- SourceRejected            validation says no: carries the findings
+-- MediaError                    a tool failed on this file
|   +-- ProcessFailed             child exited non-zero: argv, code, end of stderr
|   +-- ProcessTimeout            time, size or no-progress limit reached
|   +-- ProcessKilled             child killed from outside, as when memory runs out
|   +-- VerificationFailed        an output that is not what was planned
|   +-- CapabilityMissing         this node's ffmpeg cannot do what the plan needs
|   +-- ToolMissing               no usable ffmpeg
|   +-- SandboxUnavailable        `sandbox: require` on a machine that has none
+-- StorageError                  a place to write or read failed
|   +-- StorageFull               no space left
|   +-- TargetExists              the final name is taken; nothing was overwritten
+-- ServiceError                  another process did not answer as it should
|   +-- ServerUnreachable         no DarkStream server at the address
|   +-- PrefectUnreachable        no Prefect API at the address
+-- LeaseLost                     a newer fencing token holds the job
+-- Cancelled                     somebody asked for the job to end
"""

from __future__ import annotations

from collections.abc import Sequence


class DarkstreamError(Exception):
    """Anything DarkStream raises on purpose; its text is one clear line for the user."""

    exit_code = 1


class UsageError(DarkstreamError):
    """What was asked cannot be; the text says what to ask instead."""

    exit_code = 2


class UnknownPreset(UsageError):
    """No preset has that name."""


class InvalidPreset(UsageError):
    """A preset file that cannot be read as a preset."""


class SettingsError(UsageError):
    """A setting that cannot be used."""


class NoSuchPath(UsageError):
    """A path that is not there."""


class NotFound(UsageError):
    """No such job, library, scan or node."""


class Conflict(UsageError):
    """It exists already, or its state forbids the request."""


class SourceError(DarkstreamError):
    """This source cannot be converted; trying again would not help."""


class SourceUnreadable(SourceError):
    """Permission or I/O error on the source."""


class SourceVanished(SourceError):
    """The source is gone since it was listed."""


class SourceChanged(SourceError):
    """The source was written to while it was read."""


class SourceRejected(SourceError):
    """Validation says no."""


class MediaError(DarkstreamError):
    """A media tool failed on this file."""


class ProcessFailed(MediaError):
    """A child process exited with an error.

    `argv` is the command as run, `code` its exit status (negative: the signal), `stderr` the last
    lines it printed.
    """

    def __init__(self, message: str, *, argv: Sequence[bytes], code: int, stderr: str) -> None:
        super().__init__(message)
        self.argv = tuple(argv)
        self.code = code
        self.stderr = stderr


class ProcessTimeout(ProcessFailed):
    """A child process was ended at its time, size or no-progress limit."""


class ProcessKilled(ProcessFailed):
    """A child process was killed by somebody else, which says nothing of the file it worked on."""


class VerificationFailed(MediaError):
    """An output that is not what the plan asked for; it was not published."""


class CapabilityMissing(MediaError):
    """This node's ffmpeg cannot do what the plan needs."""


class ToolMissing(MediaError):
    """No usable ffmpeg was found."""


class SandboxUnavailable(MediaError):
    """The sandbox is required and this machine has none."""


class StorageError(DarkstreamError):
    """A place to read from or write to failed."""


class StorageFull(StorageError):
    """No space is left where the output goes."""


class TargetExists(StorageError):
    """The final name is taken; nothing was overwritten."""


class ServiceError(DarkstreamError):
    """Another process did not answer as it should."""


class ServerUnreachable(ServiceError):
    """No DarkStream server answers at the address."""


class PrefectUnreachable(ServiceError):
    """No Prefect API answers at the address."""


class LeaseLost(DarkstreamError):
    """A newer fencing token holds the job: stop, publish nothing."""


class Cancelled(DarkstreamError):
    """Somebody asked for the job to end."""

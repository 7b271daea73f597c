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
|   +-- SourceShared              others use the file too, so that it is not replaced
|   +-- SourceRejected            validation says no: carries the findings
+-- MediaError                    a tool failed on this file
|   +-- ProcessFailed             child exited non-zero: argv, code, end of stderr
|   |   +-- HardwareFailed        a GPU or its driver failed, not the file; planned without it
|   +-- ProcessTimeout            time, size or no-progress limit reached
|   |   +-- OutputTooLarge          of these the size
|   +-- ProcessKilled             child killed from outside, as when memory runs out
|   +-- VerificationFailed        an output that is not what was planned
|   +-- IndexDiffers              chunks that are not what the packets promise
|   +-- CapabilityMissing         this node's ffmpeg cannot do what the plan needs
|   +-- ToolMissing               no usable ffmpeg
|   +-- SandboxUnavailable        `sandbox: require` on a machine that has none
+-- StorageError                  a place to write or read failed
|   +-- StorageFull               no space left
|   +-- StorageBusy               another process is just at it
|   +-- TargetExists              the final name is taken; nothing was overwritten
+-- ServiceError                  another process did not answer as it should
|   +-- ServerUnreachable         no DarkStream server at the address
|   +-- PrefectUnreachable        no Prefect API at the address
|   +-- KeyUnavailable            no content key: no provider is set, or it gave none
+-- LeaseLost                     a newer fencing token holds the job
+-- Cancelled                     somebody asked for the job to end
+-- NodePaused                    this node rests: the job is given back
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


class SourceShared(SourceError):
    """Others use the source too: it is not replaced; `passing` where they may soon not."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


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


class OutputTooLarge(ProcessTimeout):
    """A child process was ended because its output grew past its limit."""


class ProcessKilled(ProcessFailed):
    """A child process was killed by somebody else, which says nothing of the file it worked on."""


class HardwareFailed(ProcessFailed):
    """A GPU or its driver failed, which says nothing of the file.

    `families` are those of the plan, by the model's names; `passing` where it goes away by itself,
    as when all of its sessions are taken.
    """

    def __init__(
        self,
        message: str,
        *,
        families: Sequence[str],
        passing: bool,
        argv: Sequence[bytes],
        code: int,
        stderr: str,
    ) -> None:
        super().__init__(message, argv=argv, code=code, stderr=stderr)
        self.families = tuple(families)
        self.passing = passing


class VerificationFailed(MediaError):
    """An output that is not what the plan asked for; it was not published."""


class IndexDiffers(MediaError):
    """Chunks hold other pictures than the packets promise: the film is encoded in one piece."""


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


class StorageBusy(StorageError):
    """Another process is just at it."""


class TargetExists(StorageError):
    """The final name is taken; nothing was overwritten."""


class ServiceError(DarkstreamError):
    """Another process did not answer as it should."""


class ServerUnreachable(ServiceError):
    """No DarkStream server answers at the address."""


class PrefectUnreachable(ServiceError):
    """No Prefect API answers at the address."""


class KeyUnavailable(ServiceError):
    """No provider of content keys is set, or it gave none; never says the key itself."""


class LeaseLost(DarkstreamError):
    """A newer fencing token holds the job: stop, publish nothing."""


class Cancelled(DarkstreamError):
    """Somebody asked for the job to end."""


class NodePaused(DarkstreamError):
    """This node is to rest at once: the job is given back, and no attempt is counted."""

"""Dying with the parent: no process of ours outlives the one that answers for it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread of `parent` that made it ends.

    Call it in the child, after the fork. Where the parent is gone already, this process ends here.
    Only Linux can do this; elsewhere the end of the socket to the parent must do.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "prctl")
    if os.getppid() != parent:
        os._exit(1)

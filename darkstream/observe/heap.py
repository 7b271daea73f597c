"""How the C library keeps memory in processes that live long."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

_M_ARENA_MAX = -8


def use_one_heap() -> None:
    """Have glibc give all threads one heap, unless `MALLOC_ARENA_MAX` says otherwise.

    By itself it gives each thread one of its own, up to eight a core, and each keeps what it once
    needed; Python's threads take turns anyway. Call it before any thread is started; children that
    are programs of their own (ffmpeg) do as they like. Source: mallopt(3).
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(AttributeError):  # musl has but one
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)

"""One heap for all threads of a process, counted by glibc itself."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, sys, threading
from darkstream.observe.heap import use_one_heap
use_one_heap()
both = threading.Barrier(3)
def hold():
    kept = bytearray(60_000)
    both.wait(); both.wait()
threads = [threading.Thread(target=hold) for _ in range(2)]
for thread in threads: thread.start()
both.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream); libc.fflush(stream)
both.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps")
@pytest.mark.parametrize(("wish", "most"), [({}, 1), ({"MALLOC_ARENA_MAX": "3"}, 3)])
def test_threads_share_a_heap_unless_it_is_wished_otherwise(
    wish: dict[str, str], most: int
) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    told = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**kept, **wish},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.count("<heap nr=") == most

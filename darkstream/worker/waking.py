"""Signals that interrupt the main thread's wait, whichever thread they reach."""

from __future__ import annotations

import signal
import socket
import threading
import time

_POKE = signal.SIGURG
_UNTIL_IT_WAITS_S = 0.05
"""A signal may come just before the main thread begins to wait, and is overlooked then, too."""


def wake_main_thread() -> None:
    """Have every signal with a handler of Python's interrupt what the main thread waits for.

    The kernel hands a signal to any thread of the process. Python runs its handler in the main
    thread, once that comes back from its wait: it may wait for hours for a task of its flow, and
    be killed meanwhile as one that does not end. Call it in the main thread, once.
    Source: https://docs.python.org/3.11/library/signal.html#execution-of-python-signal-handlers
    """
    told, telling = socket.socketpair()
    telling.setblocking(False)
    signal.signal(_POKE, lambda _signal, _frame: None)
    signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    threading.Thread(
        target=_poke, args=(told, telling, threading.get_ident()), name="waking", daemon=True
    ).start()


def _poke(told: socket.socket, _telling: socket.socket, main: int) -> None:
    """Poke whenever a signal came; holds the other end, which would be closed otherwise."""
    while numbers := told.recv(64):
        if any(number != _POKE for number in numbers):
            time.sleep(_UNTIL_IT_WAITS_S)
            signal.pthread_kill(main, _POKE)

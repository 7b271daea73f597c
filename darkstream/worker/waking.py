"""Signals that interrupt the main thread's wait, whichever thread they reach."""

from __future__ import annotations

import signal
import socket
import threading

_POKE = signal.SIGURG
_AGAIN_S = 0.05
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
    awake = threading.Event()
    signal.signal(_POKE, lambda _signal, _frame: awake.set())
    signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    threading.Thread(
        target=_poke,
        args=(told, telling, awake, threading.get_ident()),
        name="waking",
        daemon=True,
    ).start()


def _poke(told: socket.socket, _telling: socket.socket, awake: threading.Event, main: int) -> None:
    """Poke after each signal until it is felt; holds the other end, which would be closed else."""
    while numbers := told.recv(64):
        if all(number == _POKE for number in numbers):
            continue
        awake.clear()
        while not awake.wait(_AGAIN_S):
            signal.pthread_kill(main, _POKE)

from __future__ import annotations

from darkstream.control.reconcile import Silence
from darkstream.model.base import DispatchId

_ONE = DispatchId(1)


def test_silence_is_too_long_only_after_the_whole_limit_without_news() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    assert not silence.too_long(_ONE, "a")
    now = 130.0
    assert not silence.too_long(_ONE, "a")
    now = 130.1
    assert silence.too_long(_ONE, "a")


def test_news_begins_a_new_silence() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    silence.too_long(_ONE, "a")
    now = 140.0
    assert not silence.too_long(_ONE, "b")
    now = 171.0
    assert silence.too_long(_ONE, "b")


def test_a_dispatch_that_is_over_is_forgotten() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    silence.too_long(_ONE, "a")
    silence.keep_only([])
    now = 140.0
    assert not silence.too_long(_ONE, "a")


def test_whatever_is_heard_ends_the_silence() -> None:
    now = 100.0
    silence = Silence(30.0, lambda: now)
    silence.too_long(_ONE, "a")
    now = 140.0
    silence.end(_ONE)
    assert not silence.too_long(_ONE, "a")

"""Tokens that end work, and parts of it."""

from __future__ import annotations

import pytest

from darkstream.errors import Cancelled, NodePaused
from darkstream.observe.cancel import CancelToken


def test_a_part_ends_with_the_whole_and_for_the_same_reason() -> None:
    whole = CancelToken()
    part = whole.child()
    assert not part.cancelled
    whole.cancel(NodePaused("the node rests"))
    assert part.cancelled
    with pytest.raises(NodePaused, match="the node rests"):
        part.check()


def test_a_part_of_what_has_ended_has_ended() -> None:
    whole = CancelToken()
    whole.cancel()
    with pytest.raises(Cancelled):
        whole.child().check()


def test_a_part_that_ends_leaves_the_whole_and_its_other_parts() -> None:
    whole = CancelToken()
    one, other = whole.child(), whole.child()
    one.cancel()
    assert one.cancelled and not whole.cancelled and not other.cancelled
    whole.cancel(NodePaused("later"))
    with pytest.raises(Cancelled):
        one.check()

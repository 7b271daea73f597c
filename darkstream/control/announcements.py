"""Tells workers at once that Prefect may have a flow run for them: to ask it often costs both."""

from __future__ import annotations

from darkstream.control.wing import Wing
from darkstream.model.wire import Announcement

_HOLD_S = 20.0
_EMBEDDED_S, _ELSEWHERE_S = 5.0, 1.0
"""What nobody announces: schedules, and in a Prefect of the user's own, runs made past us."""


async def await_announcement(wing: Wing, known: int | None) -> Announcement:
    """Wait until a flow run was made since the announcement `known`; None: do not wait."""
    bell = wing.runs_bell
    mark = bell.mark if known is None else await bell.wait(known, _HOLD_S)
    embedded = wing.settings.prefect.api_url is None
    return Announcement(mark=mark, ask_again_s=_EMBEDDED_S if embedded else _ELSEWHERE_S)

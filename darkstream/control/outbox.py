"""Delivers what happened to whoever wants to know: at least once, with back-off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from darkstream.control.wing import Wing
from darkstream.errors import DarkstreamError
from darkstream.notify.webhook import check_webhook, deliver

if TYPE_CHECKING:
    from darkstream.catalog.outbox import OutboxEvent
    from darkstream.settings import Settings

_log = structlog.get_logger(__name__)

_AT_ONCE = 8
_TIMEOUT_S = 10.0
_PRUNED_AT_ONCE = 1000


def check_notify(settings: Settings) -> None:
    """Raise SettingsError where the webhook of the settings could never be called."""
    notify = settings.notify
    if notify.webhook_url is not None:
        secret = notify.webhook_secret
        check_webhook(notify.webhook_url, None if secret is None else secret.get_secret_value())


async def deliver_due(wing: Wing) -> bool:
    """Send the events that are due, several at once; true when there may be more."""
    events = await asyncio.to_thread(wing.catalog.outbox.due, limit=_AT_ONCE)
    await asyncio.gather(*(asyncio.to_thread(_deliver, wing, event) for event in events))
    return len(events) == _AT_ONCE


async def prune(wing: Wing) -> bool:
    """Forget some of the events that are over and old; true when there may be more."""
    count = await asyncio.to_thread(wing.catalog.outbox.prune, limit=_PRUNED_AT_ONCE)
    return count == _PRUNED_AT_ONCE


def _deliver(wing: Wing, event: OutboxEvent) -> None:
    notify = wing.settings.notify
    if notify.webhook_url is not None:
        secret = notify.webhook_secret
        try:
            deliver(
                notify.webhook_url,
                None if secret is None else secret.get_secret_value(),
                id=event.id,
                event=event.type,
                payload=event.payload,
                timeout=_TIMEOUT_S,
            )
        except DarkstreamError as error:
            wing.catalog.outbox.failed(event.id, str(error))
            _log.warning("webhook_failed", event_id=event.id, reason=str(error))
            return
    # Where nobody wants to know, the event is over: a webhook set later hears of later events.
    wing.catalog.outbox.delivered(event.id)

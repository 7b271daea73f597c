"""Webhooks, signed in the Standard Webhooks way."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from darkstream.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    import httpx


def deliver(
    url: str,
    secret: str | None,
    *,
    id: str,  # noqa: A002 -- the word of the specification
    event: str,
    payload: dict[str, Any],
    timeout: float = 10,
) -> None:
    """Post one event; a 2xx answer means it arrived, its body is not read.

    The body is `{"type", "timestamp", "data"}`; `id` stays the same when an event is sent again.
    Without a secret nothing is signed. `timeout` in seconds for each step. Redirects are not
    followed. Raises ServiceError, whose text holds neither path, query nor secret of the address,
    and SettingsError for an address or a secret that cannot be used.
    """
    import httpx

    address = _address(url)
    now = datetime.now(UTC)
    body = json.dumps(
        {"type": event, "timestamp": now.isoformat(), "data": payload}, separators=(",", ":")
    )
    headers = {"content-type": "application/json", "user-agent": "darkstream"}
    headers |= _signature(secret, id, now, body)
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=False) as client,
            client.stream("POST", address, content=body.encode(), headers=headers) as answer,
        ):
            status = answer.status_code
    except httpx.TimeoutException as error:
        raise ServiceError(f"the webhook at {_shown(address)} did not answer in time") from error
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the webhook at {_shown(address)} cannot be reached: {type(error).__name__}"
        ) from error
    _check(address, status)


def check_webhook(url: str, secret: str | None) -> None:
    """Raise SettingsError for an address or a secret that no event could be sent with."""
    _address(url)
    _signature(secret, "check", datetime.now(UTC), "")


def _address(url: str) -> httpx.URL:
    import httpx

    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SettingsError("the webhook's address cannot be read as a URL") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise SettingsError("the webhook's address must start with http:// or https:// and a host")
    return address


def _signature(secret: str | None, id: str, now: datetime, body: str) -> dict[str, str]:  # noqa: A002
    headers = {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp()))}
    if secret is None:
        return headers
    from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

    try:
        # The library skips letters that are none of base64's: a mistyped secret would pass.
        b64decode(secret.removeprefix("whsec_"), validate=True)
        signed = Webhook(secret).sign(id, now, body)
    except (EmptyWebhookSecretError, ValueError) as error:
        raise SettingsError(
            "the webhook's secret is no Standard Webhooks secret: whsec_ and base64"
        ) from error
    return headers | {"webhook-signature": signed}


def _check(address: httpx.URL, status: int) -> None:
    if 300 <= status < 400:
        raise ServiceError(
            f"the webhook at {_shown(address)} answered {status}: redirects are not followed, "
            "set the address it points to"
        )
    if not 200 <= status < 300:
        raise ServiceError(f"the webhook at {_shown(address)} answered {status}")


def _shown(address: httpx.URL) -> str:
    """Scheme, host and port: paths of webhooks are often their secret."""
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{address.host}{port}"

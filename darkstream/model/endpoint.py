"""Services outside: an object store, and an address that is told how jobs end."""

from __future__ import annotations

from pydantic import Field, SecretStr

from darkstream.model.base import Frozen


class ObjectStorage(Frozen):
    """A bucket of an S3-compatible store, and how to sign in; no keys: the environment's."""

    bucket: str = Field(min_length=3, max_length=63)
    prefix: str = ""
    endpoint_url: str | None = None
    """None: Amazon's own."""
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


class Webhook(Frozen):
    """An address that gets every event as JSON, signed in the Standard Webhooks way."""

    url: str
    secret: SecretStr | None = None
    """`whsec_` and base64; None: unsigned."""

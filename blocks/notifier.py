"""The block `Notifier`: an address that is told how jobs and scans end."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from blocks.appearance import DOCUMENTATION, LOGO
from darkstream.model.endpoint import Webhook


class Notifier(Block):
    """An address that is told how jobs and scans end, by a signed webhook.

    Example:
        Get the address and the secret:
        ```python
        from blocks.notifier import Notifier

        webhook = Notifier.load("BLOCK_NAME").to_model()
        ```
    """

    _block_type_name = "DarkStream Notifier"
    _block_type_slug = "darkstream-notifier"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    url: HttpUrl = Field(description="Address that gets every event as JSON.")
    secret: SecretStr | None = Field(
        None, description="Standard Webhooks secret, beginning with whsec_; empty: unsigned."
    )

    def to_model(self) -> Webhook:
        """The address, its secret still wrapped."""
        return Webhook(url=str(self.url), secret=self.secret)

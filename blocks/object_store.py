"""The block `ObjectStore`: a bucket and the keys to it."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from blocks.appearance import DOCUMENTATION, LOGO
from darkstream.model.endpoint import ObjectStorage


class ObjectStore(Block):
    """A bucket of an S3-compatible store, and the keys to it.

    Example:
        Get a store with its keys:
        ```python
        from blocks.object_store import ObjectStore

        store = ObjectStore.load("BLOCK_NAME").to_model()
        ```
    """

    _block_type_name = "DarkStream Object Store"
    _block_type_slug = "darkstream-object-store"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    bucket: str = Field(min_length=3, max_length=63, description="Name of the bucket.")
    prefix: str = Field("", description="Only keys that begin with this.")
    endpoint_url: str | None = Field(None, description="Address of the store; empty: Amazon's.")
    region: str | None = Field(None, description="Region of the bucket.")
    access_key_id: str | None = Field(
        None, description="Key to sign in with; empty: the environment's."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of that key.")

    def to_model(self) -> ObjectStorage:
        """The store, its secret still wrapped."""
        return ObjectStorage(
            bucket=self.bucket,
            prefix=self.prefix,
            endpoint_url=self.endpoint_url or None,
            region=self.region or None,
            access_key_id=self.access_key_id or None,
            secret_access_key=self.secret_access_key,
        )

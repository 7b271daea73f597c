"""The name a block's value gets."""

from __future__ import annotations

from prefect.blocks.core import Block

from darkstream.errors import UsageError


def name_of(block: Block, given: str | None) -> str:
    """The given name, else that of the saved block; raises UsageError for one never saved."""
    name = given or block._block_document_name
    if not name:
        raise UsageError("a block that was never saved has no name: save it, or give one")
    return name

"""The block `Library`: a folder of videos, what belongs to it, what it should become."""

from __future__ import annotations

from typing import cast

from prefect.blocks.core import Block
from pydantic import Field

from blocks.appearance import DOCUMENTATION, LOGO
from blocks.naming import name_of
from blocks.preset import Preset
from darkstream.errors import UsageError
from darkstream.model.replacement import InPlace
from darkstream.model.wire import AddLibrary


class Library(Block):
    """A folder of videos, what belongs to it, and what its files should become.

    Example:
        Add the library of a block to DarkStream:
        ```python
        from blocks.library import Library

        library = Library.load("BLOCK_NAME").to_request()
        ```
    """

    _block_type_name = "DarkStream Library"
    _block_type_slug = "darkstream-library"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    root: str = Field(description="Absolute path of the folder.")
    destination: str | None = Field(
        None, description="Absolute path of the folder for the results; not with in place."
    )
    in_place: InPlace | None = Field(
        None,
        description="Have results take the place of their originals; empty: none is touched.",
    )
    preset: str = Field("web", description="Name of a preset that the server knows.")
    own_preset: Preset | None = Field(None, description="A preset of your own, instead of a name.")
    include: list[str] | None = Field(
        None, description="Only files that match one of these globs; empty: all media files."
    )
    exclude: list[str] = Field([], description="No files that match one of these globs.")
    schedule: str | None = Field(None, description="Scan at these times: cron, five fields.")
    priority: int = Field(50, ge=0, le=100, description="Of its jobs: 0 to 100, higher is sooner.")

    def to_request(self, name: str | None = None) -> AddLibrary:
        """The request that adds it; its name is that of the block unless given."""
        return AddLibrary(
            name=name_of(self, name),
            root=self.root,
            destination=self.destination or None,
            in_place=self.in_place,
            preset=self.preset if self.own_preset is None else self.own_preset.to_model(),
            include=tuple(self.include) if self.include else None,
            exclude=tuple(self.exclude),
            schedule=self.schedule or None,
            priority=self.priority,
        )


def load_library(name: str) -> Library:
    """The library block of that name; raises UsageError where there is none."""
    try:
        return cast(Library, Library.load(name))
    except ValueError as error:
        raise UsageError(
            f"Prefect has no block {name!r} of the type 'DarkStream Library': make one in its "
            "pages, under Blocks"
        ) from error

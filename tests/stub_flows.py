"""Flows that do nothing, under the names of ours, for tests of dispatch alone."""

from __future__ import annotations

from prefect import flow


@flow(name="convert")
def convert(dispatch: int | None = None, source: str | None = None) -> None:
    """Convert the jobs of a dispatch."""


@flow
def scan_library(scan: int | None = None, library: str | None = None) -> None:
    """Look over a library."""


@flow
def maintain() -> None:
    """Tidy up."""


@flow(name="another-name")
def misnamed() -> None:
    """Not called what its deployment says."""

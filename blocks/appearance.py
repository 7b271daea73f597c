"""What all blocks show of themselves in Prefect's UI."""

from __future__ import annotations

from pydantic import HttpUrl

DOCUMENTATION = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
LOGO = HttpUrl(
    "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a"
    "78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/filesystem.png"
)
"""The picture of Prefect's own file system blocks."""

"""The device files a hardware encoder needs inside the cage."""

from __future__ import annotations

import os

_NAMES = (b"nvidiactl", b"nvidia0", b"nvidia-uvm", b"dri")


def device_files() -> list[bytes]:
    """Those of them that this machine has, absolute."""
    return [path for name in _NAMES if os.path.exists(path := b"/dev/" + name)]

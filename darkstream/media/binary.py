"""Which ffmpeg is used: the setting, else PATH's if it is new enough, else PyPI's static build."""

from __future__ import annotations

import os
import re
import shutil
from functools import lru_cache
from pathlib import Path

from darkstream.errors import ProcessFailed, ToolMissing
from darkstream.media.process import Limits, run
from darkstream.settings import MediaSettings

_OLDEST = 6
_NEEDED = (b"libx264", b"aac")


def find_ffmpeg(settings: MediaSettings) -> Path:
    """Absolute path of the ffmpeg to use; raises ToolMissing with what to do."""
    if settings.ffmpeg is not None:
        if ffmpeg_version(settings.ffmpeg) is None:
            raise ToolMissing(
                f"DARKSTREAM_MEDIA__FFMPEG names {settings.ffmpeg}, which does not run as ffmpeg"
            )
        return settings.ffmpeg.absolute()
    if (found := shutil.which("ffmpeg")) and _is_usable(Path(found)):
        return Path(found).absolute()
    return _bundled()


def _bundled() -> Path:
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe()).absolute()
    except (ImportError, RuntimeError) as error:
        raise ToolMissing(
            "no usable ffmpeg: install ffmpeg >= 6, or name one in DARKSTREAM_MEDIA__FFMPEG"
        ) from error


@lru_cache(maxsize=8)
def ffmpeg_version(path: Path) -> str | None:
    """What `ffmpeg -version` calls itself; None where it does not run."""
    try:
        done = run([os.fsencode(path), b"-version"], limits=Limits(wall_s=20))
    except (ProcessFailed, OSError):
        return None
    found = re.match(rb"ffmpeg version (\S+)", done.stdout)
    return found.group(1).decode("ascii", "replace") if found else None


def _is_usable(path: Path) -> bool:
    version = ffmpeg_version(path)
    major = re.match(r"n?(\d+)\.", version or "")
    if major is None or int(major.group(1)) < _OLDEST:
        return False
    done = run([os.fsencode(path), b"-hide_banner", b"-encoders"], limits=Limits(wall_s=20))
    return all(name in done.stdout for name in _NEEDED)

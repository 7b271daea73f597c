"""What is read of ffmpeg's lines when an encoder is proved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from darkstream.media.proofs import RATE, SECONDS, _is_as_asked

_VIDEO: Any = SimpleNamespace(pix_fmt="yuv420p")


def lines(*after: str) -> list[str]:
    """Pictures, the first of them a key frame, and what else is said."""
    pictures = [
        f"[Parsed_showinfo_0 @ 0x5] [info] n: {number} pts: {number} pts_time:{number / RATE} "
        f"fmt:yuv420p iskey:{int(number == 0)}"
        for number in range(RATE * SECONDS)
    ]
    return [*pictures, *after]


def test_other_threads_may_speak_within_a_score() -> None:
    whole = lines("[Parsed_ssim_3 @ 0x5] [info] SSIM Y:0.99 (20) U:0.99 (20) V:0.99 (20) All:0.99")
    parted = lines(
        "[Parsed_ssim_3 @ 0x5] [info] SSIM Y:0.99 (20) U:0.99 (20)[dec:h264 @ 0x6] [info] done",
        " V:0.99 (20) All:0.99 (20)",
    )
    assert _is_as_asked(whole, _VIDEO, rung=False)
    assert _is_as_asked(parted, _VIDEO, rung=False)


def test_pictures_that_differ_or_no_score_are_no_proof() -> None:
    other = "[Parsed_ssim_3 @ 0x5] [info] SSIM Y:0.50 (3) U:0.50 (3) V:0.50 (3) All:0.50 (3)"
    assert not _is_as_asked(lines(other), _VIDEO, rung=False)
    assert not _is_as_asked(lines(), _VIDEO, rung=False)

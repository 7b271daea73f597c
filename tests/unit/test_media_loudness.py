"""What is read of ffmpeg's summaries of loudness."""

from __future__ import annotations

from darkstream.media.loudness import Measured, _measured, _Meter

_SUMMARY = """\
[loudness{number} @ 0x7f7a84001c00] [info] Summary:

  Integrated loudness:
    I:         {integrated} LUFS
    Threshold: -31.8 LUFS

  Loudness range:
    LRA:         0.0 LU
    Threshold:   0.0 LUFS
    LRA low:     0.0 LUFS
    LRA high:    0.0 LUFS{after_range}

  True peak:
    Peak:      {peak} dBFS{after_peak}
"""


def heard(*texts: str) -> _Meter:
    meter = _Meter()
    for text in texts:
        for line in text.splitlines():
            meter.note(line)
    return meter


def told(number: int, integrated: str, peak: str, after_range: str = "", after: str = "") -> str:
    return _SUMMARY.format(
        number=number, integrated=integrated, peak=peak, after_range=after_range, after_peak=after
    )


def test_other_threads_may_speak_behind_a_value() -> None:
    meter = heard(
        told(0, "-21.8", "-18.1", after="Encoder thread received EOF"),
        told(1, "-30.0", "-inf", after_range="[out#0/null @ 0x5] [verbose] All streams finished"),
    )
    assert _measured(meter.found.get(0)) == Measured(-21.8, -18.1)
    assert _measured(meter.found.get(1)) == Measured(-30.0, float("-inf"))


def test_half_a_summary_is_none() -> None:
    first, _, _ = told(0, "-21.8", "-18.1").partition("  True peak")
    assert _measured(heard(first).found.get(0)) is None
    assert _measured(None) is None

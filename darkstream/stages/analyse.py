"""Analysing files: what is in them, what their pictures and sound are like, what is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from darkstream.errors import (
    NoSuchPath,
    ProcessFailed,
    SourceError,
    SourceRejected,
    SourceUnreadable,
)
from darkstream.library.irregular import Irregular
from darkstream.library.walk import Differs, Walk
from darkstream.media.analysis import measure_loudness, measure_picture
from darkstream.media.soundness import check
from darkstream.model.analysis import Analysis, Depth, Loudness, Picture
from darkstream.model.base import LibraryId, ScanId
from darkstream.model.library import Library, ScanOrder
from darkstream.model.media import Finding, MediaInfo, Severity, ValidationReport
from darkstream.model.paths import display, split_exact
from darkstream.model.survey import Survey
from darkstream.observe.cancel import CancelToken
from darkstream.planning import merge_findings
from darkstream.planning.video import main_video, source_rate
from darkstream.stages.toolbox import Toolbox
from darkstream.stages.validate import validate


def find_files(path: bytes, cancel: CancelToken | None = None) -> Iterator[bytes | Analysis]:
    """The file itself, or what a library of that directory would hold, in path order.

    Of a directory that cannot be read, and of what is in it and cannot be, what is to be said.
    Raises what `cancel` was given, also where no file is met.
    """
    if not os.path.isdir(path):
        yield path
        return
    try:
        for met in Walk(_order(path), cancel):
            if isinstance(met, Differs):
                directory = os.path.join(path, met.listing.path)
                yield from (os.path.join(directory, entry.name) for entry in met.listing.entries)
            elif isinstance(met, Irregular) and met.unreadable:
                yield failed(os.path.join(path, met.path), SourceUnreadable(met.reason))
    except (NoSuchPath, SourceError) as error:
        yield failed(path, error)


def analyse(
    tools: Toolbox, path: bytes, depth: Depth, cancel: CancelToken | None = None
) -> Analysis:
    """Everything about one file; `path` is absolute.

    A file that cannot be read, or that a tool cannot be brought to an end with, is said so in the
    answer. Raises ToolMissing and SandboxUnavailable, which are no file's fault, and what `cancel`
    was given.
    """
    named = _named(path)
    media: MediaInfo | None = None
    try:
        media = tools.prober.probe(path)
        measured = _measure(tools, media, path, depth, cancel)
    except SourceRejected as error:
        return Analysis(**named, status="rejected", reason=str(error), media=media)
    except (SourceError, ProcessFailed) as error:
        return failed(path, error, media)
    report = ValidationReport(
        findings=merge_findings(validate(tools, media).findings, measured.findings)
    )
    rejected = report.severity is Severity.reject
    told = [one.message for one in report.findings if one.severity is Severity.reject]
    rate, variable = _rate(media, measured.survey)
    return Analysis(
        **named,
        status="rejected" if rejected else "done",
        reason="; ".join(told) or None,
        media=media,
        bit_rate=media.bit_rate or _bit_rate(media),
        rate=rate,
        variable_rate=variable,
        picture=measured.picture,
        loudness=measured.loudness,
        level=depth.level,
        findings=report.findings,
    )


def failed(path: bytes, error: Exception, media: MediaInfo | None = None) -> Analysis:
    """What is said of a file that could not be analysed."""
    return Analysis(**_named(path), status="failed", reason=_first_line(error), media=media)


@dataclass(frozen=True)
class _Measured:
    picture: Picture | None = None
    loudness: tuple[Loudness, ...] = ()
    survey: Survey | None = None
    findings: tuple[Finding, ...] = ()


def _measure(
    tools: Toolbox, media: MediaInfo, path: bytes, depth: Depth, cancel: CancelToken | None
) -> _Measured:
    if media.encrypted or depth == Depth(pictures=False):
        return _Measured()
    decoder = tools.decoder(cancel)
    survey, findings = check(media, path, depth.level, prober=tools.prober, decoder=decoder)
    seen = depth.pictures and main_video(media) is not None
    return _Measured(
        picture=measure_picture(media, path, decoder) if seen else None,
        loudness=measure_loudness(media, path, decoder) if depth.loudness else (),
        survey=survey,
        findings=findings,
    )


def _rate(media: MediaInfo, survey: Survey | None) -> tuple[Fraction | None, bool | None]:
    """Pictures a second and whether that varies: as counted, else as probed."""
    video = main_video(media)
    if video is None:
        return None, None
    counted = survey.stream(video.index) if survey is not None else None
    if counted is None or counted.rate is None:
        return source_rate(video), video.variable_rate
    return counted.rate, counted.variable_rate


def _bit_rate(media: MediaInfo) -> int | None:
    seconds = media.duration or Fraction(0)
    return int(media.size_bytes * 8 / seconds) if seconds > 0 else None


def _named(path: bytes) -> dict[str, Any]:
    text, exact = split_exact(path)
    return {"source": text or display(path), "source_b64": exact}


def _first_line(error: Exception) -> str:
    """What went wrong; the command that follows it is for logs."""
    return str(error).partition("\n")[0]


def _order(root: bytes) -> ScanOrder:
    """A library of a directory, as nobody has made one."""
    library = Library(
        id=LibraryId(0),
        name="",
        root=root,
        destination=root,
        preset="",
        created=datetime.now(UTC),
    )
    return ScanOrder(scan=ScanId(0), library=library, dry_run=True, settle_s=0.0, directories=())

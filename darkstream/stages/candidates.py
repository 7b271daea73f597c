"""The files of a scan that the server does not know: waited for, sampled, posted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from darkstream.errors import SourceChanged, SourceUnreadable, SourceVanished
from darkstream.library.identity import identify, sample
from darkstream.library.irregular import GONE
from darkstream.library.settling import GROWING, Settling, settle
from darkstream.model.library import SampledFile, ScanOrder
from darkstream.model.source import ChangeHint
from darkstream.model.wire import SampledFiles
from darkstream.observe.cancel import CancelToken
from darkstream.stages.patience import outlast
from darkstream.stages.report import ReportLines, line_of
from darkstream.stages.toolbox import Toolbox

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look at: its path relative to the library's root, and what stat said of it."""

    path: bytes
    hint: ChangeHint


class Gatherer(Protocol):
    """What is done with the candidates of a scan."""

    def take(self, candidates: Sequence[Found]) -> None:
        """Do it with these."""


class Sampler:
    """Samples files that are complete, so that the server can make jobs of them."""

    def __init__(
        self, tools: Toolbox, order: ScanOrder, lines: ReportLines, cancel: CancelToken
    ) -> None:
        self._client = tools.client
        self._order = order
        self._lines = lines
        self._cancel = cancel

    def take(self, candidates: Sequence[Found]) -> None:
        """Wait until they are still, sample and post; the rest are lines of the report."""
        files = self._sample(complete(self._order, candidates, self._lines, self._cancel))
        while batch := tuple(islice(files, _BATCH)):
            wanted = set(self._post(batch))
            if hashed := tuple(self._hash([one for one in batch if one.path in wanted])):
                self._post(hashed)

    def _post(self, files: tuple[SampledFile, ...]) -> tuple[bytes, ...]:
        body = SampledFiles(files=files)
        return outlast(lambda: self._client.add_files(self._order.scan, body), self._cancel)

    def _sample(self, files: Iterator[Found]) -> Iterator[SampledFile]:
        for one in files:
            self._cancel.check()
            with told(one, self._lines):
                sampled = sample(below(self._order, one.path))
                yield SampledFile(path=one.path, hint=one.hint, sample=sampled)

    def _hash(self, files: list[SampledFile]) -> Iterator[SampledFile]:
        for one in files:
            with told(Found(one.path, one.hint), self._lines):
                found = identify(below(self._order, one.path), self._cancel)
                yield one.model_copy(update={"sample": found.sample, "content": found.content})


def complete(
    order: ScanOrder, candidates: Sequence[Found], lines: ReportLines, cancel: CancelToken
) -> Iterator[Found]:
    """The candidates nobody writes to any more; each other one is a line of the report."""
    files = [(below(order, one.path), one.hint) for one in candidates]
    for one, state in zip(candidates, settle(files, order.settle_s, cancel), strict=True):
        if state is Settling.growing:
            lines.add(line_of(one.path, one.hint.size, "skip", "skipped", GROWING))
        elif state is Settling.vanished:
            lines.add(line_of(one.path, one.hint.size, "skip", "skipped", GONE))
        else:  # what cannot be asked says why when it is opened
            yield one


def below(order: ScanOrder, path: bytes) -> bytes:
    """The absolute path of a file of the library."""
    return os.path.join(order.library.root, path)


@contextmanager
def told(one: Found, lines: ReportLines) -> Iterator[None]:
    """Turn an error about one source into its line of the report: the scan goes on."""
    try:
        yield
    except SourceVanished:
        lines.add(line_of(one.path, one.hint.size, "skip", "skipped", GONE))
    except SourceChanged:
        lines.add(line_of(one.path, one.hint.size, "skip", "skipped", GROWING))
    except SourceUnreadable as error:
        lines.add(line_of(one.path, one.hint.size, "skip", "failed", str(error)))

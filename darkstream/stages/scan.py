"""A look over a library: walk, difference, settle, sample, post; nothing unchanged is opened."""

from __future__ import annotations

import time

from darkstream.errors import Cancelled, DarkstreamError
from darkstream.library.identity import stat_hint
from darkstream.library.irregular import Irregular
from darkstream.library.outputs import missing_outputs
from darkstream.library.walk import Differs, Same, Walk
from darkstream.model.base import ScanId
from darkstream.model.library import DirectoryListing, ScanOrder, ScanSummary
from darkstream.model.source import ChangeHint
from darkstream.model.wire import Listings, ScanKeepAlive
from darkstream.observe.cancel import CancelToken
from darkstream.stages.candidates import Found, Gatherer, Sampler, below
from darkstream.stages.patience import outlast
from darkstream.stages.preview import Previewer
from darkstream.stages.pulse import Pulse
from darkstream.stages.report import ReportLines
from darkstream.stages.toolbox import Toolbox

_DIRECTORIES = 500
_ENTRIES = 5_000


def scan(tools: Toolbox, number: ScanId, cancel: CancelToken) -> ScanSummary:
    """Do a scan that the server knows, whole.

    Raises Cancelled when it was cancelled, NoSuchPath or SourceUnreadable for the library's root
    (the scan then counts as failed), Conflict where another worker does it.
    """
    alive = ScanKeepAlive(node=tools.node, flow_run=tools.flow_run)
    order = outlast(lambda: tools.client.scan_order(number, alive), cancel)

    def keep() -> None:
        if not tools.client.keep_scan(number, alive):
            cancel.cancel(Cancelled("the scan is over: it was cancelled, or given to another"))

    with Pulse(keep, tools.settings.lease.heartbeat_s, name="scan"):
        try:
            summary = _Survey(tools, order, cancel).run()
            outlast(lambda: tools.client.finish_scan(number, summary), cancel)
        except Cancelled:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, DarkstreamError) else repr(error)
            outlast(lambda: tools.client.fail_scan(number, reason), cancel)
            raise
    return summary


class _Survey:
    """One walk; memory holds the directories not yet posted and what the walk holds."""

    def __init__(self, tools: Toolbox, order: ScanOrder, cancel: CancelToken) -> None:
        self._tools = tools
        self._order = order
        self._cancel = cancel
        self._lines = ReportLines(tools, order.scan, cancel)
        gatherer = Previewer if order.dry_run else Sampler
        self._gather: Gatherer = gatherer(tools, order, self._lines, cancel)
        self._listings: list[DirectoryListing] = []
        self._entries = 0
        self._candidates = 0
        self._differing = 0

    def run(self) -> ScanSummary:
        """Walk, then look for outputs that are gone."""
        begun = time.monotonic()
        walk = Walk(self._order, self._cancel)
        for met in walk:
            self._take(met)
        self._post()
        missing = missing_outputs(self._order, self._cancel)
        if self._order.dry_run:
            self._gather.take(self._look_at(missing))
        self._lines.flush()
        return ScanSummary(
            met=walk.met,
            ignored=walk.ignored,
            unchanged=walk.unchanged + self._differing - self._candidates,
            vanished_directories=walk.vanished,
            missing_outputs=missing,
            wall_s=time.monotonic() - begun,
        )

    def _take(self, met: Same | Differs | Irregular) -> None:
        if isinstance(met, Irregular):
            self._lines.add(met.line())
        elif isinstance(met, Differs):
            self._listings.append(met.listing)
            self._entries += len(met.listing.entries)
            if self._entries >= _ENTRIES or len(self._listings) >= _DIRECTORIES:
                self._post()

    def _post(self) -> None:
        """Send the directories that differ; do what the answer asks for."""
        if not self._listings:
            return
        body = Listings(directories=tuple(self._listings))
        client, number = self._tools.client, self._order.scan
        candidates = outlast(lambda: client.list_directories(number, body), self._cancel)
        hints = _hints(self._listings) if candidates else {}
        self._differing += self._entries
        self._candidates += len(candidates)
        self._listings, self._entries = [], 0
        self._gather.take([Found(one.path, hints[one.path]) for one in candidates])

    def _look_at(self, paths: tuple[bytes, ...]) -> list[Found]:
        return [Found(path, stat_hint(below(self._order, path))) for path in paths]


def _hints(listings: list[DirectoryListing]) -> dict[bytes, ChangeHint]:
    return {
        (listing.path + b"/" + entry.name if listing.path else entry.name): entry.hint
        for listing in listings
        for entry in listing.entries
    }

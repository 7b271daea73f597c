"""A dry run: what would be done to each file of a scan, and what it would save."""

from __future__ import annotations

import time
from collections.abc import Sequence

from darkstream.errors import CapabilityMissing, SourceRejected, SourceShared
from darkstream.model.library import ScanOrder
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import Preset
from darkstream.model.source import SourceFile
from darkstream.observe.cancel import CancelToken
from darkstream.planning.estimates import estimate_bytes
from darkstream.planning.presets import Shelf, load_preset
from darkstream.planning.speeds import work_of
from darkstream.stages.candidates import Found, below, complete, told
from darkstream.stages.plan import plan
from darkstream.stages.probe import probe
from darkstream.stages.report import ReportLines, line_of
from darkstream.stages.toolbox import Toolbox
from darkstream.stages.validate import validate
from darkstream.storage.quarantine import check_replaceable


class Previewer:
    """Plans files with this node's capabilities and posts the plans; nothing is encoded.

    Raises UnknownPreset, ToolMissing and SandboxUnavailable: then nothing can be planned at all.
    """

    def __init__(
        self, tools: Toolbox, order: ScanOrder, lines: ReportLines, cancel: CancelToken
    ) -> None:
        self._tools = tools
        self._order = order
        self._lines = lines
        self._cancel = cancel
        self._preset = _preset_of(order, tools)

    def take(self, candidates: Sequence[Found]) -> None:
        """Plan each file that is complete; the rest are lines of the report."""
        for one in complete(self._order, candidates, self._lines, self._cancel):
            self._cancel.check()
            with told(one, self._lines):
                self._preview(one)

    def _preview(self, one: Found) -> None:
        begun = time.monotonic(), time.process_time()
        size, estimate, work = one.hint.size, 0, None
        try:
            if (rule := self._order.library.in_place) is not None:
                check_replaceable(below(self._order, one.path), rule)
            media = probe(self._tools, SourceFile(path=below(self._order, one.path), hint=one.hint))
            chosen = plan(self._tools, self._preset, media, validate(self._tools, media))
        except SourceShared as error:
            self._lines.add(line_of(one.path, size, "skip", "planned", str(error)))
            return
        except SourceRejected as error:
            self._lines.add(line_of(one.path, size, "reject", "planned", str(error)))
            return
        except CapabilityMissing as error:
            self._lines.add(line_of(one.path, size, "convert", "failed", str(error)))
            return
        if isinstance(chosen, EncodePlan):
            estimate, work = estimate_bytes(chosen, media), work_of(chosen, media)
        line = line_of(one.path, size, chosen.decision, "planned", chosen.reason)
        more = {
            "findings": chosen.findings,
            "output_bytes": estimate,
            "work": work,
            "wall_s": time.monotonic() - begun[0],
            "cpu_s": time.process_time() - begun[1],
        }
        self._lines.add(line.model_copy(update=more))


def _preset_of(order: ScanOrder, tools: Toolbox) -> Preset:
    """The library's preset: as the server sent it, else this node's of that name."""
    if order.preset is not None:
        return order.preset
    return load_preset(order.library.preset, Shelf(tools.settings.presets))

"""What keeps the server from working on jobs right now, as the loops see it."""

from __future__ import annotations

import threading


class Troubles:
    """One sentence for each part that is in trouble; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}

    def report(self, part: str, reason: str) -> bool:
        """Note the trouble of a part; true when that is news."""
        with self._lock:
            news = self._reasons.get(part) != reason
            self._reasons[part] = reason
            return news

    def clear(self, part: str) -> bool:
        """The part is well again; true when that is news."""
        with self._lock:
            return self._reasons.pop(part, None) is not None

    def reasons(self) -> tuple[str, ...]:
        """All reasons, by part."""
        with self._lock:
            return tuple(dict.fromkeys(self._reasons[part] for part in sorted(self._reasons)))

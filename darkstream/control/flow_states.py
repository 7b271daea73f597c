"""Prefect's state types, as far as the server wing tells them apart."""

from __future__ import annotations

CANCELLED = frozenset({"CANCELLING", "CANCELLED"})
OVER = frozenset({"CRASHED", "FAILED", "COMPLETED"})
TAKEN = frozenset({"PENDING", "RUNNING"})
WAITING = frozenset({"SCHEDULED", "PENDING"})

"""Loads every tests/fixtures_*.py as a plugin and fails a test that logs an error unasked."""

from __future__ import annotations

import sys
from pathlib import Path

_here = Path(__file__).parent
sys.path.insert(0, str(_here))
pytest_plugins = [path.stem for path in sorted(_here.glob("fixtures_*.py"))]

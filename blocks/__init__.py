"""Prefect blocks: forms, and the only place for their secrets; each makes a value of the model.

Register them with `prefect block register -m blocks`.
"""

from blocks.library import Library
from blocks.notifier import Notifier
from blocks.object_store import ObjectStore
from blocks.preset import Preset

__all__ = ["Library", "Notifier", "ObjectStore", "Preset"]

"""Content keys: where the keys of encrypted packages come from.

A provider gets, or makes, the one key of a content. Keys are handed on as values that show
nothing of themselves; they are in no log, no command line, no address and no published file.
"""

from darkstream.keys.provider import KeyProvider, key_id_of, open_provider

__all__ = ["KeyProvider", "key_id_of", "open_provider"]

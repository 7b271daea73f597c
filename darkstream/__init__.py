"""DarkStream converts video libraries and never endangers an original."""

__version__ = "0.1.0"

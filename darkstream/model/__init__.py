"""Frozen values; they import nothing of ours but the errors."""

"""Logs, progress and the cancel token: anyone may use them."""

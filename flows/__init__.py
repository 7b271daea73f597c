"""Thin Prefect flows: they wire stages together and decide nothing themselves."""

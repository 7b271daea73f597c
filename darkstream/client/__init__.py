"""The typed HTTP client of DarkStream's own API; it knows nothing of Prefect."""

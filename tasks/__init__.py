"""Prefect tasks: thin shells that give the library's functions retries, timeouts, names and artifacts."""

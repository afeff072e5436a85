"""Prefect flows: what happens, in what order."""

"""Prefect tasks: thin shells that give the library's functions retries, timeouts, names and artifacts."""

import logging

# A flow run's page shows what the library says while it runs; Prefect takes the lines and leaves the level as it is.
for _name in ("everfresh", "tasks"):
    logging.getLogger(_name).setLevel(logging.INFO)

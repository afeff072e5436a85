"""What a spec allows itself and its author should know: no fault, and not without a price."""

from __future__ import annotations

from collections.abc import Iterator

from everfresh.spec.project import ProjectSpec


def cautions(spec: ProjectSpec) -> tuple[str, ...]:
    """Sentences about a sound spec, each with the place that it is about."""
    return tuple(_inference_log(spec))


def _inference_log(spec: ProjectSpec) -> Iterator[str]:
    log, columns = spec.inference_log, spec.data.columns
    for column, how in log.redact.items():
        if column in columns and columns[column].dtype == "ignore":
            continue
        done = "left out of the log" if how == "drop" else "hashed in the log"
        yield f"inference_log.redact.{column}: {column!r} is {done}, so its drift and its quality are not watched."
    if log.sample < 1:
        yield (
            f"inference_log.sample: {1 - log.sample:.0%} of the requests leave no trace, so their labels count as "
            f"unknown and retraining.at_least_labels ({spec.retraining.at_least_labels:,}) is reached later."
        )

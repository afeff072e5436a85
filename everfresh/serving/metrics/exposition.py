"""Numbers in Prometheus' text format, version 0.0.4.

Source: the Prometheus documentation, "Exposition formats".
"""

from __future__ import annotations

from collections.abc import Iterator

from everfresh.serving.metrics.counting import FAMILIES, Family, Labels, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(snapshot: Snapshot, gauges: dict[Family, dict[Labels, float]] | None = None) -> str:
    """The text of all numbers; `gauges` are those that nobody counts but that are looked up at this moment."""
    lines: list[str] = []
    for family, series in (gauges or {}).items():
        lines += _head(family)
        lines += (_line(family.name, labels, value) for labels, value in series.items())
    for family in FAMILIES:
        lines += _head(family)
        if family.kind == "histogram":
            lines += _histogram(family, snapshot.buckets.get(family.name, {}))
        else:
            series = snapshot.values.get(family.name, {})
            lines += (_line(family.name, labels, value) for labels, value in series.items())
    return "\n".join(lines) + "\n"


def _head(family: Family) -> tuple[str, str]:
    return f"# HELP {family.name} {family.meaning}.", f"# TYPE {family.name} {family.kind}"


def _histogram(family: Family, series: dict[Labels, list[float]]) -> Iterator[str]:
    for labels, (total, *counts) in series.items():
        reached = 0.0
        for limit, count in zip((*map(_number, family.limits), "+Inf"), counts, strict=True):
            reached += count
            yield _line(f"{family.name}_bucket", (*labels, ("le", limit)), reached)
        yield _line(f"{family.name}_sum", labels, total)
        yield _line(f"{family.name}_count", labels, reached)


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _number(value: float) -> str:
    """As Prometheus writes it: whole numbers without a point.

    >>> _number(120.0), _number(0.25)
    ('120', '0.25')
    """
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

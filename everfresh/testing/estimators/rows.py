"""A small table with every kind of column, and rows that are meant to break whatever answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.columns import Column
from everfresh.data.frames import model_frame
from everfresh.packaging.parity import evenly

COLUMNS = (
    Column("distance", "float"),
    Column("delay", "float"),
    Column("seats", "integer"),
    Column("reference", "integer"),
    Column("night", "boolean"),
    Column("scheduled_at", "datetime"),
    Column("carrier", "category"),
    Column("gate", "category"),
    Column("account", "category"),
)

Values = Mapping[str, list[Any]]
"""Rows as a client sends them: plain values column by column, None for a missing one."""

_START = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
_CARRIERS = ("AA", "UA", "B6", "missing", "")
_GATES = (1, 2.5, "3", True)
# As float64, the first two are the same number.
_ACCOUNTS = (2**53, 2**53 + 1, "90071992547409930", 10**30, "007")
_EXTREMES: Mapping[str, tuple[Any, ...]] = {
    "distance": (0.0, -0.0, 5e-324, -1e-300, 1e15, -1e15, 1e30, 3e38, 0.1 + 0.2),
    "delay": (0.0, 1e-9, -1e9, 1e30),
    "seats": (0, -1, 2**31, -(2**53), 2**53),
    "reference": (0, 2**53 - 1, 2**53, -(2**53)),
    "night": (True, False),
    "scheduled_at": ("1677-09-21T00:12:44Z", "1969-12-31T23:59:59.999999Z", "2013-07-01T12:30:00.000001+02:00",
                     "2262-04-11T23:47:16Z", "0001-01-01", "9999-12-31T23:59:59Z"),
    "carrier": ("ZZ", "aa", "AA ", "a category that training never saw", "nan", "None", "Ünïcödé", "x" * 300),
    "gate": (1.0, 2, 3, "2.5", False, 10**18),
    "account": (2**53 + 2, 7.0, "9007199254740993", 10**30 + 1, 7, "7"),
}  # fmt: skip


def training_values(rows: int, seed: int) -> Values:
    """Rows to fit on; a tenth of the values is missing."""
    random = np.random.default_rng(seed)
    seconds = random.integers(0, 10_000_000, rows).tolist()
    values: dict[str, list[Any]] = {
        "distance": random.normal(1000, 400, rows).tolist(),
        "delay": random.exponential(20, rows).round(1).tolist(),
        "seats": random.integers(50, 300, rows).tolist(),
        "reference": (2**53 - random.integers(0, 2**40, rows)).tolist(),
        "night": (random.random(rows) < 0.3).tolist(),
        "scheduled_at": [(_START + timedelta(seconds=second)).isoformat() for second in seconds],
        "carrier": [_CARRIERS[place] for place in random.integers(0, len(_CARRIERS), rows)],
        "gate": [_GATES[place] for place in random.integers(0, len(_GATES), rows)],
        "account": [_ACCOUNTS[place] for place in random.integers(0, len(_ACCOUNTS), rows)],
    }
    return {
        name: [None if missing else value for value, missing in zip(own, random.random(rows) < 0.1, strict=True)]
        for name, own in values.items()
    }


def frame_of(values: Values) -> pd.DataFrame:
    """The model frame of such rows, as training reads it from a table."""
    table = pd.DataFrame({name: pd.Series(own, dtype=object) for name, own in values.items()})
    table["scheduled_at"] = pd.to_datetime(table["scheduled_at"], format="ISO8601", utc=True).dt.as_unit("us")
    return model_frame(table, COLUMNS)


def wild_values(fitted_on: Values) -> Values:
    """Rows that training never saw: extremes, unseen categories, missing values, values right beside known ones."""
    usual = training_values(400, seed=1)
    rows = [dict(zip(usual, row, strict=True)) for row in zip(*usual.values(), strict=True)]
    changes: list[dict[str, Any]] = [dict.fromkeys(usual), *({name: None} for name in usual)]
    changes += [{name: value} for name, extremes in _EXTREMES.items() for value in extremes]
    changes += [{name: value} for name in ("distance", "delay") for value in _beside(fitted_on[name])]
    random = np.random.default_rng(2)
    for _ in range(200):  # several at once
        changes.append({name: random.choice(np.array(own, dtype=object)) for name, own in _EXTREMES.items()
                        if random.random() < 0.4})  # fmt: skip
    rows += [rows[place % len(rows)] | change for place, change in enumerate(changes)]
    return {name: [row[name] for row in rows] for name in usual}


def _beside(values: Sequence[float | None]) -> list[float]:
    """Known values and the middles between them, which is where trees split, and the floats beside each."""
    known = np.unique([value for value in values if value is not None])[::10]
    places = np.concatenate([known, (known[1:] + known[:-1]) / 2, (known[1:].astype(np.float32)).astype(np.float64)])
    beside = [places, np.nextafter(places, np.inf), np.nextafter(places, -np.inf)]
    return [float(value) for value in np.concatenate(beside)]


def at_the_edges(frame: pd.DataFrame, answer: Callable[[pd.DataFrame], NDArray[np.float64]]) -> pd.DataFrame:
    """Rows on both sides of where an answer jumps, which are neighbours among all float64 numbers.

    They are found by asking, so it does not matter what is asked: between two values with different answers, the middle
    is tried until there is none.
    """
    base = frame.dropna().iloc[:1]
    pairs = [pair for column in COLUMNS if not column.is_category for pair in _different(frame, base, column, answer)]
    if not pairs:
        return frame.head(0)
    names = [name for name, _, _ in pairs]
    low, high = _ordered(np.array([low for _, low, _ in pairs])), _ordered(np.array([high for _, _, high in pairs]))
    answer_low = answer(_with(base, names, _number(low)))
    for _ in range(64):
        middle = (low & high) + ((low ^ high) >> 1)  # their difference may be larger than an integer
        if (middle == low).all():
            break
        is_low = _same(answer(_with(base, names, _number(middle))), answer_low)
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return pd.concat([_with(base, names, _number(low)), _with(base, names, _number(high))], ignore_index=True)


def _different(
    frame: pd.DataFrame, base: pd.DataFrame, column: Column, answer: Callable[[pd.DataFrame], NDArray[np.float64]]
) -> list[tuple[str, float, float]]:
    """Neighbouring values of a column at which a row is answered differently."""
    known = np.unique(frame[column.name].dropna().to_numpy())
    values = known[evenly(len(known), 60)]
    answers = answer(_with(base, [column.name] * len(values), values))
    jumps = np.flatnonzero(~_same(answers[1:], answers[:-1]))[:25]
    return [(column.name, float(values[place]), float(values[place + 1])) for place in jumps]


def _same(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (left == right).reshape(len(left), int(np.prod(left.shape[1:]))).all(axis=1)
    return same


def _with(base: pd.DataFrame, names: Sequence[str], values: NDArray[np.float64]) -> pd.DataFrame:
    """The one row again and again, each time with one other value."""
    rows = base.iloc[np.zeros(len(names), dtype=int)].reset_index(drop=True)
    for name in dict.fromkeys(names):
        own = np.flatnonzero(np.array(names) == name)
        changed = rows[name].to_numpy(copy=True)
        changed[own] = values[own]
        rows[name] = changed
    return rows


def _ordered(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integers in the order of the numbers, with none between those of neighbours."""
    bits = values.view(np.int64)
    return np.where(bits >= 0, bits, np.int64(-(2**63)) - bits)


def _number(ordered: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(ordered >= 0, ordered, np.int64(-(2**63)) - ordered).view(np.float64)

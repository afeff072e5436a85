"""Which rows are learned from, which choose the best candidate, and which judge it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from everfresh.data.frames import category_values
from everfresh.errors import CannotSplit
from everfresh.spec.data import DataSpec, GroupedSplit, TimeSplit
from everfresh.spec.fields import format_duration
from everfresh.spec.metrics import Task

VALIDATION_SHARE = 0.25
"""Validation takes at most this share of the rows that are not held out."""

FEWEST_ROWS = 5
"""With fewer rows than this on a side there is nothing to learn or to judge."""

FEWEST_OF_A_CLASS = 3
"""A class with fewer rows is for training alone: it must at least be known."""

_TRAIN, _VALIDATION, _HOLDOUT = 0, 1, 2

Positions = NDArray[np.intp]
Sides = NDArray[np.int8]
Moments = NDArray[np.datetime64]


@dataclass(frozen=True)
class Split:
    """Positions of rows, ascending; every row is in exactly one of the three."""

    train: Positions
    validation: Positions
    holdout: Positions


def split_rows(frame: pd.DataFrame, data: DataSpec, *, task: Task, seed: int) -> Split:
    """The split that the spec asks for.

    By time, the newest rows are held out and those just before them are for validation: as long a stretch (or as many
    rows, where the holdout is a share), but at most `VALIDATION_SHARE` of what is left. Rows of one moment stay on one
    side, so a share is met as nearly as they allow.

    By groups and at random, holdout and validation are of that same size, and the seed decides which rows they get.
    A group, or a row with an id, finds its place by what it is called, so it is nearly always on the same side of the
    next table, too. Otherwise a champion would be judged on rows that it has learned from.

    Args:
        frame: rows with labels.
        data: the spec's section.
        task: the rows of a classification are drawn class by class where they are drawn at random.
        seed: another seed, another draw.

    Raises:
        CannotSplit: a side would have too few rows or groups, or nothing to tell apart.
    """
    split = data.effective_split
    if isinstance(split, TimeSplit):
        side = _by_time(frame[str(data.time_column)], split.holdout)
    elif isinstance(split, GroupedSplit):
        side = _by_group(frame[split.by], split.holdout, seed)
    else:
        side = _at_random(frame, data, split.holdout, task=task, seed=seed)
    found = Split(*(np.flatnonzero(side == number) for number in (_TRAIN, _VALIDATION, _HOLDOUT)))
    _check(found, frame, data, task)
    return found


def _by_time(times: pd.Series, holdout: timedelta | float) -> Sides:
    if times.isna().any():
        raise CannotSplit(f"rows without a time in {times.name!r} belong to no side")
    moments = pd.DatetimeIndex(times).tz_localize(None).to_numpy()
    order = np.argsort(moments, kind="stable")
    held, chosen = _cuts(moments[order], holdout)
    side = np.empty(len(times), dtype=np.int8)
    side[order] = np.repeat([_TRAIN, _VALIDATION, _HOLDOUT], [chosen, held - chosen, len(times) - held])
    return side


def _cuts(moments: Moments, holdout: timedelta | float) -> tuple[int, int]:
    """Where the holdout begins, and where validation does, among moments in their order."""
    rows, newest = len(moments), moments[-1]
    if isinstance(holdout, timedelta):
        stretch = np.timedelta64(holdout)
        held = int(np.searchsorted(moments, newest - stretch, side="right"))
        if held == 0:
            days = (newest - moments[0]) / np.timedelta64(1, "D")
            raise CannotSplit(f"its rows span {days:.1f} days, and the holdout alone is {format_duration(holdout)}")
        as_long = int(np.searchsorted(moments, newest - 2 * stretch, side="right"))
    else:
        changes = _changes(moments)
        held = int(changes[np.argmin(np.abs(changes - rows * (1 - holdout)))])
        as_long = held - (rows - held)
    changes = _changes(moments[:held])
    # A stretch without rows just before the holdout must not leave validation without any.
    earliest = max(min(as_long, held - FEWEST_ROWS), held * (1 - VALIDATION_SHARE))
    late_enough = changes[changes >= earliest]
    return held, int(late_enough[0] if len(late_enough) else changes[-1])


def _changes(moments: Moments) -> Positions:
    """Where a new moment begins: the places at which rows can be told apart by time."""
    changes = np.flatnonzero(moments[1:] != moments[:-1]) + 1
    if not len(changes):
        raise CannotSplit(f"{len(moments):,} rows of the same moment, {moments[0]}, would have to be on two sides")
    return changes


def _by_group(groups: pd.Series, share: float, seed: int) -> Sides:
    codes, names = pd.factorize(category_values(groups), use_na_sentinel=False)
    if len(names) < 3:
        raise CannotSplit(f"{groups.name!r} has {len(names)} different values, and the three sides need one each")
    sizes = np.bincount(codes)
    drawn = np.argsort(_draw(pd.Series(names), seed), kind="stable")
    held = _groups_for(len(groups) * share, drawn[:-2], sizes)
    left = drawn[~np.isin(drawn, held)]
    rows_left = sizes[left].sum()
    chosen = _groups_for(min(len(groups) - rows_left, rows_left * VALIDATION_SHARE), left[:-1], sizes)
    side = np.full(len(names), _TRAIN, dtype=np.int8)
    side[held], side[chosen] = _HOLDOUT, _VALIDATION
    by_row: Sides = side[codes]
    return by_row


def _groups_for(rows: float, drawn: Positions, sizes: Positions) -> Positions:
    """The first groups drawn that together have about so many rows; one that is too large is passed over."""
    taken: list[int] = []
    missing = rows
    for group in drawn:
        if sizes[group] < 2 * missing:
            taken.append(group)
            missing -= sizes[group]
    return np.array(taken or [drawn[np.argmin(sizes[drawn])]], dtype=np.intp)


def _at_random(frame: pd.DataFrame, data: DataSpec, share: float, *, task: Task, seed: int) -> Sides:
    by_class = task == "classification"
    classes = pd.factorize(category_values(frame[data.label]), sort=True)[0] if by_class else np.zeros(len(frame), int)
    order = np.lexsort((_drawn_rows(frame, data, seed), classes))
    sizes = np.bincount(classes)
    place = np.arange(len(frame)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawable = np.where(sizes < FEWEST_OF_A_CLASS, 0, sizes)
    held = np.minimum(_shares(drawable, share), np.maximum(drawable - 1, 0))
    chosen = _shares(drawable, min(share, (1 - share) * VALIDATION_SHARE))
    chosen = np.minimum(chosen, np.maximum(drawable - held - 1, 0))
    side = np.full(len(frame), _TRAIN, dtype=np.int8)
    ordered = classes[order]
    side[order[place < held[ordered]]] = _HOLDOUT
    side[order[(place >= held[ordered]) & (place < (held + chosen)[ordered])]] = _VALIDATION
    return side


def _drawn_rows(frame: pd.DataFrame, data: DataSpec, seed: int) -> NDArray[Any]:
    if data.id_column is None:
        return np.random.default_rng(seed).random(len(frame))
    return _draw(category_values(frame[data.id_column]), seed)


def _shares(sizes: Positions, share: float) -> Positions:
    """A share of each size in whole rows, so that their sum is that share of the sum.

    >>> _shares(np.array([1, 1, 1, 1, 96]), 0.2).tolist()
    [0, 0, 1, 0, 19]
    """
    ends: Positions = np.rint(np.cumsum(sizes) * share).astype(np.intp)
    ends[1:] -= ends[:-1].copy()
    return ends


def _draw(names: pd.Series, seed: int) -> NDArray[np.uint64]:
    """A number for each name that looks like chance, and is the same whenever the name and the seed are."""
    texts = names.astype(object).where(names.notna(), "").to_numpy()
    return pd.util.hash_array(texts, hash_key=f"{seed % 10**16:016d}", categorize=False)


def _check(split: Split, frame: pd.DataFrame, data: DataSpec, task: Task) -> None:
    for side, positions in (("holdout", split.holdout), ("validation", split.validation), ("train", split.train)):
        if len(positions) < FEWEST_ROWS:
            raise CannotSplit(f"of {len(frame):,} rows, {side} would get {len(positions)} and needs {FEWEST_ROWS}")
    if task == "classification":
        classes = category_values(frame[data.label].iloc[split.train]).unique()
        if len(classes) == 1:
            raise CannotSplit(f"all {len(split.train):,} rows to train on have the label {classes[0]!r}")

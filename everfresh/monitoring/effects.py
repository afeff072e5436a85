"""How far a column has moved, in units that a person can judge; sample size plays no part here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from everfresh.monitoring.counts import CategoryCounts, NumberCounts
from everfresh.monitoring.normal_scores import normal_scores

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]

_PSI_GROUPS = 20
_PSI_FLOOR = 1e-4


def shares(counts: Sequence[int] | Floats) -> Floats:
    """`counts` as shares of their sum, which must not be 0."""
    numbers = np.asarray(counts, dtype=np.float64)
    return np.asarray(numbers / numbers.sum(), dtype=np.float64)


def aligned_shares(reference: CategoryCounts, window: CategoryCounts) -> tuple[Floats, Floats]:
    """The shares of every category that either of them has, in the same order."""
    names = list(dict.fromkeys((*reference.values, *window.values)))
    return (
        shares([reference.values.get(name, 0) for name in names]),
        shares([window.values.get(name, 0) for name in names]),
    )


def score_distance(reference_bins: Sequence[int], window_bins: Sequence[int]) -> float:
    """Wasserstein-1 on normal scores: how many reference standard deviations the average value has to travel.

    For a normal column this is the plain Wasserstein distance over the reference's standard deviation, and for a mere
    shift it is that shift. Skew, heavy tails and outliers do not dilute it (see `normal_scores`); no value counts as
    further out than about 3.

    >>> score_distance([50, 50], [50, 50]), round(score_distance([50, 50], [25, 75]), 6)
    (0.0, 0.5)
    """
    gaps = np.diff(normal_scores(reference_bins))
    moved = np.abs(np.cumsum(shares(reference_bins)) - np.cumsum(shares(window_bins)))
    return float(moved[:-1] @ gaps)


def mean_and_spread(reference_bins: Sequence[int], window_bins: Sequence[int]) -> tuple[float, float]:
    """Mean and standard deviation of the window's normal scores; the reference's are 0 and 1.

    >>> mean, spread = mean_and_spread([50, 50], [25, 75])
    >>> round(mean, 6), round(spread, 3)
    (0.5, 0.866)
    """
    scores, weights = normal_scores(reference_bins), shares(window_bins)
    mean = float(weights @ scores)
    return mean, float(np.sqrt(weights @ (scores - mean) ** 2))


def largest_gap(reference_bins: Sequence[int], window_bins: Sequence[int]) -> float:
    """The Kolmogorov-Smirnov distance on the grid: 0 to 1, at most one bin's share below that of the raw values."""
    return float(np.abs(np.cumsum(shares(reference_bins)) - np.cumsum(shares(window_bins))).max())


def total_variation(reference_shares: Floats, window_shares: Floats) -> float:
    """The share of rows that would have to change category: 0 to 1.

    >>> round(total_variation(np.array([0.5, 0.5, 0.0]), np.array([0.4, 0.4, 0.2])), 6)
    0.2
    """
    return float(np.abs(reference_shares - window_shares).sum() / 2)


def psi(reference_shares: Floats, window_shares: Floats) -> float:
    """The population stability index; shown because people know it, not used to decide: without n it is no test.

    >>> round(psi(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    reference = np.maximum(reference_shares, _PSI_FLOOR)
    window = np.maximum(window_shares, _PSI_FLOOR)
    return float(((window - reference) * np.log(window / reference)).sum())


def psi_of_numbers(reference_bins: Sequence[int], window_bins: Sequence[int]) -> float:
    """The population stability index over about 20 groups of bins with equal shares of the reference."""
    middle = np.cumsum(shares(reference_bins)) - shares(reference_bins) / 2
    group = np.minimum((middle * _PSI_GROUPS).astype(np.int64), _PSI_GROUPS - 1)
    reference, window = (np.bincount(group, weights=shares(bins)) for bins in (reference_bins, window_bins))
    return psi(np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64))


def typical_numbers(edges: Sequence[float], counts: NumberCounts) -> str:
    """The middle and the spread of a number column in words, read off its grid.

    >>> typical_numbers([0.0, 1.0], NumberCounts((5, 3, 2), 0, 0, 0, 0.0, 2.0, 0.7, 0.8))
    'median 0, 80 % in 0 to 2'
    """
    if counts.minimum is None or counts.maximum is None:
        return "no values"
    upto = np.cumsum(shares(counts.bins))
    # The last bin has no upper edge; an outer value can also lie inside the outermost edge of the reference.
    tops = np.clip([*edges, counts.maximum], counts.minimum, counts.maximum)
    low, middle, high = (tops[np.searchsorted(upto, share - 1e-12)] for share in (0.1, 0.5, 0.9))
    return f"median {middle:.4g}, 80 % in {low:.4g} to {high:.4g}"


def typical_categories(counts: CategoryCounts, *, most: int = 3) -> str:
    """The most frequent categories with their shares.

    >>> typical_categories(CategoryCounts({"UA": 3, "AA": 1}, missing=2))
    'UA 75.0 %, AA 25.0 %'
    """
    if not counts.present:
        return "no values"
    ranked = sorted(counts.values.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"{name} {count / counts.present:.1%}".replace("%", " %") for name, count in ranked)

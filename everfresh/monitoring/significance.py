"""How surprising a difference is if nothing has changed: p-values that stay honest for dependent rows and far tails.

Levels here are around one in a million (an hourly check, twenty columns, one false alarm a year), so approximations
that are good at 5 % are not good enough: a likelihood ratio instead of Pearson's chi-square, exact tests where counts
are small, and Student's idea wherever the variance was estimated (`degrees_of_freedom`, see `dependence`).

`reference_rows` and `window_rows` are *effective* rows throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from scipy.special import chdtrc, chdtri, fdtrc, fdtri, gammaln, ndtr, ndtri, stdtr, stdtrit

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]

Key = TypeVar("Key")

_SMALL_CELL = 5.0


def combined_rows(reference_rows: float, window_rows: float) -> float:
    """The sample size that counts when two samples are compared.

    >>> combined_rows(100.0, 100.0)
    50.0
    """
    total = reference_rows + window_rows
    return reference_rows * window_rows / total if total else 0.0


def distance_p(distance: float, rows: float, degrees_of_freedom: float) -> float:
    """The two-sided Kolmogorov-Smirnov p-value of the largest `distance` between two distribution functions.

    With an estimated variance, Kolmogorov's series 2 sum (-1)^(k-1) exp(-2 k^2 t^2) becomes the same sum of
    (1 + 4 k^2 t^2 / df)^(-df/2): the mean of exp(-2 k^2 t^2 s) over s ~ chi-square(df)/df. Ties and small samples make
    it conservative, never the reverse.

    Args:
        distance: 0 to 1.
        rows: `combined_rows` of the two samples.
        degrees_of_freedom: of the estimated variance; infinite if it is known.

    >>> round(distance_p(0.1, 184.96, float("inf")), 3)  # Kolmogorov's 5 % point: 1.36 / sqrt(n)
    0.049
    >>> round(distance_p(0.1, 184.96, 20), 3)
    0.086
    """
    t = distance * math.sqrt(rows)
    if t < 0.35:  # there, 1 - p is below 1e-3 and the series converges slowly
        return 1.0
    k = np.arange(1, 101, dtype=np.float64)
    square = 4 * (k * t) ** 2
    if math.isinf(degrees_of_freedom):
        terms = np.exp(-square / 2)
    else:
        terms = np.exp(-degrees_of_freedom / 2 * np.log1p(square / degrees_of_freedom))
    return float(np.clip(2 * (terms[::2].sum() - terms[1::2].sum()), 0.0, 1.0))


def mean_p(
    difference: float, window_sd: float, reference_rows: float, window_rows: float, degrees_of_freedom: float
) -> float:
    """The two-sided p-value of a difference of two means, in standard deviations of the reference.

    A window that varies more than the reference counts with its own `window_sd` (Welch): a burst in a column that is
    nearly always 0 raises both, and the reference alone would not know how wild such a column can be.

    >>> round(mean_p(0.196, 1.0, 200.0, 200.0, float("inf")), 3)
    0.05
    """
    variance = 1 / reference_rows + max(1.0, window_sd) ** 2 / window_rows
    return _two_sided(abs(difference) / math.sqrt(variance), degrees_of_freedom)


def beyond_p(
    outside: int, raw_rows: int, reference_rows: float, window_rows: float, degrees_of_freedom: float
) -> float:
    """The p-value of `outside` of the window's rows lying beyond the reference's extreme on one side.

    Exact for exchangeable rows, whatever the distribution: the k largest of all rows are then all in the window with
    probability C(window, k) / C(all, k).

    >>> round(beyond_p(2, 100, 900.0, 100.0, float("inf")), 4)
    0.0099
    """
    if outside == 0:
        return 1.0
    worth = math.floor(outside * window_rows / raw_rows + 1e-9)
    return _widened(math.exp(min(0.0, _log_share_of_orderings(window_rows, reference_rows, worth))), degrees_of_freedom)


def share_p(
    reference_share: float,
    window_share: float,
    reference_rows: float,
    window_rows: float,
    degrees_of_freedom: float,
) -> float:
    """The two-sided p-value of a change of a share: Fisher's exact test on effective rows, both tails doubled.

    >>> share_p(0.0, 0.0, 1000.0, 100.0, float("inf"))
    1.0
    >>> share_p(0.02, 0.10, 1000.0, 500.0, float("inf")) < 1e-9
    True
    """
    reference, window = round(reference_rows), round(window_rows)
    drawn = round(window_share * window)
    marked = drawn + round(reference_share * reference)
    if marked == 0 or marked == reference + window:
        return 1.0
    possible = np.arange(max(0, marked - reference), min(marked, window) + 1)
    log_chances = _log_choose(window, possible) + _log_choose(reference, marked - possible)
    chances = np.exp(log_chances - _log_choose(reference + window, np.array(marked)))
    upper, lower = chances[possible >= drawn].sum(), chances[possible <= drawn].sum()
    return _widened(min(1.0, 2 * float(min(upper, lower))), degrees_of_freedom)


def categories_p(
    reference_shares: Floats,
    window_shares: Floats,
    reference_rows: float,
    window_rows: float,
    degrees_of_freedom: float,
    evenness: float = 1.0,
) -> float:
    """The p-value of a change of a column's categories.

    A likelihood-ratio test (G, with Williams' correction) of the categories that are frequent in both samples taken
    together, and an exact test of all rare ones as one. Which are rare is decided on both samples together: judged by
    one of them alone, a category that is new or gone would look surprising just because it was chosen for that. Where
    the categories hang together over time unevenly, the statistic has fewer degrees of freedom than categories
    (`evenness`, the second-order correction of Rao and Scott).

    >>> shares = np.array([0.5, 0.3, 0.2])
    >>> categories_p(shares, shares, 1000.0, 500.0, float("inf"))
    1.0
    """
    total = reference_rows + window_rows
    pooled = (reference_shares * reference_rows + window_shares * window_rows) / total
    rare = pooled * min(reference_rows, window_rows) < _SMALL_CELL
    if not rare.any():
        return _g_test_p(reference_shares, window_shares, reference_rows, window_rows, degrees_of_freedom, evenness)
    lumped = float(reference_shares[rare].sum()), float(window_shares[rare].sum())
    rare_p = share_p(*lumped, reference_rows, window_rows, degrees_of_freedom)
    frequent_p = _g_test_p(
        reference_shares[~rare], window_shares[~rare], reference_rows, window_rows, degrees_of_freedom, evenness
    )
    return min(1.0, 2 * min(rare_p, frequent_p))


def critical_mean(p_value: float, degrees_of_freedom: float) -> float:
    """How many standard errors a difference of means must have to reach `p_value`.

    >>> round(critical_mean(0.05, float("inf")), 2)
    1.96
    """
    if math.isinf(degrees_of_freedom):
        return float(-ndtri(p_value / 2))
    return float(-stdtrit(degrees_of_freedom, p_value / 2))


def critical_categories(p_value: float, categories: int, degrees_of_freedom: float, evenness: float = 1.0) -> float:
    """What the likelihood-ratio statistic of so many categories must be to reach `p_value`.

    >>> round(critical_categories(0.05, 2, float("inf")), 2)
    3.84
    """
    free = max(1, categories - 1)
    directions = max(1.0, free * evenness)
    if math.isinf(degrees_of_freedom):
        return float(chdtri(directions, p_value) / directions * free)
    return float(free * fdtri(directions, degrees_of_freedom, 1 - p_value))


def holm(p_values: Mapping[Key, float], level: float) -> frozenset[Key]:
    """Those of a family that are significant while the chance of any false one stays under `level` (Holm, 1979).

    >>> sorted(holm({"a": 0.01, "b": 0.02, "c": 0.5}, level=0.05))
    ['a', 'b']
    """
    significant: list[Key] = []
    for key in sorted(p_values, key=lambda each: p_values[each]):
        if p_values[key] > level / (len(p_values) - len(significant)):
            break
        significant.append(key)
    return frozenset(significant)


def _g_test_p(
    reference: Floats, window: Floats, reference_rows: float, window_rows: float, df: float, evenness: float
) -> float:
    counts = np.stack([reference * reference_rows, window * window_rows])
    cells, samples = counts.sum(axis=0), counts.sum(axis=1)
    total = counts.sum()
    free = len(cells) - 1
    if free < 1 or (samples <= 0).any():
        return 1.0
    expected = np.outer(samples, cells) / total
    g = 2 * float((counts * np.log(np.where(counts > 0, counts / expected, 1.0))).sum())
    williams = 1 + ((total / samples).sum() - 1) * ((total / cells).sum() - 1) / (6 * total * free)
    per_degree = max(0.0, g / williams) / free
    directions = max(1.0, free * evenness)
    return float(chdtrc(directions, per_degree * directions) if math.isinf(df) else fdtrc(directions, df, per_degree))


def _widened(p_value: float, degrees_of_freedom: float) -> float:
    """The p-value of as many standard errors under Student's distribution as `p_value` is under the normal one."""
    return _two_sided(float(-ndtri(p_value / 2)), degrees_of_freedom) if p_value > 0 else 0.0


def _two_sided(standard_errors: float, degrees_of_freedom: float) -> float:
    if math.isinf(degrees_of_freedom):
        return float(2 * ndtr(-standard_errors))
    return float(2 * stdtr(degrees_of_freedom, -standard_errors))


def _log_share_of_orderings(window_rows: float, reference_rows: float, beyond: int) -> float:
    if beyond > window_rows:
        return -math.inf
    return float(
        _log_choose(window_rows, np.array(beyond)) - _log_choose(window_rows + reference_rows, np.array(beyond))
    )


def _log_choose(total: float, chosen: np.ndarray[Any, np.dtype[Any]]) -> Any:
    return gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1)

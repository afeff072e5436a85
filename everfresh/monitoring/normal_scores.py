"""One scale for all number columns: the standard normal that the reference becomes when it is mapped rank by rank.

Drift in standard deviations of the raw values is blind where tails are heavy: a few huge values make the standard
deviation so large that a shift of everything else disappears in it. On normal scores (van der Waerden, 1952) a normal
column keeps its own scale, and any other column, skewed or heavy-tailed, is treated as if it had been transformed to
normal first. No single value weighs more than about 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]


def normal_scores(reference_bins: Sequence[int]) -> Floats:
    """The score of each bin of the reference: mean 0 and standard deviation 1 over the reference's rows.

    A bin without reference rows gets the score of the border between its neighbours. All zeros where the reference has
    a single value, or none.

    >>> normal_scores([50, 50]).tolist()
    [-1.0, 1.0]
    """
    counts = np.asarray(reference_bins, dtype=np.float64)
    rows = counts.sum()
    if rows == 0:
        return np.zeros(len(counts))
    ranks = (np.cumsum(counts) - counts / 2) / rows
    scores: Floats = ndtri(np.clip(ranks, 0.5 / (rows + 1), 1 - 0.5 / (rows + 1)))
    scores -= counts @ scores / rows
    spread = np.sqrt(counts @ scores**2 / rows)
    return scores / spread if spread > 1e-12 else np.zeros(len(counts))

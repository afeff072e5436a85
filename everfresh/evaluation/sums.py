"""Sums over rows, as they are wanted a thousand times in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dot(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The sum of the products, in this thread.

    `left @ right` goes through BLAS, which calls its threads for 10,000 elements already: on a machine whose cores are
    busy, a thousand such products took 60 times as long as without them.

    >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    11.0
    """
    return float(np.einsum("i,i->", left, right))

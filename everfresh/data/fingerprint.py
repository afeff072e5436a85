"""The identity of a table's content."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd


def fingerprint(frame: pd.DataFrame) -> str:
    """16 hexadecimal digits that are equal for equal rows, in whatever order the rows or columns come.

    >>> a = pd.DataFrame({"x": [1, 2], "y": ["p", "q"]})
    >>> fingerprint(a) == fingerprint(a[["y", "x"]].iloc[::-1]), fingerprint(a) == fingerprint(a.assign(x=[1, 3]))
    (True, False)
    """
    ordered = _hashable(frame[sorted(frame.columns)])
    digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in ordered.dtypes.items()]).encode())
    rows = pd.util.hash_pandas_object(ordered, index=False).to_numpy()
    digest.update(np.sort(rows).tobytes())
    return digest.hexdigest()[:16]


def _hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Objects as text: lists have no hash, and the hash of others takes 1 and True for the same."""
    objects = {name: frame[name].map(repr) for name in frame.columns if frame[name].dtype == object}
    return frame.assign(**objects)

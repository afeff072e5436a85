"""Arrow tables without pandas: where pandas is installed, pyarrow imports it at the first array that it makes.

That costs a worker a second and tens of megabytes in the middle of its first requests, to compare with types that are
never there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa


def keep_pandas_out() -> None:
    """Let pyarrow find out now that it has no pandas, which it does once; others may import it afterwards.

    For processes that write tables and never turn one into a frame. Their tables are small, so they live without the
    arenas of Arrow's own allocator, too.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """A finder by which pandas is not installed."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError(name)
        return None

"""Reading Parquet with the types that its schema says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from everfresh.data.locations import Files, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

_UNNAMED_INDEX = "__index_level_"


def read_parquet_file(files: Files, path: str) -> pd.DataFrame:
    """One file as a table: integers and booleans stay what they are where values are missing, decimals are floats.

    What pandas noted about an index is ignored: a named one is a column like any other, and others are no data.

    Raises:
        SourceUnreadable: it is no such file.
    """
    import pyarrow.parquet as pq

    with unreadable(path):
        table = _without_decimals(pq.read_table(path, filesystem=files.system, partitioning=None))
        frame: pd.DataFrame = table.to_pandas(
            ignore_metadata=True, date_as_object=False, types_mapper=_nullable_types().get
        )
    return frame.loc[:, [not str(name).startswith(_UNNAMED_INDEX) for name in frame.columns]]


def _nullable_types() -> dict[pa.DataType, Any]:
    import pyarrow as pa

    sizes = (8, 16, 32, 64)
    return {
        pa.bool_(): pd.BooleanDtype(),
        **{getattr(pa, f"int{size}")(): getattr(pd, f"Int{size}Dtype")() for size in sizes},
        **{getattr(pa, f"uint{size}")(): getattr(pd, f"UInt{size}Dtype")() for size in sizes},
    }


def _without_decimals(table: pa.Table) -> pa.Table:
    """Decimals as the floats that models see anyway: as Python objects they would be slow, and gain nothing."""
    import pyarrow as pa

    fields = [field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))

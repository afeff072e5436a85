"""The inference log: what was asked and answered, and the labels that came back, as Parquet files by date and hour.

    <root>/<model>/log/date=2013-01-05/hour=07/<file>.parquet       id, time, received, model, version, variant,
                                                                    request_id, latency_s, x.<feature>, p.<class> or
                                                                    value
    <root>/<model>/shadow/...                                       the same, of versions that answered a copy of the
                                                                    traffic, unseen
    <root>/<model>/labels/...                                       id, label, received

The hours are those in which rows were received, in UTC: they close, and then their files are merged, shipped and at
last removed. What readers ask for are the times of the rows, which may be far from that; a file's name says between
which times its rows lie (see `names`), so that a file is opened only where it can hold what is asked for. Files that
lie in `log/` itself, from an earlier everfresh, are read as well.

Nothing ever changes a file. The inference server writes them, so pandas is imported only by those who read.
"""

from everfresh.data.inference_log.columns import ANSWER_PREFIX, FEATURE_PREFIX, VALUE, log_schema
from everfresh.data.inference_log.joining import LabelledLog, with_labels
from everfresh.data.inference_log.policy import LogPolicy
from everfresh.data.inference_log.reading import count_rows, read_labels, read_log, read_shadow_pairs
from everfresh.data.inference_log.writing import write_labels, write_rows

__all__ = [
    "ANSWER_PREFIX",
    "FEATURE_PREFIX",
    "VALUE",
    "LabelledLog",
    "LogPolicy",
    "count_rows",
    "log_schema",
    "read_labels",
    "read_log",
    "read_shadow_pairs",
    "with_labels",
    "write_labels",
    "write_rows",
]

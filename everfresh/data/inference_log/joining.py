"""Served rows beside the labels that came back for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LabelledLog:
    """Served rows beside their labels.

    Attributes:
        frame: the log, one row for each id, in the order of time; `label` is text, missing where there is none yet.
        unknown_labels: labels for ids that were never served.
        repeated_labels: labels that came again and said the same.
        contradicted_labels: ids whose labels differ; the newest counts.
    """

    frame: pd.DataFrame
    unknown_labels: int = 0
    repeated_labels: int = 0
    contradicted_labels: int = 0


def with_labels(log: pd.DataFrame, labels: pd.DataFrame, *, all_ids: pd.Series | None = None) -> LabelledLog:
    """The log beside its labels. An id that was served twice counts once, with its newest answer.

    Args:
        log: served rows, by `read_log`.
        labels: by `read_labels`.
        all_ids: every id that was ever served, where `log` is only a part; labels of other ids are unknown.
    """
    labels = labels[labels["label"].notna()]
    newest = labels.drop_duplicates("id", keep="last")
    says_the_same = labels.drop_duplicates(["id", "label"])
    served = log.drop_duplicates("id", keep="last")
    known = served["id"] if all_ids is None else all_ids
    return LabelledLog(
        frame=served.merge(newest[["id", "label"]], on="id", how="left"),
        unknown_labels=len({*newest["id"].to_numpy(dtype=object)} - {*known.to_numpy(dtype=object)}),
        repeated_labels=len(labels) - len(says_the_same),
        contradicted_labels=says_the_same.loc[says_the_same["id"].duplicated(), "id"].nunique(),
    )

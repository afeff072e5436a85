from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from everfresh.errors import DataError, MissingColumn, NotNumbers, OneClass, UnparsableTimes
from everfresh.loop.rows import LearningRows, learning_rows
from everfresh.loop.workspace import Workspace
from everfresh.testing.projects import day

Make = Callable[..., Workspace]


def rows_of(workspace: Workspace, as_of: float | None = None) -> LearningRows:
    return learning_rows(workspace.project, workspace.settings, None if as_of is None else day(as_of))


def test_only_rows_whose_labels_were_known_then_are_learned_from(make: Make) -> None:
    rows = rows_of(make(), as_of=30)

    newest = np.datetime64(day(29).replace(tzinfo=None), "us")  # labels take a day
    assert rows.holdout_times is not None
    assert rows.learning_times is not None
    assert rows.learning_times.max() < rows.holdout_times.min()
    assert rows.holdout_times.max() <= newest
    assert newest - rows.holdout_times.min() <= np.timedelta64(7, "D")
    assert rows.as_of == day(30)


def test_ids_times_and_other_labels_are_no_features(make: Make) -> None:
    rows = rows_of(make())

    assert [column.name for column in rows.columns] == ["distance", "stops", "weekend", "carrier"]
    assert rows.learning.rows.shape == (len(rows.train) + len(rows.validation), 4)
    assert "minutes" in rows.holdout_table  # for slices, and for a champion of other columns


def test_the_fingerprint_is_of_the_rows_that_are_known(make: Make) -> None:
    workspace = make()

    assert rows_of(workspace, 30).fingerprint == rows_of(workspace, 30).fingerprint
    assert rows_of(workspace, 30).fingerprint != rows_of(workspace, 31).fingerprint


def test_a_table_without_times_has_no_moment(make: Make, table: pd.DataFrame) -> None:
    data = {"time_column": None, "columns": {}, "label_delay": "0d", "split": {"kind": "random"}}
    rows = rows_of(make(table.drop(columns=["at", "how", "minutes"]), data=data))

    assert rows.as_of is None
    assert rows.learning_times is None
    assert len(rows.holdout) == pytest.approx(len(table) / 5, abs=1)


def test_what_the_schema_forbids_is_noted(make: Make) -> None:
    rows = rows_of(make(data={"columns": {"distance": {"dtype": "float", "max": 500}}}))

    assert any("distance" in note for note in rows.notes)


def broken(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    return table.assign(**values)


@pytest.mark.parametrize(
    ("label", "values", "error", "sentence"),
    [
        ("late", {"late": "yes"}, OneClass, "All 2,9.. labels in 'late' are 'yes'"),
        ("minutes", {"minutes": "soon"}, NotNumbers, "'minutes' must hold numbers"),
        ("late", {"at": "yesterday"}, UnparsableTimes, "the time column 'at'"),
        ("late", {"late": None}, DataError, "None of the 2,9.. rows has a label in 'late'"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_said_in_a_sentence(
    make: Make, table: pd.DataFrame, label: str, values: dict[str, object], error: type[DataError], sentence: str
) -> None:
    workspace = make(broken(table, **values), label=label)

    with pytest.raises(error, match=sentence):
        rows_of(workspace, None if label == "minutes" else 75)


def test_a_redacted_column_that_the_table_lacks_is_told_before_anything_is_logged(make: Make) -> None:
    """A typo would leave the column in the log as it is."""
    with pytest.raises(
        MissingColumn, match=r"'carier', which is what inference_log.redact names. Did you mean 'carrier'"
    ):
        rows_of(make(inference_log={"redact": {"carier": "drop"}}))

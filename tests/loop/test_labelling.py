from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from everfresh.data.inference_log import read_labels, write_rows
from everfresh.errors import MissingColumn, UnparsableTimes
from everfresh.loop.labelling import LabelsBrought, bring_labels
from everfresh.loop.watch import inference_root
from everfresh.loop.workspace import Workspace
from everfresh.settings import Settings
from everfresh.testing.projects import day, open_in_memory, rides, write_project


@pytest.fixture
def workspace(checkout: Settings) -> Workspace:
    """Twenty rides, served by the first version."""
    table = rides().head(20)
    found = open_in_memory(write_project(checkout.projects, table), checkout)
    moments = pa.array(table["at"].dt.tz_convert(None).to_numpy(), pa.timestamp("us", "UTC"))
    served = {"id": pa.array(table["ride"]), "time": moments, "received": moments, "version": [1] * len(table)}
    write_rows(inference_root(found), "rides", pa.table(served))
    return found


@pytest.fixture
def bring(workspace: Workspace, tmp_path: Path) -> Callable[..., LabelsBrought]:
    """Bring labels from a table that is written for it."""

    def write_and_bring(ending: str = "csv", hours: int = 0, **columns: list[object]) -> LabelsBrought:
        file = tmp_path / f"labels.{ending}"
        frame = pd.DataFrame(columns)
        frame.to_parquet(file) if ending == "parquet" else frame.to_csv(file, index=False)
        return bring_labels(workspace, str(file), day(90) + timedelta(hours=hours))

    return write_and_bring


def labels(workspace: Workspace) -> list[tuple[str, str]]:
    found = read_labels(inference_root(workspace), workspace.name)
    return list(zip(found["id"], found["label"], strict=True))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_of_a_table_come_back_by_id(bring, workspace, ending):
    assert bring(ending, ride=["r0-0", "r0-1"], late=["yes", "no"]) == LabelsBrought(2, 0, 0, 0, 0)
    assert labels(workspace) == [("r0-0", "yes"), ("r0-1", "no")]


def test_bringing_them_twice_changes_nothing(bring, workspace):
    columns = {"id": ["r0-0", "r0-1", "r0-1"], "label": ["yes", "no", "no"]}
    assert bring(**columns) == LabelsBrought(2, 0, 1, 0, 0)
    assert bring(**columns) == LabelsBrought(0, 0, 3, 0, 0)
    assert len(labels(workspace)) == 2


def test_each_row_is_accounted_for(bring, workspace):
    bring(id=["r0-0", "r0-1"], label=["yes", "no"])
    found = bring(
        hours=1, id=["r0-0", "r0-1", "r0-2", "r0-3", "elsewhere", None], label=["yes", "yes", "no", None, "no", "no"]
    )
    assert found == LabelsBrought(accepted=2, unknown=1, repeated=1, contradicted=1, missing=2)
    assert labels(workspace)[-2:] == [("r0-1", "yes"), ("r0-2", "no")]
    assert str(found) == (
        "2 labels accepted, 1 of them against an earlier one; 1 of ids that were never served; 1 were there already; "
        "2 rows without id or label"
    )


def test_a_table_that_contradicts_itself_ends_with_the_label_that_became_known_last(bring, workspace):
    times = ["2013-03-02T00:00:00Z", "2013-03-01T00:00:00Z"]
    assert bring(id=["r0-0", "r0-0"], label=["yes", "no"], time=times) == LabelsBrought(2, 0, 0, 1, 0)
    found = read_labels(inference_root(workspace), workspace.name)
    assert found["label"].tolist() == ["no", "yes"]
    assert found["received"].tolist() == [pd.Timestamp(time) for time in sorted(times)]


def test_a_label_of_the_future_is_known_now(bring, workspace):
    bring(id=["r0-0"], label=["yes"], time=["2999-01-01T00:00:00Z"])
    assert read_labels(inference_root(workspace), workspace.name)["received"].tolist() == [pd.Timestamp(day(90))]


def test_a_table_without_ids_or_labels_is_refused(bring):
    with pytest.raises(MissingColumn, match="'ride', which is the id"):
        bring(label=["yes"])
    with pytest.raises(MissingColumn, match="'late', which is the label"):
        bring(ride=["r0-0"])
    with pytest.raises(UnparsableTimes):
        bring(ride=["r0-0"], late=["yes"], time=["yesterday"])

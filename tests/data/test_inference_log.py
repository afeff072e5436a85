import errno
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everfresh.data.columns import Column
from everfresh.data.inference_log import log_schema, read_labels, read_log, with_labels, write_labels, write_rows
from everfresh.data.windows import Window
from everfresh.errors import SourceUnreadable

DAY = datetime(2013, 7, 1, tzinfo=UTC)
COLUMNS = (Column("distance", "float"), Column("carrier", "category"))
CLASSES = ("0", "1")


def served(
    *ids: str, day: int = 0, version: int = 1, columns: Sequence[Column] = COLUMNS, classes: Sequence[str] = CLASSES,
    **values: object,
) -> pa.Table:  # fmt: skip
    """A row for each id, an hour apart; features and answers that `values` lacks are missing."""
    schema = log_schema(columns, classes)
    times = [DAY + timedelta(days=day, hours=hour) for hour in range(len(ids))]
    known = {"id": list(ids), "time": times, "received": times, "version": [version] * len(ids)}
    others = {name: values.get(name.partition(".")[2]) or [None] * len(ids) for name in {*schema.names} - {*known}}
    return pa.table(known | others, schema=schema)


def labels(root: Path, *pairs: tuple[str, object], day: int = 10) -> None:
    write_labels(root, "m", [row for row, _ in pairs], [label for _, label in pairs], DAY + timedelta(days=day))


def test_what_was_served_is_read_back_in_the_order_of_time(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("c", "d", day=1))
    write_rows(tmp_path, "m", served("a", "b", day=0, distance=[300.0, 2475.0], carrier=["AA", "UA"]))

    log = read_log(tmp_path, "m")

    assert log["id"].tolist() == ["a", "b", "c", "d"]
    assert log["x.distance"].tolist()[:2] == [300.0, 2475.0]
    assert log["x.carrier"].tolist()[:2] == ["AA", "UA"]
    assert log["x.carrier"].isna().tolist() == [False, False, True, True]
    assert str(log["time"].dtype) == "datetime64[us, UTC]"
    assert list(log.columns) == [
        "id", "time", "received", "model", "version", "variant", "request_id", "latency_s",
        "x.distance", "x.carrier", "p.0", "p.1",
    ]  # fmt: skip


def test_a_regression_has_one_answer(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", classes=()))

    assert read_log(tmp_path, "m").columns[-1] == "value"


def test_models_do_not_see_each_other(tmp_path: Path) -> None:
    write_rows(tmp_path, "one", served("a"))

    assert read_log(tmp_path, "other").empty


def test_where_nothing_was_served_there_are_no_rows_of_the_usual_types(tmp_path: Path) -> None:
    log, selected = read_log(tmp_path, "m"), read_log(tmp_path, "m", columns=["id", "x.distance"])

    assert log.empty
    assert str(log["time"].dtype) == "datetime64[us, UTC]"
    assert log["id"].dtype == "str"
    assert list(selected.columns) == ["id", "x.distance"]


def test_a_window_takes_its_start_and_not_its_end(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", "b", "c"))

    found = read_log(tmp_path, "m", window=Window(DAY, DAY + timedelta(hours=2)))

    assert found["id"].tolist() == ["a", "b"]


def test_a_window_without_a_zone_is_in_utc(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", "b", "c"))

    found = read_log(tmp_path, "m", window=Window(datetime(2013, 7, 1, 1), datetime(2013, 7, 1, 2)))

    assert found["id"].tolist() == ["b"]


def test_one_version_can_be_asked_for(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", version=1))
    write_rows(tmp_path, "m", served("b", version=2))

    assert read_log(tmp_path, "m", version=2)["id"].tolist() == ["b"]
    assert read_log(tmp_path, "m", version=3).empty


def test_chosen_columns_are_in_the_order_of_time_too(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("late", day=2))
    write_rows(tmp_path, "m", served("early", day=1))

    found = read_log(tmp_path, "m", columns=["id"])

    assert list(found.columns) == ["id"]
    assert found["id"].tolist() == ["early", "late"]


def test_a_feature_that_an_older_version_did_not_know_is_missing_in_its_rows(tmp_path: Path) -> None:
    later = (*COLUMNS, Column("wind.speed", "float"))
    write_rows(tmp_path, "m", served("a", version=1))
    write_rows(
        tmp_path, "m", served("b", version=2, day=1, columns=later, classes=("0", "1", "2"), **{"wind.speed": [7.0]})
    )

    whole, chosen = read_log(tmp_path, "m"), read_log(tmp_path, "m", columns=["x.wind.speed"])
    old = read_log(tmp_path, "m", columns=["id", "x.wind.speed"], version=1)

    assert whole["x.wind.speed"].isna().tolist() == [True, False]
    assert {"p.0", "p.1", "p.2"} <= set(whole)
    assert chosen["x.wind.speed"].tolist()[1] == 7.0
    assert old["x.wind.speed"].isna().tolist() == [True]


def test_a_number_that_became_a_category_is_a_category_in_all_rows(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", "b", columns=[Column("gate", "float")], gate=[5.0, None]))
    write_rows(tmp_path, "m", served("c", day=1, version=2, columns=[Column("gate", "category")], gate=["B5"]))

    assert read_log(tmp_path, "m")["x.gate"].fillna("-").tolist() == ["5", "-", "B5"]
    assert read_log(tmp_path, "m", version=1)["x.gate"].dtype == "float64"


def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    file = write_rows(tmp_path, "m", served("a"))
    (file.parent / ".half.tmp").write_bytes(b"PAR1")

    assert len(read_log(tmp_path, "m")) == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = write_rows(tmp_path, "m", served("a"))
    file.write_bytes(b"PAR1 and then the power went")

    with pytest.raises(SourceUnreadable, match=f"{file.name}.*move it away"):
        read_log(tmp_path, "m")


def test_a_file_that_retention_removes_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = write_rows(tmp_path, "m", served("old"))
    write_rows(tmp_path, "m", served("new", day=1))
    opened = pq.ParquetFile

    def removing(file: Path) -> pq.ParquetFile:
        removed.unlink(missing_ok=True)
        return opened(file)

    monkeypatch.setattr(pq, "ParquetFile", removing)

    assert read_log(tmp_path, "m")["id"].tolist() == ["new"]


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)

    with pytest.raises(OSError, match="No space left"):
        write_rows(tmp_path, "m", served("a"))
    with pytest.raises(OSError, match="No space left"):
        labels(tmp_path, ("a", 1))

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_labels_come_back_as_text_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    labels(tmp_path, ("b", 0.0), day=2)
    labels(tmp_path, ("a", 1), ("c", True), day=1)

    found = read_labels(tmp_path, "m")

    assert found["id"].tolist() == ["a", "c", "b"]
    assert found["label"].tolist() == ["1", "true", "0"]


def test_where_no_label_came_there_is_an_empty_table(tmp_path: Path) -> None:
    assert list(read_labels(tmp_path, "m").columns) == ["id", "label", "received"]


def test_a_row_without_a_label_yet_is_kept(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", "b"))
    labels(tmp_path, ("b", 1))

    joined = with_labels(read_log(tmp_path, "m"), read_labels(tmp_path, "m"))

    assert joined.frame["id"].tolist() == ["a", "b"]
    assert joined.frame["label"].fillna("none").tolist() == ["none", "1"]
    assert (joined.unknown_labels, joined.repeated_labels, joined.contradicted_labels) == (0, 0, 0)


def test_a_label_that_comes_again_and_says_the_same_is_counted_as_repeated(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a"))
    labels(tmp_path, ("a", 1), day=10)
    labels(tmp_path, ("a", 1.0), ("a", "1"), day=11)

    joined = with_labels(read_log(tmp_path, "m"), read_labels(tmp_path, "m"))

    assert joined.frame["label"].tolist() == ["1"]
    assert (joined.repeated_labels, joined.contradicted_labels) == (2, 0)


def test_of_labels_that_contradict_each_other_the_newest_counts(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", "b"))
    labels(tmp_path, ("a", 0), day=12)
    labels(tmp_path, ("a", 1), ("b", 1), day=11)

    joined = with_labels(read_log(tmp_path, "m"), read_labels(tmp_path, "m"))

    assert joined.frame["label"].tolist() == ["0", "1"]
    assert (joined.repeated_labels, joined.contradicted_labels) == (0, 1)


def test_a_label_that_says_nothing_takes_nothing_back(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a"))
    labels(tmp_path, ("a", 1), day=11)
    labels(tmp_path, ("a", None), ("never served", None), day=12)

    joined = with_labels(read_log(tmp_path, "m"), read_labels(tmp_path, "m"))

    assert joined.frame["label"].tolist() == ["1"]
    assert (joined.unknown_labels, joined.repeated_labels, joined.contradicted_labels) == (0, 0, 0)


def test_a_label_of_a_row_that_was_never_served_is_unknown(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", "b"))
    labels(tmp_path, ("a", 1), ("elsewhere", 1), ("elsewhere", 1))
    log = read_log(tmp_path, "m")

    part = log.head(1)

    assert with_labels(log, read_labels(tmp_path, "m")).unknown_labels == 1
    assert with_labels(part, read_labels(tmp_path, "m"), all_ids=log["id"]).unknown_labels == 1
    assert with_labels(log.tail(1), read_labels(tmp_path, "m")).unknown_labels == 2


def test_an_id_that_was_served_twice_counts_once_with_its_newest_answer(tmp_path: Path) -> None:
    write_rows(tmp_path, "m", served("a", day=0, distance=[1.0]))
    write_rows(tmp_path, "m", served("a", day=1, distance=[2.0]))
    labels(tmp_path, ("a", 1))

    joined = with_labels(read_log(tmp_path, "m"), read_labels(tmp_path, "m"))

    assert joined.frame["x.distance"].tolist() == [2.0]
    assert joined.frame["label"].tolist() == ["1"]


def test_labels_of_a_log_without_rows_are_all_unknown(tmp_path: Path) -> None:
    labels(tmp_path, ("a", 1))

    joined = with_labels(read_log(tmp_path, "m"), read_labels(tmp_path, "m"))

    assert isinstance(joined.frame, pd.DataFrame)
    assert joined.frame.empty
    assert joined.unknown_labels == 1

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from everfresh.errors import EndpointRefused, EndpointUnreachable, MixedVersions
from everfresh.serving.client import Endpoint, Prediction, wire_column


@pytest.fixture
def endpoint(served):
    with Endpoint(served.url) as connected:
        yield connected


def test_an_endpoint_tells_what_it_serves(endpoint, v1):
    assert endpoint.ready()
    assert endpoint.versions() == {"flights": 1, "minutes": 1, "neighbours": 1}
    model = endpoint.model("flights")
    assert (model.version, model.task, model.classes) == (1, "classification", ("late", "on time"))
    assert model.columns == ("distance", "stops", "weekend", "carrier", "booked_at")
    assert (model.id_column, model.time_column, model.path) == ("flight_id", "scheduled_at", "onnx")
    assert model.digest == v1.bundle.manifest.digest


@pytest.mark.parametrize("chunk_rows", [7, 40, 500])
def test_a_table_is_answered_as_by_the_pipeline_however_it_is_cut(endpoint, v1, features, chunk_rows):
    prediction = endpoint.predict("flights", features, chunk_rows=chunk_rows)
    np.testing.assert_allclose(prediction.answer, v1.answer(features), rtol=0, atol=1e-12)
    assert prediction.version == 1
    assert len(prediction.ids) == 40
    assert len(set(prediction.ids)) == 40


def test_plain_lists_are_answered_like_a_table(endpoint, features, plain):
    from_lists = endpoint.predict("flights", plain).answer
    np.testing.assert_array_equal(from_lists, endpoint.predict("flights", features).answer)


def test_a_regression_answers_one_value_for_each_row(endpoint, minutes, features):
    answer = endpoint.predict("minutes", features).answer
    assert answer.shape == (40,)
    np.testing.assert_allclose(answer, minutes.answer(features), rtol=1e-12)


@pytest.mark.parametrize(
    "as_it_may_come",
    [
        lambda frame: frame,
        lambda frame: frame.sample(frac=1, random_state=0).sort_index(ascending=False),
        lambda frame: frame.assign(booked_at=frame["booked_at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
        lambda frame: frame.assign(booked_at=frame["booked_at"].astype("datetime64[ns]")),
        lambda frame: frame.assign(stops=frame["stops"].astype("Int64"), weekend=frame["weekend"].astype("boolean")),
        lambda frame: frame.assign(stops=frame["stops"].astype("int8"), carrier=frame["carrier"].astype("category")),
        lambda frame: frame.assign(stops=frame["stops"].astype("Int64").where(frame["stops"] > 0)),
        lambda frame: frame.assign(distance=frame["distance"].astype("float32")),
        lambda frame: frame[frame.columns[::-1]],
    ],
    ids=["as read", "another index", "zone", "ns", "nullable", "small", "gaps", "float32", "another order"],
)
def test_the_types_of_a_frame_change_no_answer(endpoint, v1, features, as_it_may_come):
    frame = as_it_may_come(features)
    prediction = endpoint.predict("flights", frame, chunk_rows=17)
    np.testing.assert_allclose(prediction.answer, v1.answer(frame), rtol=0, atol=1e-12)


def test_a_frame_of_objects_is_answered_like_one_of_types(endpoint, features):
    from_objects = endpoint.predict("flights", features.astype("object")).answer
    np.testing.assert_array_equal(from_objects, endpoint.predict("flights", features).answer)


def test_ids_and_times_may_come_with_the_rows(endpoint, features):
    ids = [f"row {row}" for row in range(40)]
    times = [datetime(2013, 1, 1, tzinfo=UTC)] * 40
    assert endpoint.predict("flights", features, ids=ids, times=times).ids == tuple(ids)


def test_no_rows_get_no_answers(endpoint, features):
    prediction = endpoint.predict("flights", features.head(0))
    assert (len(prediction.answer), prediction.ids) == (0, ())


def test_columns_of_different_lengths_are_not_cut_to_the_shortest(endpoint, plain):
    with pytest.raises(ValueError, match="differ in length: 39, 40 values"):
        endpoint.predict("flights", {**plain, "stops": plain["stops"][:39]})


def test_a_refusal_says_what_the_server_said(endpoint, features):
    with pytest.raises(
        EndpointRefused, match=r"422 \(unknown_column\): The model does not know the column 'x'"
    ) as refused:
        endpoint.predict("flights", features.assign(x=1))
    assert (refused.value.status, refused.value.code) == (422, "unknown_column")
    with pytest.raises(EndpointRefused, match="404"):
        endpoint.predict("flights", features, version=2)
    with pytest.raises(EndpointRefused, match="404"):
        endpoint.model("other")


def test_labels_are_counted(endpoint):
    assert endpoint.send_labels("flights", ["a", "b", "c"], np.array(["late", "on time", "late"]), chunk_rows=2) == 3
    with pytest.raises(ValueError, match="shorter"):
        endpoint.send_labels("flights", ["a", "b"], ["late"])


def test_an_endpoint_where_nobody_listens_is_not_ready_and_unreachable():
    with Endpoint("http://127.0.0.1:9") as endpoint:
        assert not endpoint.ready()
        with pytest.raises(EndpointUnreachable, match="does not answer"):
            endpoint.versions()


def test_the_version_of_a_mixed_prediction_cannot_be_asked_for():
    mixed = Prediction(np.zeros(2), ("a", "b"), np.array([1, 2]))
    with pytest.raises(MixedVersions, match="1, 2"):
        _ = mixed.version


@pytest.mark.parametrize(
    ("values", "datatype", "sent"),
    [
        ([1, None], "INT64", [1, None]),
        ([1, 0.5], "FP64", [1, 0.5]),
        ([1.0, float("nan")], "FP64", [1.0, None]),
        ([None, None], "FP64", [None, None]),
        ([True, None], "BOOL", [True, None]),
        (["a", None, float("nan")], "BYTES", ["a", None, None]),
        ([np.float32(0.5), np.int8(1), pd.NA], "FP64", [0.5, 1, None]),
        ([datetime(2013, 1, 1), pd.NaT], "BYTES", ["2013-01-01T00:00:00", None]),
        ([date(2013, 1, 1)], "BYTES", ["2013-01-01"]),
        ([pd.Timestamp("2013-01-01", tz="UTC")], "BYTES", ["2013-01-01T00:00:00+00:00"]),
        ([np.datetime64("2013-01-01T00:00")], "BYTES", ["2013-01-01T00:00"]),
        (np.array(["a", "b"]), "BYTES", ["a", "b"]),
        (("a", "b"), "BYTES", ["a", "b"]),
    ],
)
def test_values_are_sent_in_jsons_own_types(values, datatype, sent):
    column = wire_column("c", values)
    assert (column.datatype, column.values) == (datatype, sent)


def test_arrays_are_sent_as_they_are_times_as_seconds_and_float32_exactly():
    assert wire_column("c", np.array([1, 2], np.int32)).datatype == "INT64"
    assert wire_column("c", np.array([True])).datatype == "BOOL"
    assert wire_column("c", np.array([0.1], np.float32)).values.tolist() == [float(np.float32(0.1))]
    times = wire_column("c", np.array(["1970-01-01T00:01", "NaT"], "datetime64[ns]"))
    np.testing.assert_array_equal(times.values, [60.0, np.nan])
    assert times.datatype == "FP64"


def test_a_slice_of_an_array_is_made_one_piece():
    column = wire_column("c", np.arange(10.0)[::2])
    assert column.values.flags.c_contiguous
    assert column.tensor(1, 3)["data"].tolist() == [2.0, 4.0]
    assert column.tensor(4, 9)["shape"] == [1]

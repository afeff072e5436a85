from __future__ import annotations

import pytest

from everfresh.data.inference_log import read_labels, read_log, with_labels
from everfresh.errors import EndpointRefused
from everfresh.serving.client import Endpoint
from everfresh.serving.recording.labels import MOST_LABELS
from everfresh.serving.versions.state import inference_root


def post(served, labels, model="flights"):
    return served.post(f"/v2/models/{model}/labels", json={"labels": labels})


def test_labels_come_back_by_the_ids_that_the_server_gave(serve, root, features, flights):
    server = serve(root)
    with Endpoint(server.url) as endpoint:
        ids = endpoint.predict("flights", features).ids
        assert endpoint.send_labels("flights", ids, flights["delayed"].head(40), chunk_rows=15) == 40
    assert server.stop() == 0
    joined = with_labels(read_log(inference_root(root), "flights"), read_labels(inference_root(root), "flights"))
    assert joined.frame["label"].tolist() == flights["delayed"].head(40).tolist()
    assert joined.unknown_labels == 0


def test_a_label_is_kept_as_text_and_an_integer_id_as_well(served):
    assert post(served, [{"id": 7, "label": 12.5}, {"id": "8", "label": 3}], "minutes").json() == {"accepted": 2}
    labels = read_labels(inference_root(served.root), "minutes")
    assert list(zip(labels["id"], labels["label"], strict=True)) == [("7", "12.5"), ("8", "3")]


@pytest.mark.parametrize(
    ("labels", "status", "message"),
    [
        (None, 400, 'no list "labels"'),
        ({"id": 1}, 400, 'no list "labels"'),
        ([], 400, "no rows"),
        ([5], 422, 'Label 0 is not an object of "id" and "label"'),
        ([{"id": "a"}], 422, 'Label 0 is not an object of "id" and "label"'),
        ([{"id": "a", "label": "late", "more": 1}], 422, "Label 0 is not"),
        ([{"id": "a", "label": "late"}, {"id": True, "label": "late"}], 422, "Column 'id', row 1: true is not an id"),
        ([{"id": "", "label": "late"}], 422, "Column 'id', row 0: '' is not an id"),
        ([{"id": "a", "label": None}], 422, "Column 'label', row 0: null is not a class"),
        ([{"id": "a", "label": ["late"]}], 422, "Column 'label', row 0: a list is not a class"),
        ([{"id": "a", "label": "x" * 1001}], 422, "is not a class"),
    ],
)
def test_what_is_no_label_is_refused(served, labels, status, message):
    refused = post(served, labels)
    assert refused.status_code == status
    assert message in refused.json()["error"]


@pytest.mark.parametrize("label", ["12", True, None])
def test_a_label_of_a_regression_is_a_number(served, label):
    refused = post(served, [{"id": "a", "label": label}], "minutes")
    assert refused.status_code == 422
    assert "is not a number" in refused.json()["error"]


def test_too_many_labels_are_refused(served):
    assert post(served, [{"id": "a", "label": "late"}] * (MOST_LABELS + 1)).status_code == 413


def test_labels_of_a_model_that_is_not_served_are_refused(served):
    assert post(served, [{"id": "a", "label": "late"}], "other").status_code == 404


def test_labels_that_cannot_be_stored_are_refused_and_may_be_sent_again(serve, root):
    blocked = inference_root(root) / "flights" / "labels"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the folder should be")
    server = serve(root)
    with Endpoint(server.url) as endpoint:
        with pytest.raises(EndpointRefused, match=r"507 \(storage_failed\)"):
            endpoint.send_labels("flights", ["a"], ["late"])
        blocked.unlink()
        assert endpoint.send_labels("flights", ["a"], ["late"]) == 1
    assert read_labels(inference_root(root), "flights")["id"].tolist() == ["a"]

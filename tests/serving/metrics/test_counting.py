from __future__ import annotations

import pytest

from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.metrics.exposition import exposition

parser = pytest.importorskip("prometheus_client.parser")


def samples_of(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_what_was_served(serve, root, plain, eventually):
    server = serve(root)
    body = {"inputs": [{"name": name, "data": values} for name, values in plain.items()]}
    for _ in range(3):
        assert server.post("/v2/models/flights/infer", json=body).status_code == 200
    assert server.post("/v2/models/flights/infer", json={}).status_code == 400
    assert server.post("/v2/models/flights/labels", json={"labels": [{"id": "a", "label": "late"}]}).status_code == 200
    version = (("model", "flights"), ("version", "1"))
    eventually(lambda: b'outcome="written"} 120' in server.get("/metrics").content)

    response = server.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = samples_of(response.text)
    assert samples["everfresh_model_version", ("model", "flights")] == 1
    assert samples["everfresh_inferences_total", *version] == 3
    assert samples["everfresh_rows_total", *version] == 120
    assert samples["everfresh_inference_seconds_count", *version] == 3
    assert samples["everfresh_inference_seconds_bucket", ("le", "+Inf"), *version] == 3
    assert 0 < samples["everfresh_inference_seconds_sum", *version] < 3
    assert samples["everfresh_responses_total", ("status", "400")] == 1
    assert samples["everfresh_batch_rows_count", *version] == 3
    assert samples["everfresh_requests_in_flight",] == 1
    assert samples["everfresh_waiting_rows", ("model", "flights")] == 0
    assert samples["everfresh_traffic_share", *version] == 100
    assert samples["everfresh_model_age_seconds", *version] > 86_400
    assert 20e6 < samples["everfresh_worker_memory_bytes",] < 400e6
    assert samples["everfresh_labels_total", ("model", "flights")] == 1
    assert samples["everfresh_log_rows_total", ("outcome", "dropped")] == 0


def test_a_version_that_cannot_be_loaded_is_counted(serve, root, eventually):
    from everfresh.serving.versions.state import want_version

    server = serve(root)
    want_version(root, "flights", 7)
    key = ("everfresh_load_failures_total", ("model", "flights"))
    eventually(lambda: samples_of(server.get("/metrics").text).get(key) == 1)


def test_the_workers_of_a_server_count_together_and_one_that_was_killed_still_counts(serve, root, plain, eventually):
    server = serve(root, workers=2)
    body = {"inputs": plain}
    for _ in range(40):  # each on a connection of its own, so that both workers get some
        assert server.post("/invocations", json=body).status_code == 200
    key = ("everfresh_inferences_total", ("model", "flights"), ("version", "1"))
    eventually(lambda: all(samples_of(server.get("/metrics").text)[key] == 40 for _ in range(6)))
    server.workers()[0].kill()
    eventually(lambda: len(server.workers()) == 2)
    eventually(lambda: server.post("/invocations", json=body).status_code == 200)
    eventually(lambda: samples_of(server.get("/metrics").text)[key] >= 41)


def test_buckets_of_the_histogram_add_up():
    metrics = Metrics()
    metrics.answered("m", 1, 4, (0.0001, 0.002, 0.002, 60.0))
    samples = samples_of(exposition(metrics.snapshot()))
    labels = (("model", "m"), ("version", "1"))
    assert samples["everfresh_inference_seconds_bucket", ("le", "0.0005"), *labels] == 1
    assert samples["everfresh_inference_seconds_bucket", ("le", "0.0025"), *labels] == 3
    assert samples["everfresh_inference_seconds_bucket", ("le", "2.5"), *labels] == 3
    assert samples["everfresh_inference_seconds_bucket", ("le", "+Inf"), *labels] == 4

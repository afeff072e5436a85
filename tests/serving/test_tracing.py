"""Traces, as a collector gets them: it is a small HTTP server that reads the standard messages."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from everfresh.errors import InvalidSetting, MissingExtra
from everfresh.serving.refusals import ModelFailed, UnknownModel
from everfresh.serving.tracing import check_tracing, exporter_of, open_tracer

ROOT = Path(__file__).parents[2]

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs everfresh[otel]")
messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"


@dataclass
class Collector:
    """What was sent to a collector."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def attributes(of: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            request = messages.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                found.resources.append(attributes(resource.resource))
                found.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sends(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have spans sent to the collector, soon."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    return monkeypatch


@pytest.fixture
def tracer(sends: pytest.MonkeyPatch) -> Iterator[Any]:
    tracer = open_tracer()
    assert tracer is not None
    yield tracer
    tracer.close()


def scope_of(method: str = "POST", path: str = "/v2/models/flights/infer", **headers: str) -> Any:
    return SimpleNamespace(
        method=method, path=path, scheme="http", http_version="1.1", client="10.0.0.7:51234", headers=headers
    )


# --- the variables ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "flights"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
    ],
)
def test_the_standard_variables_say_where_traces_go(variables: dict[str, str], exporter: str | None) -> None:
    assert exporter_of(variables) == exporter


@pytest.mark.parametrize(
    ("variable", "text"), [("OTEL_TRACES_EXPORTER", "jaeger"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
def test_what_is_not_there_is_refused_rather_than_left_out(variable: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{variable} is '{text}'"):
        exporter_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", variable: text})


def test_without_the_extra_the_error_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"OTEL_TRACES_EXPORTER": "otlp"}
    check_tracing(wanted)
    monkeypatch.setattr("everfresh.serving.tracing._MODULES", ("opentelemetry.sdk.trace", "opentelemetry.not.there"))
    with pytest.raises(MissingExtra, match=r"pip install 'everfresh\[otel\]'"):
        check_tracing(wanted)
    check_tracing({"OTEL_TRACES_EXPORTER": "console"})
    check_tracing({})


def test_nothing_of_it_is_imported_where_nobody_asks_for_traces() -> None:
    script = (
        "import sys; from everfresh.serving.trails import check_trails, open_trails; check_trails({});"
        "assert open_trails({}) is None; sys.exit(any(n.startswith('opentelemetry') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False).returncode == 0


# --- spans --------------------------------------------------------------------------------------


def test_a_span_says_what_was_asked_in_the_words_of_the_conventions(collector: Collector, tracer: Any) -> None:
    scope = scope_of(**{"user-agent": "curl/8", "traceparent": PARENT})
    started = time.time_ns() - 5_000_000
    span = tracer.request(scope, "/v2/models/{name}/infer", "order-7", started)
    tracer.end(span, 200, None, {"everfresh.model": "flights", "everfresh.rows": 2})
    tracer.close()

    [sent] = collector.spans
    assert sent.name == "POST /v2/models/{name}/infer"
    assert sent.kind == 2  # a server's
    assert sent.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert sent.parent_span_id.hex() == "b7ad6b7169203331"
    assert sent.start_time_unix_nano == started
    assert sent.end_time_unix_nano - started > 5_000_000
    assert sent.status.code == 0
    assert attributes(sent) == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{name}/infer",
        "http.response.status_code": 200,
        "url.path": "/v2/models/flights/infer",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "10.0.0.7",
        "user_agent.original": "curl/8",
        "everfresh.request_id": "order-7",
        "everfresh.model": "flights",
        "everfresh.rows": 2,
    }
    [resource] = collector.resources
    assert resource["service.name"] == "everfresh"


def test_a_service_may_have_a_name_of_its_own(collector: Collector, sends: pytest.MonkeyPatch) -> None:
    for variable, text in {"OTEL_SERVICE_NAME": "flights", "OTEL_RESOURCE_ATTRIBUTES": "service.name=delays"}.items():
        sends.setenv(variable, text)
        tracer = open_tracer()
        assert tracer is not None
        tracer.end(tracer.request(scope_of(), None, "a", time.time_ns()), 200, None, {})  # type: ignore[arg-type]
        tracer.close()
        sends.delenv(variable)

    assert [resource["service.name"] for resource in collector.resources] == ["flights", "delays"]


@pytest.mark.parametrize("given", ["", "00-zz", PARENT[:-3], "00-" + "0" * 32 + "-b7ad6b7169203331-01", "x" * 5000])
def test_a_parent_that_is_none_begins_a_trace_of_its_own(collector: Collector, tracer: Any, given: str) -> None:
    tracer.end(tracer.request(scope_of(traceparent=given), None, "a", time.time_ns()), 404, None, {})
    tracer.close()

    [sent] = collector.spans
    assert (sent.name, sent.parent_span_id) == ("POST", b"")


def test_a_method_that_nobody_knows_does_not_become_a_name(collector: Collector, tracer: Any) -> None:
    tracer.end(tracer.request(scope_of(method="SECRET"), None, "a", time.time_ns()), 404, None, {})
    tracer.close()

    [sent] = collector.spans
    assert (sent.name, attributes(sent)["http.request.method"]) == ("HTTP", "_OTHER")


def test_what_its_sender_does_not_sample_is_not_sent(collector: Collector, tracer: Any) -> None:
    assert tracer.request(scope_of(traceparent=UNSAMPLED), None, "a", time.time_ns()) is None
    tracer.close()
    assert collector.spans == []


def test_a_wrong_request_is_no_error_of_the_server_and_a_failed_one_is(collector: Collector, tracer: Any) -> None:
    for status, error in ((404, UnknownModel("x", ["flights"])), (500, ModelFailed("flights", 1)), (500, None)):
        tracer.end(tracer.request(scope_of(), None, str(status), time.time_ns()), status, error, {})
    tracer.close()

    by_kind = {attributes(span)["error.type"]: span for span in collector.spans}
    assert set(by_kind) == {"unknown_model", "model_failed", "500"}
    assert by_kind["unknown_model"].status.code == 0
    assert not by_kind["unknown_model"].events
    assert by_kind["model_failed"].status.code == by_kind["500"].status.code == 2
    [event] = by_kind["model_failed"].events
    assert attributes(event)["exception.type"].endswith("ModelFailed")


def test_every_request_of_a_batch_has_a_span_of_it_and_they_are_linked(collector: Collector, tracer: Any) -> None:
    requests = [tracer.request(scope_of(), None, str(number), time.time_ns()) for number in range(3)]
    tracer.batch(requests, {"everfresh.batch.rows": 7}, 1_000, 2_000)
    for request in requests:
        tracer.end(request, 200, None, {})
    tracer.close()

    batches = {span.parent_span_id: span for span in collector.named("answer")}
    ids = [request.get_span_context().span_id.to_bytes(8, "big") for request in requests]
    assert set(batches) == set(ids)
    first = batches[ids[0]]
    assert [link.span_id for link in first.links] == ids[1:]
    assert [[link.span_id for link in batches[each].links] for each in ids[1:]] == [[first.span_id]] * 2
    assert {(span.start_time_unix_nano, span.end_time_unix_nano) for span in batches.values()} == {(1_000, 2_000)}
    assert attributes(first) == {"everfresh.batch.rows": 7}


@pytest.mark.parametrize(
    ("error", "code"), [(UnknownModel("x", ["flights"]), 0), (ModelFailed("flights", 1), 2), (ValueError("x"), 2)]
)
def test_a_batch_that_was_not_answered_says_whose_fault_it_was(
    collector: Collector, tracer: Any, error: Exception, code: int
) -> None:
    request = tracer.request(scope_of(), None, "a", time.time_ns())
    tracer.batch([request], {}, 1_000, 2_000, error)
    tracer.close()

    [sent] = collector.named("answer")
    assert (sent.status.code, "error.type" in attributes(sent)) == (code, True)


def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("everfresh.serving.tracing.CLOSE_SECONDS", 0.2)
    tracer = open_tracer()
    assert tracer is not None
    tracer.end(tracer.request(scope_of(), None, "a", time.time_ns()), 200, None, {})  # type: ignore[arg-type]
    began = time.monotonic()
    tracer.close()
    assert time.monotonic() - began < 2


# --- a server -----------------------------------------------------------------------------------


def test_a_server_sends_a_span_for_a_request_and_one_for_its_batch(
    serve: Any, root: Path, plain: Any, collector: Collector, sends: pytest.MonkeyPatch
) -> None:
    server = serve(root)
    path = "/v2/models/flights/infer"
    body = {"inputs": [{"name": name, "data": values} for name, values in plain.items()]}
    headers = {"traceparent": PARENT, "x-request-id": "order-7"}
    assert server.post(path, json=body, headers=headers).status_code == 200
    assert server.post(path, json={"inputs": [{"name": "stops", "data": ["many"]}]}).status_code == 422
    assert server.get("/nothing/here").status_code == 404
    assert server.get("/metrics").status_code == 200
    assert server.stop() == 0

    requests = collector.named("POST /v2/models/{name}/infer")
    [answered] = [span for span in requests if span.trace_id.hex() == PARENT[3:35]]
    said = attributes(answered)
    assert (said["everfresh.request_id"], said["everfresh.rows"], said["everfresh.version"]) == ("order-7", 40, 1)
    [batch] = [span for span in collector.named("answer") if span.parent_span_id == answered.span_id]
    assert attributes(batch) == {
        "everfresh.model": "flights",
        "everfresh.version": 1,
        "everfresh.variant": "default",
        "everfresh.path": "onnx",
        "everfresh.batch.rows": 40,
        "everfresh.batch.requests": 1,
    }
    assert answered.start_time_unix_nano <= batch.start_time_unix_nano
    assert batch.end_time_unix_nano <= answered.end_time_unix_nano
    [refused] = [span for span in requests if span is not answered]
    assert attributes(refused)["http.response.status_code"] == 422
    # Load balancers and Prometheus ask all the time, and nobody wants to see it.
    assert {span.name for span in collector.spans} == {"POST /v2/models/{name}/infer", "answer", "GET"}


def test_requests_that_are_answered_together_are_linked(
    serve: Any, root: Path, plain: Any, collector: Collector, sends: pytest.MonkeyPatch
) -> None:
    server = serve(root)
    body = {"inputs": {name: values[:1] for name, values in plain.items()}}
    with ThreadPoolExecutor(12) as callers:
        codes = list(callers.map(lambda n: server.post("/invocations", json=body).status_code, range(48)))
    assert set(codes) == {200}
    assert server.stop() == 0

    batches = collector.named("answer")
    assert len(batches) == len(collector.named("POST /invocations")) == 48
    together = [span for span in batches if attributes(span)["everfresh.batch.requests"] > 1]
    by_id = {span.span_id: span for span in [*batches, *collector.named("POST /invocations")]}
    assert together
    assert all(link.span_id in by_id for span in together for link in span.links)
    assert all(span.links for span in together)


def test_without_a_collector_a_server_answers_and_says_so_once(
    serve: Any, root: Path, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    server = serve(root)
    for _ in range(10):
        assert server.post("/invocations", json={"inputs": plain}).status_code == 200
        time.sleep(0.05)
    assert server.stop() == 0
    told = [line for line in server.said().splitlines() if "Failed to export" in line]
    assert len(told) == 1

"""The dashboard, the alerts and what Prometheus looks at: whatever they ask for must be what a real server says."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.manifest import ModelFacts
from everfresh.packaging.writing import write_bundle
from everfresh.serving.client import Endpoint
from everfresh.serving.metrics.counting import FAMILIES, Metrics
from everfresh.serving.metrics.exposition import exposition
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.gauges import GAUGES
from everfresh.serving.versions.state import install_bundle, wait_until_served, want_model
from everfresh.testing.bundles import COLUMNS
from everfresh.training.pipeline import build_pipeline

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
SCRAPES: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deployments" / "compose.yaml").read_text())

UNITS = {"none", "short", "reqps", "rowsps", "percent", "percentunit", "s", "bytes"}
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$")
USED = re.compile(r"\b(everfresh_\w+|up)\b(?:\{([^}]*)\})?")
SET_BY_PROMETHEUS = {"job", "instance"}


def queries() -> list[str]:
    """Every query of the dashboard."""
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    annotations = [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    variables = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    found = [re.fullmatch(r"label_values\((.*), \w+\)", text) for text in variables]
    return [*asked, *annotations, *(match[1] for match in found if match is not None)]


def as_prometheus_gets_it(query: str) -> str:
    """A query with Grafana's variables filled in."""
    filled = query.replace("$__rate_interval", "1m").replace("$model", ".*")
    assert "$" not in filled, query
    return filled


# --- the dashboard, as Grafana reads it ----------------------------------------------------------


def test_a_panel_says_what_it_shows_in_a_unit_that_grafana_has() -> None:
    assert len(PANELS) > 20
    for panel in PANELS:
        assert panel["type"] in ("stat", "timeseries"), panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["refId"] for target in panel["targets"]] == list("ABCD"[: len(panel["targets"])])
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) >= len(titles) - 1  # in flight is there as a number and as a line


def test_panels_have_numbers_and_places_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_has_what_grafana_needs_to_take_it_from_a_file() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert re.fullmatch(r"[a-z0-9-]{1,40}", DASHBOARD["uid"])
    assert "id" not in DASHBOARD  # of another Grafana's database
    by_name = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert (by_name["datasource"]["type"], by_name["datasource"]["query"]) == ("datasource", "prometheus")
    assert by_name["model"]["includeAll"] is True
    used = {name for query in queries() for name in re.findall(r"\$(\w+)", query)}
    assert used <= {"model", "__rate_interval"}


def test_what_is_provisioned_is_where_the_container_finds_it() -> None:
    [source] = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "everfresh.yaml").read_text())["providers"]
    placed = {config["target"]: COMPOSE["configs"][config["source"]]["file"] for config in mounted("grafana")}

    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == SCRAPES["global"]["scrape_interval"]
    assert placed == {
        "/etc/grafana/provisioning/datasources/prometheus.yaml": "grafana/provisioning/datasources/prometheus.yaml",
        "/etc/grafana/provisioning/dashboards/everfresh.yaml": "grafana/provisioning/dashboards/everfresh.yaml",
        f"{provider['options']['path']}/everfresh.json": "grafana/dashboard.json",
    }
    assert {config["target"] for config in mounted("prometheus")} == {
        "/etc/prometheus/prometheus.yml",
        "/etc/prometheus/alerts.yml",
    }
    assert all(
        (ROOT / "deployments" / config["file"]).is_file() for config in COMPOSE["configs"].values() if "file" in config
    )


def mounted(service: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = COMPOSE["services"][service]["configs"]
    return found


def test_prometheus_looks_at_the_servers_of_the_stack_under_the_name_that_is_asked_for() -> None:
    [scrape] = SCRAPES["scrape_configs"]

    assert scrape["job_name"] == "everfresh"
    assert scrape["static_configs"] == [{"targets": ["runner:8000"]}]
    # `serving` shares the runner's network, and the server answers for that name.
    assert ":8000" in COMPOSE["services"]["serving"]["command"]
    assert "runner" in COMPOSE["services"]["runner"]["environment"]["EVERFRESH_SERVING_HOSTS"].split(",")
    for query in [*queries(), *(alert["expr"] for alert in ALERTS)]:
        for name, labels in USED.findall(query):
            assert 'job="everfresh"' in labels, f"{name} in {query}"


def test_an_alert_says_where_and_how_bad() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert "{{ $labels." in alert["annotations"]["summary"], alert["alert"]
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS) == 9


# --- a real server ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    url: str
    port: int
    text: str

    def labels(self) -> dict[str, set[str]]:
        """The labels of each metric that it says."""
        return labels_in(self.text)


def labels_in(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in filter(None, map(SAMPLE.match, text.splitlines())):
        found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that was used: split, shadow, labels, a version that is not there, and rows that are none."""
    folder = tmp_path_factory.mktemp("grafana")
    root = folder / "root"
    for version in (1, 2):
        install_bundle(root, open_bundle(model(folder / str(version))), version=version)
    want_model(root, "delays", DesiredModel(1, traffic={2: 30}, shadow=2))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        arguments = ["-m", "everfresh.serving", "--root", str(root), "--port", str(port)]
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=log)
    try:
        reached = wait_until_served(root, "delays", 1, timedelta(seconds=60))
        assert reached.served, reached.reason
        url = f"http://127.0.0.1:{port}"
        rides = {"distance": [650.0] * 3, "stops": [1] * 3, "carrier": ["AA"] * 3}
        with Endpoint(url) as endpoint:
            for _ in range(20):
                endpoint.predict("delays", rides)
            endpoint.send_labels("delays", ["a"], ["late"])
        assert httpx.post(f"{url}/invocations", json={"inputs": {"stops": ["many"]}}).status_code == 422
        want_model(root, "delays", DesiredModel(1, traffic={2: 30}, shadow=2, loaded=(7,)))
        yield Served(url, port, settled(url))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def model(directory: Path) -> Path:
    """A small model that says when its data ended."""
    rows = pd.DataFrame(
        {"distance": np.linspace(0, 1000, 60), "stops": [0.0, 1.0, 2.0] * 20, "carrier": ["AA", "UA"] * 30}
    )
    late = np.where(rows["distance"] > 500, "late", "on time").astype(object)
    pipeline = build_pipeline(LogisticRegression(), COLUMNS).fit(rows, late)
    now = datetime.now(UTC)
    facts = ModelFacts("delays", "classification", ("late", "on time"), COLUMNS, "delayed", now, trained_through=now)
    write_bundle(directory, pipeline, facts, rows=rows, profile={})
    return directory


def settled(url: str) -> str:
    """What the server says once its log is written and the version that is not there was looked for."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = httpx.get(f"{url}/metrics").text
        if "everfresh_load_failures_total{" in text and 'outcome="written"} 120' in text:
            return text
        time.sleep(0.1)
    raise TimeoutError(text)


def everything_counted() -> str:
    """What a server would say to which everything has happened."""
    metrics = Metrics()
    metrics.shed("m")
    metrics.expired("m")
    metrics.called("OK")
    metrics.log_file_shipped("shipped")
    metrics.refused("m", 1)
    return exposition(metrics.snapshot())


def test_whatever_is_asked_for_is_said_by_a_server_that_was_used(served: Served) -> None:
    there = served.labels()
    names = {family.name for family in (*FAMILIES, *GAUGES)}
    assert names >= set(re.findall(r"^# TYPE (\w+)", served.text, re.MULTILINE)) >= names
    for name, labels in labels_in(everything_counted()).items():
        there.setdefault(name, labels)

    for query in [*queries(), *(alert["expr"] for alert in ALERTS)]:
        for name, matchers in USED.findall(query):
            if name == "up":
                continue
            assert name in there, f"{name} in {query}"
            asked = set(re.findall(r"(\w+)=~?\"", matchers)) - SET_BY_PROMETHEUS
            assert asked <= there[name], f"{name} has no {asked - there[name]}: {query}"
        grouped = {label.strip() for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in by.split(",")}
        known = set().union(*(there.get(name, set()) for name, _ in USED.findall(query)))
        assert grouped <= known | SET_BY_PROMETHEUS, query


def test_every_number_that_a_server_says_is_on_the_dashboard(served: Served) -> None:
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for query in queries() for name, _ in USED.findall(query)}

    assert {family.name for family in (*FAMILIES, *GAUGES)} - shown == set()


# --- Prometheus itself, where it is installed (Debian: the package prometheus) -------------------


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed")
    return found


def checked(promtool: str, *arguments: str, folder: Path) -> str:
    done = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_reads_its_files(promtool: str) -> None:
    assert "9 rules found" in checked(promtool, "check", "config", "prometheus.yml", folder=FOLDER)


def test_prometheus_can_parse_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": as_prometheus_gets_it(query)} for n, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(rules)} rules found" in checked(promtool, "check", "rules", "rules.yml", folder=tmp_path)


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    shown = ", ".join(f'{key}="{text}"' for key, text in {"job": "everfresh", "instance": "a:8000", **labels}.items())
    return {"series": f"{name}{{{shown}}}", "values": values}


BAD_HOURS = {
    "EverfreshDown": [series("up", "0x120")],
    "EverfreshNotReady": [series("everfresh_ready", "0x120")],
    "EverfreshErrors": [
        series("everfresh_responses_total", "0+100x120", status="200"),
        series("everfresh_responses_total", "0+2x120", status="503"),
    ],
    "EverfreshSlow": [
        series("everfresh_inference_seconds_bucket", "0+95x120", model="m", version="1", le="0.25"),
        series("everfresh_inference_seconds_bucket", "0+100x120", model="m", version="1", le="0.5"),
        series("everfresh_inference_seconds_bucket", "0+100x120", model="m", version="1", le="+Inf"),
    ],
    "EverfreshTurnsRequestsAway": [series("everfresh_shed_total", "0+1x120", model="m")],
    "EverfreshLosesLogRows": [series("everfresh_log_rows_total", "0x110 7x9", outcome="dropped")],
    # It was never there before, and it does not increase.
    "EverfreshCannotLoad": [series("everfresh_load_failures_total", "_x110 1x9", model="m")],
    "EverfreshModelTooOld": [
        series("everfresh_model_data_age_seconds", "7800000x120", model="m", version="1"),
        series("everfresh_traffic_share", "100x120", model="m", version="1"),
    ],
    "EverfreshShadowFails": [
        series("everfresh_shadow_rows_total", "0+1x120", model="m", version="2", outcome="failed")
    ],
}

A_GOOD_HOUR = [
    series("up", "1x120"),
    series("everfresh_ready", "1x120"),
    series("everfresh_responses_total", "0+1000x120", status="200"),
    series("everfresh_responses_total", "0+1x120", status="500"),
    series("everfresh_inference_seconds_bucket", "0+100x120", model="m", version="1", le="0.1"),
    series("everfresh_inference_seconds_bucket", "0+100x120", model="m", version="1", le="+Inf"),
    series("everfresh_log_rows_total", "5x120", outcome="dropped"),
    series("everfresh_log_rows_total", "0+50x120", outcome="written"),
    # It failed, a while ago.
    series("everfresh_load_failures_total", "1x120", model="m"),
    series("everfresh_model_data_age_seconds", "86400x120", model="m", version="2"),
    series("everfresh_traffic_share", "100x120", model="m", version="2"),
    # Too old, but it only waits.
    series("everfresh_model_data_age_seconds", "7800000x120", model="m", version="1"),
    series("everfresh_traffic_share", "0x120", model="m", version="1"),
    series("everfresh_shadow_rows_total", "0+1x120", model="m", version="2", outcome="answered"),
]


def fired(promtool: str, folder: Path, hour: list[dict[str, str]], alert: str, *, fires: bool) -> None:
    """Check that an alert fires after two hours of such numbers, or that it does not."""
    [rule] = [rule for rule in ALERTS if rule["alert"] == alert]
    silent = {"alert_rule_test": [{"eval_time": "115m", "alertname": alert, "exp_alerts": []}]}
    test = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "1m"}
    (folder / "test.yml").write_text(
        yaml.safe_dump({**test, "tests": [{"interval": "1m", "input_series": hour, **silent}]})
    )
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode != 0) is fires, done.stdout + done.stderr
    if fires:
        assert f'severity="{rule["labels"]["severity"]}"' in done.stdout + done.stderr


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_an_alert_fires_in_a_bad_hour_and_in_no_good_one(promtool: str, tmp_path: Path, alert: str) -> None:
    fired(promtool, tmp_path, A_GOOD_HOUR, alert, fires=False)
    fired(promtool, tmp_path, BAD_HOURS[alert], alert, fires=True)


# To the server of these tests.
NEVER_HAPPENED = {
    "everfresh_calls_total",
    "everfresh_expired_total",
    "everfresh_log_files_total",
    "everfresh_shed_total",
}


@pytest.mark.slow
def test_a_prometheus_that_looks_at_a_server_answers_every_query(served: Served, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scrape = {"job_name": "everfresh", "static_configs": [{"targets": [f"127.0.0.1:{served.port}"]}]}
    config = {"global": {"scrape_interval": "200ms"}, "scrape_configs": [scrape]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    arguments = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *arguments, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as prometheus:
            # A rate needs two looks.
            assert answer(prometheus, 'rate(everfresh_rows_total{job="everfresh"}[1m])', patience_s=30)
            for query in queries():
                found = answer(prometheus, as_prometheus_gets_it(query), patience_s=0)
                names = {name for name, _ in USED.findall(query)}
                assert found or names <= NEVER_HAPPENED or "changes(" in query, query
    finally:
        process.terminate()
        process.wait(20)


def answer(prometheus: httpx.Client, query: str, *, patience_s: float) -> list[Any]:
    """What Prometheus finds, as soon as it finds something."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            response = prometheus.get("/api/v1/query", params={"query": query})
            assert response.status_code in (200, 503), f"{query}: {response.text}"
            found: list[Any] = response.json()["data"]["result"] if response.is_success else []  # it starts
        except httpx.HTTPError:
            found = []
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)

"""docs/operations.md says what the server does, and nothing that it does not."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from everfresh.serving import logs, tracing
from everfresh.serving.metrics.counting import FAMILIES, Metrics
from everfresh.serving.metrics.exposition import exposition
from everfresh.serving.server import STOP_SECONDS
from everfresh.serving.versions.gauges import GAUGES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def rows(head: str) -> list[list[str]]:
    """The rows of the table whose head begins so."""
    table = DOCUMENT.split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_metric_is_in_the_table_with_its_kind_and_meaning() -> None:
    told = [[name.strip("`"), kind, meaning] for name, kind, _, meaning in rows("metric")]

    assert told == [[family.name, family.kind, family.meaning] for family in (*GAUGES, *FAMILIES)]


def test_the_labels_in_the_table_are_those_that_are_counted_by() -> None:
    metrics = Metrics()
    metrics.answered("m", 1, 2, [0.1])
    metrics.refused("m", 1)
    metrics.shed("m")
    metrics.expired("m")
    metrics.shadowed("m", 1, 1)
    metrics.responded(200)
    metrics.called("OK")
    metrics.labelled("m", 1)
    metrics.log_file_shipped("shipped")
    metrics.load_failed("m")
    told = {name.strip("`"): set(re.findall(r"`(\w+)`", labels)) for name, _, labels, _ in rows("metric")}
    counted: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)\{(.*)\}", exposition(metrics.snapshot()), re.MULTILINE):
        family = name if name in told else re.sub(r"_(bucket|sum|count)$", "", name)
        counted.setdefault(family, set()).update(set(re.findall(r'(\w+)="', labels)) - {"le"})

    assert len(counted) > 10
    assert {name: told[name] for name in counted} == counted


def test_every_alert_is_in_the_table() -> None:
    groups = yaml.safe_load((ROOT / "deployments" / "grafana" / "alerts.yml").read_text())["groups"]

    assert [name.strip("`") for name, _ in rows("alert")] == [rule["alert"] for rule in groups[0]["rules"]]


def test_the_settings_are_those_that_the_code_reads() -> None:
    told = {name for first, *_ in rows("variable") for name in re.findall(r"`([A-Z_]+)`", first)}
    read = {
        text
        for module in (logs, tracing)
        for text in re.findall(r'"((?:OTEL|EVERFRESH)_[A-Z_]+)"', Path(str(module.__file__)).read_text())
    }

    # Only to know whether a name was given.
    assert told == read - {"OTEL_RESOURCE_ATTRIBUTES"}


def test_a_log_line_in_the_table_is_one_that_the_server_writes() -> None:
    told = {(logger.strip("`"), message.strip("`")) for logger, message, _ in rows("logger")}

    assert len(told) > 8
    assert told - written() == set()


def written() -> set[tuple[str, str]]:
    """The loggers and messages in the server's code."""
    found = set()
    for file in (ROOT / "everfresh" / "serving").rglob("*.py"):
        logger = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            said = call.args[0] if call.args else None
            is_log = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "logger"
            if is_log and isinstance(said, ast.Constant):
                found.add((logger, str(said.value)))
    return found


@pytest.mark.parametrize("line", [line.strip() for line in DOCUMENT.splitlines() if line.startswith('    {"time"')])
def test_a_line_of_json_in_the_document_has_the_fields_that_lines_have(line: str) -> None:
    told = json.loads(line)
    made = json.loads(logs.line_of("everfresh.serving", "x", {"EVERFRESH_LOG_FORMAT": "json"}))

    assert list(told)[: len(made)] == list(made)


def test_the_time_to_stop_is_the_servers() -> None:
    assert f"for {STOP_SECONDS} s at most" in DOCUMENT
    assert f"waits at most {tracing.CLOSE_SECONDS:g} s" in DOCUMENT


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", DOCUMENT) if "://" not in link]

    assert len(links) > 3
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

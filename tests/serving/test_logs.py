"""What the server writes to its standard error."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
import threading
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from everfresh.errors import InvalidSetting
from everfresh.serving.logs import (
    JsonLines,
    Seldom,
    TextLines,
    about,
    line_of,
    log_uncaught,
    logging_config,
    logs_access,
    printable,
)

COLOUR = "\x1b[31mred\x9b0m"
FORGED = "x\n2013-01-01 00:00:00,000 ERROR everfresh [1] forged\r\u2028\u202e"


@pytest.fixture(params=[JsonLines, TextLines], ids=["json", "text"])
def written(request):
    """Log to memory, in one of the formats."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    logger = logging.Logger("everfresh.test")
    logger.addHandler(handler)
    return logger, stream


def json_of(*arguments, **options):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("everfresh.test")
    logger.addHandler(handler)
    logger.error(*arguments, **options)
    [line] = stream.getvalue().splitlines()
    return json.loads(line)


def test_a_json_line_says_when_how_bad_who_and_what():
    entry = json_of("%s v%s is loaded", "flights", 3)

    assert list(entry) == ["time", "level", "logger", "pid", "message"]
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "everfresh.test", "flights v3 is loaded")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    assert abs(datetime.fromisoformat(entry["time"]) - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_line_about_a_request_has_its_id_and_one_about_a_batch_has_all_of_them():
    assert json_of("failed", extra=about("7f3a"))["request_id"] == "7f3a"
    several = json_of("failed", extra=about("a", "b"))
    assert (several["requests"], several["request_ids"]) == (2, ["a", "b"])
    assert "request_id" not in several


def test_a_batch_of_many_requests_does_not_make_a_line_that_no_pipe_takes_whole():
    entry = json_of("failed", extra=about(*(f"{n:064d}" for n in range(256))))

    assert entry["requests"] == 256
    assert len(json.dumps(entry)) < 4096


def test_a_fact_cannot_take_the_place_of_what_every_line_has():
    entry = json_of("failed", extra={"facts": {"level": "DEBUG", "rows": 3, "model": None}})

    assert (entry["level"], entry["rows"]) == ("ERROR", 3)
    assert "model" not in entry


def test_an_exception_is_a_field():
    try:
        raise ValueError(f"no such carrier: {FORGED}")
    except ValueError:
        entry = json_of("failed", exc_info=True)

    assert entry["message"] == "failed"
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert entry["exception"].endswith(r"forged\r\u2028\u202e")


@pytest.mark.parametrize("text", [COLOUR, FORGED])
def test_what_a_request_says_neither_begins_a_line_nor_colours_it(written, text):
    logger, stream = written
    logger.error("the column %s is not known", text, extra=about(text))
    logger.error("the columns are not known", extra=about(text, "b"))

    lines = stream.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[2] == ""
    assert all(line.isprintable() for line in lines)


def test_an_exception_cannot_forge_a_line_of_text():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines())
    logger = logging.Logger("everfresh.test")
    logger.addHandler(handler)
    try:
        raise ValueError(FORGED + COLOUR)
    except ValueError:
        logger.exception("failed")

    first, *rest = stream.getvalue().splitlines()
    assert first.endswith(" failed")
    assert len(rest) > 3
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_text_says_the_facts_behind_the_message(written):
    logger, stream = written
    logger.error("failed", extra={"facts": {"rows": 3, "principal": "Ada L.) forged", "ids": ["a", "b"]}})
    if isinstance(logger.handlers[0].formatter, TextLines):
        assert stream.getvalue().endswith('] failed (rows=3 principal="Ada L.) forged" ids=a,b)\n')


@budget(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_whatever_is_logged_is_one_line_of_json(message, fact):
    entry = json_of("%s", message, extra={"facts": {"fact": fact}})

    assert entry["message"] == printable(message)
    assert entry["message"].isprintable()
    assert entry.get("fact") == printable(fact)


def test_a_message_that_is_seldom_told_is_told_once_a_minute(monkeypatch):
    seldom, now = Seldom(), [100.0]
    monkeypatch.setattr("everfresh.serving.logs.time.monotonic", lambda: now[0])

    def passes(message, name="opentelemetry.sdk"):
        return seldom.filter(logging.LogRecord(name, logging.ERROR, "", 0, message, (), None))

    assert [passes("away: %s"), passes("away: %s"), passes("full"), passes("full", "other")] == [
        True,
        False,
        True,
        True,
    ]
    now[0] += 61
    assert [passes("away: %s"), passes("away: %s")] == [True, False]


@pytest.mark.parametrize("text", ["JSON", "logfmt", " "])
def test_a_format_that_does_not_exist_is_refused(text):
    with pytest.raises(InvalidSetting, match=r"EVERFRESH_LOG_FORMAT .* must be text or json"):
        logging_config({"EVERFRESH_LOG_FORMAT": text})
    with pytest.raises(InvalidSetting, match=r"EVERFRESH_ACCESS_LOG .* must be on or off"):
        logs_access({"EVERFRESH_ACCESS_LOG": text})


def test_set_to_nothing_the_log_is_text_and_says_nothing_of_single_requests():
    config = logging_config({"EVERFRESH_LOG_FORMAT": ""})

    assert config["formatters"]["line"]["()"].endswith("TextLines")
    assert not logs_access({"EVERFRESH_ACCESS_LOG": ""})
    assert logs_access({"EVERFRESH_ACCESS_LOG": "on"})


def test_a_process_without_logging_writes_lines_of_the_same_form():
    entry = json.loads(line_of("everfresh.serving.supervisor", "it ended", {"EVERFRESH_LOG_FORMAT": "json"}))
    text = line_of("everfresh.serving.supervisor", "it ended", {"EVERFRESH_LOG_FORMAT": "nonsense"})

    assert (entry["logger"], entry["message"]) == ("everfresh.serving.supervisor", "it ended")
    assert re.fullmatch(r"[\d-]+ [\d:,]+ INFO everfresh.serving.supervisor \[\d+\] it ended", text)


def test_what_ends_a_thread_and_what_is_warned_of_is_logged(caplog, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = warnings.showwarning
    try:
        log_uncaught()
        thread = threading.Thread(target=lambda: 1 / 0, name="keeper")
        thread.start()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
        warnings.showwarning = before

    ended, warned = caplog.records
    assert ended.getMessage() == "The thread keeper ended"
    assert ended.exc_info[0] is ZeroDivisionError
    assert "DeprecationWarning: old" in warned.getMessage()


# --- a server -----------------------------------------------------------------------------------


def entries_of(server):
    return [json.loads(line) for line in server.said().splitlines()]


def test_all_that_a_server_says_is_json_when_that_is_wanted(serve, root, plain, monkeypatch):
    monkeypatch.setenv("EVERFRESH_LOG_FORMAT", "json")
    server = serve(root)
    body = {"inputs": plain}
    assert server.post("/invocations", json=body).status_code == 200
    assert server.stop() == 0

    entries = entries_of(server)
    assert {entry["logger"] for entry in entries} >= {"everfresh.serving.versions.watcher"}
    assert not [entry for entry in entries if entry["logger"] == "everfresh.access"]


def test_a_failure_is_told_with_the_id_of_the_request_that_met_it(serve, root, plain, monkeypatch):
    monkeypatch.setenv("EVERFRESH_LOG_FORMAT", "json")
    server = serve(root, constants=FAILING)
    response = server.post("/invocations", json={"inputs": plain}, headers={"x-request-id": "order-7"})
    assert response.status_code == 500
    server.stop()

    [entry] = [entry for entry in entries_of(server) if entry["level"] == "ERROR"]
    assert entry["request_id"] == "order-7"
    assert entry["exception"].endswith(r"RuntimeError: the plan \x1b[31m broke")


FAILING = r"""
import everfresh.serving.versions.models as models
def open_broken(bundle, residency):
    scorer = original(bundle, residency)
    class Broken:
        path, asked = scorer.path, 0
        def score(self, batch):
            self.asked += 1
            if self.asked > 1:  # the golden rows are answered
                raise RuntimeError("the plan \x1b[31m broke")
            return scorer.score(batch)
    return Broken()
original, models._scorer = models._scorer, open_broken
"""


def test_a_request_has_a_line_where_that_is_wanted(serve, root, plain, monkeypatch):
    monkeypatch.setenv("EVERFRESH_LOG_FORMAT", "json")
    monkeypatch.setenv("EVERFRESH_ACCESS_LOG", "on")
    server = serve(root)
    path = "/v2/models/flights/infer"
    body = {"inputs": [{"name": name, "data": values} for name, values in plain.items()]}
    assert server.post(path, json=body, headers={"x-request-id": "order-7"}).status_code == 200
    assert server.post(path, json={"inputs": [{"name": "stops", "data": ["many"]}]}).status_code == 422
    assert server.get("/secret-path%1B%0Aforged").status_code == 404
    server.stop()

    lines = [entry for entry in entries_of(server) if entry["logger"] == "everfresh.access"]
    [answered] = [line for line in lines if line["request_id"] == "order-7"]
    assert answered["message"] == "POST /v2/models/{name}/infer 200"
    assert {name: answered[name] for name in ("method", "route", "status", "rows", "model", "version")} == {
        "method": "POST", "route": "/v2/models/{name}/infer", "status": 200, "rows": 40, "model": "flights",
        "version": 1,
    }  # fmt: skip
    assert 0 < answered["seconds"] < 5
    statuses = [line["status"] for line in lines if line["route"] != "/v2/health/ready"]
    assert statuses == [200, 422, 404]
    assert "secret-path" not in server.said()


def test_a_setting_that_means_nothing_ends_the_server_with_a_sentence(start, root, monkeypatch):
    monkeypatch.setenv("EVERFRESH_LOG_FORMAT", "xml")
    server = start(root)

    assert server.process.wait(20) == 1
    assert server.said() == (
        "The variable EVERFRESH_LOG_FORMAT is 'xml' and must be text or json. See docs/settings.md.\n"
    )

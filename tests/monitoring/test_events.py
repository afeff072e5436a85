from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from everfresh.data.windows import Window
from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.events import drift_event, is_stale

NOW = datetime(2013, 4, 1, tzinfo=UTC)


def test_a_drift_event_says_which_model_drifted_and_when() -> None:
    report = DriftReport("DRIFT", "temp moved.", 5000, 1e-4, Window.last(7, NOW), ())
    event = drift_event("flights", 3, report, as_of=NOW, mode="replay")
    assert event.name == "everfresh.drift.detected"
    assert event.resource["prefect.resource.id"] == "everfresh.model.flights"
    assert event.resource["everfresh.mode"] == "replay"
    assert json.loads(json.dumps(event.payload)) == {
        "project": "flights",
        "version": 3,
        "columns": [],
        "window": {"start": "2013-03-25T00:00:00+00:00", "end": "2013-04-01T00:00:00+00:00"},
        "as_of": "2013-04-01T00:00:00+00:00",
        "reason": "temp moved.",
    }


def test_an_event_is_stale_only_after_its_limit() -> None:
    assert not is_stale(NOW - timedelta(hours=1), NOW, limit=timedelta(hours=1))
    assert is_stale(NOW - timedelta(hours=1, seconds=1), NOW, limit=timedelta(hours=1))

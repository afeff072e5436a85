from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from everfresh.data.windows import Window
from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.performance import PerformanceReport
from everfresh.monitoring.report import MonitoringReport

AS_OF = datetime(2013, 4, 1, tzinfo=UTC)
OK = DriftReport("OK", "No column drifted.", 5000, 1e-4, Window.last(7, AS_OF), ())
DROPPED = PerformanceReport(
    "roc_auc", "DROPPED", "roc_auc is 0.640.", 0.64, 0.63, 0.65, 0.7, 0.06, labelled=900, served=1000, young=0
)
REPORT = MonitoringReport("flights", 3, AS_OF, Window.last(7, AS_OF), drift=OK)


def test_a_check_without_anything_wrong_is_ok() -> None:
    assert (REPORT.status, REPORT.reason) == ("OK", "No column drifted.")


def test_a_drop_alarms_although_nothing_drifted() -> None:
    report = replace(REPORT, performance=(DROPPED,))
    assert (report.status, report.reason) == ("ALARM", "roc_auc is 0.640.")


def test_a_broken_column_alarms_and_comes_first() -> None:
    report = replace(REPORT, performance=(DROPPED,), quality=("'temp' is gone.",))
    assert report.reason == "'temp' is gone. roc_auc is 0.640."


def test_a_check_that_could_judge_nothing_is_insufficient() -> None:
    assert replace(REPORT, drift=replace(OK, status="INSUFFICIENT")).status == "INSUFFICIENT"
    assert replace(REPORT, drift=None).reason == "Nothing was measured."


def test_the_page_shows_scores_with_their_intervals() -> None:
    page = replace(REPORT, performance=(DROPPED,), quality=("'temp' is gone.",)).to_markdown()
    assert page.startswith("# flights v3: ALARM\n")
    assert "- 'temp' is gone." in page
    assert "| roc_auc | DROPPED | 0.640 | 0.630 to 0.650 | 0.700 | 900 of 1,000 | roc_auc is 0.640. |" in page


def test_a_report_is_json() -> None:
    document = json.loads(json.dumps(replace(REPORT, performance=(DROPPED,)).to_json()))
    assert (document["status"], document["performance"][0]["score"]) == ("ALARM", 0.64)

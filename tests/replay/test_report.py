import json

from everfresh.replay.report import Month, ReplayReport

SCORES = {metric: {"served": 0.7, "never_retrained": 0.6, "majority": None} for metric in ("roc_auc", "log_loss")}
MONTH = Month("2013-03", 28_834, "DRIFT", (5, 2), 2, "The data drifted", SCORES)


def test_a_month_is_flat_and_says_who_scored_what() -> None:
    report = ReplayReport("rides", (MONTH,), 3, 1, 12.345, {"endpoint": "http://127.0.0.1:8080"})
    content = json.loads(json.dumps(report.to_json()))

    assert content["months"] == [
        {
            "month": "2013-03",
            "rows": 28_834,
            "drift": "DRIFT",
            "served_version": 2,
            "why": "The data drifted",
            "checks": 5,
            "drifted": 2,
            "roc_auc": {"served": 0.7, "never_retrained": 0.6, "majority": None},
            "log_loss": {"served": 0.7, "never_retrained": 0.6, "majority": None},
        }
    ]
    assert content["retrains"] == 3
    assert content["promotions"] == 1
    assert content["seconds"] == 12.3
    assert content["addresses"] == {"endpoint": "http://127.0.0.1:8080"}

"""Put the newest run of the worked example into the README: `make run && python benchmarks/readme.py`.

The report is kept as docs/flights-2013.json, so that a test can say whether the README still shows it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from everfresh.cli.stack import months_table
from everfresh.replay.report import Month

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "flights-2013.json"
METRICS = ("roc_auc", "log_loss")


def shown(report: dict[str, Any]) -> str:
    """The end of what `make run` prints, but for the addresses."""
    months = [
        Month(
            month=month["month"],
            rows=month["rows"],
            drift=month["drift"],
            checks=(month["checks"], month["drifted"]),
            served_version=month["served_version"],
            why=month["why"],
            scores={metric: month[metric] for metric in METRICS},
        )
        for month in report["months"]
    ]
    end = f"{report['retrains']} retrains, {report['promotions']} promoted, {report['seconds']:.0f} s."
    legend = "Scores: what served / the first model, never retrained / the majority baseline"
    return f"{legend}\n{months_table(months)}\n\n{end}"


def with_run(readme: str, report: dict[str, Any]) -> str:
    """The README with that report between its marks."""
    block = f"<!-- run -->\n```\n{shown(report)}\n```\n<!-- /run -->"
    return re.sub(r"<!-- run -->.*?<!-- /run -->", lambda _: block, readme, flags=re.DOTALL)


def main() -> None:
    """Take over reports/run.json."""
    report = json.loads((ROOT / "reports" / "run.json").read_text(encoding="utf-8"))
    kept = {**report, "addresses": {}}
    KEPT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_run(readme.read_text(encoding="utf-8"), kept), encoding="utf-8")


if __name__ == "__main__":
    main()

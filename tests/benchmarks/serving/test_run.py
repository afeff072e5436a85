import shutil

import pytest

from benchmarks.serving.results import read_results
from benchmarks.serving.run import Plan, run


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
def test_everfresh_and_the_echo_are_measured_and_a_resumed_run_measures_nothing_twice(tmp_path):
    plan = Plan(
        window=1,
        rounds=1,
        peers=["everfresh", "echo"],
        cells=["single-16", "process"],
        models=["logistic"],
        threads=1,
        resume=True,
        report=tmp_path / "report.json",
    )
    first = run(plan)
    assert [(s.server, s.cell, s.problem) for s in first.samples] == [
        ("everfresh", "single-16", None),
        ("everfresh", "process", None),
        ("echo", "single-16", None),
        ("echo", "process", None),
    ]
    assert first.samples[0].figures["requests_per_s"] > 0
    assert first.samples[1].figures["largest_difference"] < 1e-6
    assert run(plan) == first == read_results(plan.report)

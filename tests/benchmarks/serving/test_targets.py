from benchmarks.serving.figures import Figures
from benchmarks.serving.results import Sample
from benchmarks.serving.targets import judge_targets


def cell(server, name, **figures):
    return Sample(server, "boosting", name, 0, figures)


def judged(*samples):
    results = judge_targets(Figures(samples), "boosting", ["fastapi", "litserve"], workers=2)
    return {result.what: result for result in results}


def test_the_rate_is_compared_with_the_best_peer():
    results = judged(
        cell("everfresh", "single-1", rows_per_s=1_000.0),
        cell("fastapi", "single-1", rows_per_s=40.0),
        cell("litserve", "single-1", rows_per_s=60.0),
    )
    result = results["single-1: rows/s, times the best peer's"]
    assert (result.target, result.measured, result.met) == ("at least 20 x", "16.7 x litserve", False)


def test_arrow_is_compared_with_the_peers_json():
    results = judged(
        cell("everfresh", "batch-arrow", rows_per_s=1_000.0), cell("fastapi", "batch-json", rows_per_s=50.0)
    )
    assert results["batch-arrow: rows/s, times the best peer's"].met is True


def test_p99_is_held_against_the_lowest_median_of_a_peer():
    results = judged(
        cell("everfresh", "single-64", p99_ms=20.0),
        cell("fastapi", "single-64", p50_ms=500.0),
        cell("litserve", "single-64", p50_ms=19.0),
    )
    result = results["single-64: p99, beside the lowest p50 of a peer"]
    assert (result.measured, result.met) == ("20.00 ms beside 19.00 ms (litserve)", False)


def test_swaps_may_double_the_p99():
    results = judged(cell("everfresh", "swaps", p99_ms=19.0, steady_p99_ms=10.0))
    assert results["p99 while the version is swapped once a second"].met is True


def test_memory_is_that_of_one_worker():
    results = judged(cell("everfresh", "process", memory_mb=200.0, start_s=1.6))
    assert results["memory of a worker"].measured == "100.00 MB"
    assert results["start to the first good answer"].met is False


def test_nothing_is_met_that_was_not_measured():
    assert {(result.measured, result.met) for result in judged().values()} == {("not measured", None)}

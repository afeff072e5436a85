import pytest

from benchmarks.serving.figures import Figures, ratio
from benchmarks.serving.results import Sample


def sample(server, rate, round_=0, problem=None):
    return Sample(server, "boosting", "single-1", round_, {"rows_per_s": rate}, problem)


def test_a_figure_is_the_median_of_the_rounds_that_count():
    samples = [sample("a", 10.0), sample("a", 30.0, 1), sample("a", 20.0, 2), sample("a", 900.0, 3, problem="2 errors")]
    assert Figures(samples).value("a", "boosting", "single-1", "rows_per_s") == 20.0


def test_what_was_not_measured_has_no_figure():
    figures = Figures([sample("a", 10.0)])
    assert figures.value("b", "boosting", "single-1", "rows_per_s") is None
    assert figures.value("a", "boosting", "single-1", "p50_ms") is None


def test_the_best_is_chosen_among_those_that_were_measured():
    figures = Figures([sample("a", 10.0), sample("b", 30.0), sample("c", 99.0, problem="1 error")])
    assert figures.best(["a", "b", "c", "d"], "boosting", "single-1", "rows_per_s") == ("b", 30.0)
    assert figures.lowest(["a", "b", "c", "d"], "boosting", "single-1", "rows_per_s") == ("a", 10.0)
    assert figures.best(["d"], "boosting", "single-1", "rows_per_s") is None


@pytest.mark.parametrize(("above", "below", "times"), [(50.0, 2.0, 25.0), (None, 2.0, None), (50.0, None, None)])
def test_a_ratio_needs_both_sides(above, below, times):
    assert ratio(above, below) == times

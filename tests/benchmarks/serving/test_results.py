from benchmarks.serving.results import START, Results, Sample, read_results


def test_a_report_is_read_as_it_was_written(tmp_path):
    results = Results({"cores": 2})
    results.add(Sample("a", "boosting", "single-1", 0, {"p50_ms": 1.5}))
    results.add(Sample("b", "boosting", START, 0, problem="it ended with 1"))
    results.write(tmp_path / "reports" / "report.json")
    assert read_results(tmp_path / "reports" / "report.json") == results
    assert [file.name for file in (tmp_path / "reports").iterdir()] == ["report.json"]


def test_a_report_that_is_not_there_is_empty(tmp_path):
    assert read_results(tmp_path / "report.json") == Results()


def test_only_windows_that_went_well_are_not_measured_again():
    results = Results(samples=[Sample("a", "boosting", "single-1", 0, {"p50_ms": 1.5})])
    results.add(Sample("a", "boosting", "single-16", 0, problem="3 errors"))
    assert results.has("a", "boosting", "single-1", 0)
    assert not results.has("a", "boosting", "single-1", 1)
    assert not results.has("a", "boosting", "single-16", 0)


def test_a_window_takes_the_place_of_an_earlier_one_and_of_a_start_that_failed():
    results = Results(samples=[Sample("a", "boosting", START, 0, problem="it ended with 1")])
    results.add(Sample("a", "boosting", "single-1", 0, problem="3 errors"))
    results.add(Sample("a", "boosting", "single-1", 0, {"p50_ms": 1.5}))
    assert results.samples == [Sample("a", "boosting", "single-1", 0, {"p50_ms": 1.5})]

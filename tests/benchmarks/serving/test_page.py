from benchmarks.serving.page import number, page
from benchmarks.serving.results import START, Results, Sample

ABOUT = {
    "date": "2026-11-25", "revision": "abc1234", "workers": 2, "threads": 1, "rounds": 3, "window_s": 15, "cores": 2,
    "processor": "a processor", "memory_gb": 24, "system": "Linux", "python": "3.11.7", "load_before": 0.1,
    "libraries": {"granian": "2.8.7"}, "own_network": True, "models": ["boosting"],
    "servers": [
        {"name": "everfresh", "title": "everfresh", "version": "0.1.0", "setting": "2 workers"},
        {"name": "echo", "title": "bare echo", "version": "2.8.7", "setting": "2 workers"},
        {"name": "fastapi", "title": "FastAPI", "version": "0.165.0", "setting": "2 workers"},
        {"name": "ray", "title": "Ray Serve", "version": "2.60.0", "setting": "2 replicas"},
    ],
    "not_run": {"Triton": "no package brings the server"},
}  # fmt: skip


def window(server, rate, others=0.0):
    figures = {"requests_per_s": rate, "rows_per_s": rate, "p50_ms": 2.0, "p99_ms": 9.0, "cpu_ms": 0.5}
    return Sample(server, "boosting", "single-16", 0, {**figures, "others_cores": others})


def test_a_server_stands_in_the_table_with_how_far_everfresh_is_ahead():
    text = page(Results(ABOUT, [window("everfresh", 8_000.0), window("fastapi", 100.0)]))
    assert "| everfresh |  | 8,000 · 2.00 / 9.00 · 0.500 |  |" in text
    assert "| FastAPI |  | 100 (80.0 x) · 2.00 / 9.00 · 0.500 |  |" in text


def test_a_target_stands_beside_what_was_measured():
    text = page(Results(ABOUT, [window("everfresh", 8_000.0), window("fastapi", 100.0)]))
    assert "| single-16: rows/s, times the best peer's | at least 15 x | 80.0 x fastapi | yes |" in text
    assert "| single-1: rows/s, times the best peer's | at least 20 x | not measured | ? |" in text


def test_who_could_not_be_measured_is_told_with_the_reason():
    failed = Sample("ray", "boosting", START, 0, problem="it ended with 1")
    wrong = Sample("fastapi", "boosting", "single-16", 0, problem="7 errors beside 100 answers")
    text = page(Results(ABOUT, [failed, wrong]))
    assert "| Ray Serve | boosting: everything | it ended with 1 |" in text
    assert "| FastAPI | boosting: single-16 | 7 errors beside 100 answers |" in text
    assert "| Triton |  | no package brings the server |" in text
    assert "| FastAPI |  | not valid |  |" in text


def test_a_busy_machine_is_admitted():
    quiet = page(Results(ABOUT, [window("everfresh", 8_000.0)]))
    busy = page(Results(ABOUT, [window("everfresh", 8_000.0, others=1.3), window("fastapi", 100.0)]))
    assert "In none of the 1 windows did anything else take more than 0.2 cores." in quiet
    assert "**In 1 of 2 windows, other programs took more than 0.2 cores** (up to 1.3)" in busy


def test_numbers_have_three_digits():
    assert [number(value) for value in (13_706.4, 100.0, 22.04, 1.0, 0.4871, None)] == [
        "13,706", "100", "22.0", "1.00", "0.487", "",
    ]  # fmt: skip

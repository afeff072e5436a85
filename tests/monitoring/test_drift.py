from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from everfresh.data.columns import Column
from everfresh.data.windows import Window
from everfresh.monitoring.drift import measure_drift
from everfresh.monitoring.drift_report import DriftReport
from everfresh.monitoring.profile import Answers, Profile, build_profile, count
from everfresh.spec.monitoring import DriftSpec

COLUMNS = (Column("distance", "float"), Column("temp", "float"), Column("carrier", "category"))
WEEK = Window(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 3, 8, tzinfo=UTC))


def rows(count: int, seed: int) -> pd.DataFrame:
    """Independent rows: a heavy-tailed number, a normal one with 2 % missing, three categories."""
    generator = np.random.default_rng(seed)
    temp = np.where(generator.random(count) < 0.02, np.nan, generator.normal(40, 10, count))
    carrier = generator.choice(["UA", "AA", "DL"], count, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "distance": generator.lognormal(6, 1.5, count),
            "temp": temp,
            "carrier": pd.Series(carrier, dtype="str"),
        }
    )


@pytest.fixture(scope="module")
def profile() -> Profile:
    return build_profile(rows(20_000, seed=1), COLUMNS)


def judge(profile: Profile, window: pd.DataFrame, min_effect: float = 0.1) -> DriftReport:
    policy = DriftSpec(false_alarms=1.0, min_effect=min_effect)
    return measure_drift(profile, count(profile, window), policy, checks_per_year=365, window=WEEK)


def test_a_window_like_the_reference_is_ok(profile: Profile) -> None:
    report = judge(profile, rows(5000, seed=2))
    assert report.status == "OK"
    assert report.reason == "No column drifted in 5,000 rows; 3 of 3 columns could have shown an effect of 0.1."
    assert report.drifted == ()


def test_a_shift_of_a_normal_column_is_measured_in_its_standard_deviations(profile: Profile) -> None:
    reference, window = rows(20_000, seed=1).temp, rows(5000, seed=2).assign(temp=lambda frame: frame.temp + 3)
    report = judge(profile, window)
    assert report.drifted == ("temp",)
    assert report.column("temp").effect == pytest.approx((window.temp.mean() - reference.mean()) / 10, abs=0.005)
    assert report.column("temp").effect_name == "standard deviations"


def test_a_shift_is_seen_although_the_tail_is_heavy(profile: Profile) -> None:
    report = judge(profile, rows(5000, seed=2).assign(distance=lambda frame: frame.distance * np.exp(0.3)))
    assert report.drifted == ("distance",)
    assert report.column("distance").effect == pytest.approx(0.3 / 1.5, abs=0.03)


def test_a_change_of_spread_is_seen_although_the_mean_stays(profile: Profile) -> None:
    report = judge(profile, rows(5000, seed=2).assign(temp=lambda frame: 40 + (frame.temp - 40) * 1.5))
    assert report.drifted == ("temp",)


def test_a_unit_error_in_five_percent_of_500_rows_is_seen(profile: Profile) -> None:
    window = rows(500, seed=2)
    window.loc[:24, "temp"] *= 100
    report = judge(profile, window)
    assert report.drifted == ("temp",)
    assert report.column("temp").out_of_range == pytest.approx(0.05, abs=0.005)


def test_a_category_that_becomes_more_frequent_is_measured_in_total_variation(profile: Profile) -> None:
    window = rows(5000, seed=2)
    window.loc[:749, "carrier"] = "DL"
    carrier = judge(profile, window).column("carrier")
    assert carrier.alarmed
    assert carrier.effect == pytest.approx(0.12, abs=0.02)
    assert carrier.effect_name == "total variation"


def test_a_new_category_is_reported_with_its_count(profile: Profile) -> None:
    window = rows(500, seed=2)
    window.loc[:59, "carrier"] = "WN"
    carrier = judge(profile, window).column("carrier")
    assert carrier.alarmed
    assert carrier.new_categories == (("WN", 60),)


def test_two_percent_missing_becoming_ten_is_a_drift_of_its_own(profile: Profile) -> None:
    window = rows(1000, seed=2)
    window.loc[:84, "temp"] = np.nan
    temp = judge(profile, window).column("temp")
    assert temp.alarmed
    assert temp.reason.startswith("temp is missing in 9.9 % of the rows, was 1.9 % (p ")
    assert temp.missing_before == pytest.approx(0.02, abs=0.005)
    assert temp.effect < 0.1


def test_a_column_that_vanished_is_a_drift(profile: Profile) -> None:
    report = judge(profile, rows(500, seed=2).drop(columns="carrier"))
    assert report.drifted == ("carrier",)
    assert report.column("carrier").missing_after == 1.0


def test_a_significant_shift_that_is_too_small_is_not_worth_an_alarm(profile: Profile) -> None:
    report = judge(profile, rows(20_000, seed=2).assign(temp=lambda frame: frame.temp + 0.5))
    assert report.status == "OK"
    assert report.column("temp").reason == "temp moved by 0.06 standard deviations, less than is worth an alarm"


def test_a_large_shift_of_few_rows_is_insufficient_and_never_a_drift(profile: Profile) -> None:
    report = judge(profile, rows(49, seed=2).assign(temp=lambda frame: frame.temp + 500))
    assert report.status == "INSUFFICIENT"
    assert report.reason == "The window has 49 rows; below 50 nothing is judged."


def test_a_window_that_could_not_have_shown_an_effect_says_which_it_could(profile: Profile) -> None:
    report = judge(profile, rows(300, seed=2))
    visible = report.column("temp").smallest_visible_effect
    assert report.status == "INSUFFICIENT"
    assert visible is not None
    assert 0.2 < visible < 0.4


def test_a_shift_twice_the_smallest_visible_effect_is_seen(profile: Profile) -> None:
    visible = judge(profile, rows(300, seed=2)).column("temp").smallest_visible_effect
    assert visible is not None
    shifted = rows(300, seed=3).assign(temp=lambda frame: frame.temp + 10 * 2 * visible)
    assert judge(profile, shifted).drifted == ("temp",)


def test_a_column_without_values_in_the_window_is_not_compared(profile: Profile) -> None:
    report = judge(profile, rows(500, seed=2).assign(temp=np.nan))
    assert report.column("temp").p_value == 1.0
    assert report.column("temp").alarmed  # by its missing values


def test_predictions_are_judged_like_columns() -> None:
    generator = np.random.default_rng(1)
    reference, window = generator.beta(2, 5, 10_000), generator.beta(3, 5, 3000)
    answers = [Answers(np.column_stack([1 - p, p]), ("0", "1")) for p in (reference, window)]
    profile = build_profile(rows(10_000, 1), COLUMNS, answers=answers[0])
    counts = count(profile, rows(3000, 2), answers=answers[1])
    report = measure_drift(profile, counts, DriftSpec(), checks_per_year=365)
    assert report.drifted == ("p.1",)
    assert [each.column for each in report.predictions] == ["p.1"]
    assert "p.1" not in [each.column for each in report.features]


def hourly(days: int, seed: int, shift: float = 0.0) -> tuple[pd.DataFrame, pd.Series]:
    """Forty rows an hour that share the hour's temperature, which itself wanders for hours."""
    noise = np.random.default_rng(seed).standard_normal(days * 24) * np.sqrt(1 - 0.8**2)
    temp = np.repeat(lfilter([1.0], [1.0, -0.8], noise), 40) + shift
    start = pd.Timestamp("2013-01-01", tz="UTC") + pd.Timedelta(days=seed * 100)
    return pd.DataFrame({"temp": temp}), pd.Series(start + pd.to_timedelta(np.arange(len(temp)) * 90, unit="s"))


def judge_hourly(seed: int, *, known: bool, shift: float = 0.0) -> DriftReport:
    (reference, times), (window, window_times) = hourly(60, seed), hourly(7, seed + 1, shift)
    profile = build_profile(reference, [Column("temp", "float")], times=times if known else None)
    policy = DriftSpec(false_alarms=5.0, min_effect=0.0)  # with 100 checks: a level of 5 %
    return measure_drift(profile, count(profile, window, times=window_times), policy, checks_per_year=100)


def test_rows_that_share_an_hour_alarm_at_the_promised_rate() -> None:
    alarms = [judge_hourly(seed, known=True).status == "DRIFT" for seed in range(0, 80, 2)]
    assert sum(alarms) <= 5  # 2 are expected of 40; more than 5 in 1 of 70 cases


def test_without_times_the_same_rows_nearly_always_alarm() -> None:
    alarms = [judge_hourly(seed, known=False).status == "DRIFT" for seed in range(0, 20, 2)]
    assert sum(alarms) >= 8


def test_a_real_shift_of_rows_that_share_an_hour_is_seen() -> None:
    report = judge_hourly(0, known=True, shift=2.0)
    assert report.status == "DRIFT"
    assert report.column("temp").effective_rows < 200  # of 6,720


def test_independent_columns_alarm_together_at_the_promised_rate() -> None:
    alarms = 0
    for seed in range(60):
        profile = build_profile(rows(4000, 2 * seed), COLUMNS)
        counts = count(profile, rows(800, 2 * seed + 1))
        policy = DriftSpec(false_alarms=5.0, min_effect=0.0)
        alarms += measure_drift(profile, counts, policy, checks_per_year=100).status == "DRIFT"
    assert alarms <= 8  # 3 are expected


def test_a_report_is_json_and_markdown(profile: Profile) -> None:
    window = rows(500, seed=2)
    window.loc[:99, "carrier"] = "<script>|"
    report = judge(profile, window)
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["status"] == "DRIFT"
    assert document["window"] == {"start": "2013-03-01T00:00:00+00:00", "end": "2013-03-08T00:00:00+00:00"}
    page = report.to_markdown()
    assert page.startswith("**DRIFT**: 1 of 3 columns drifted: carrier moved by")
    assert "&lt;script>\\| (100)" in page
    first_row = page.splitlines()[4]
    assert first_row.startswith("| carrier | DRIFT | 0.")


def test_the_column_that_moved_most_comes_first(profile: Profile) -> None:
    window = rows(5000, seed=2).assign(
        temp=lambda frame: frame.temp + 20, distance=lambda frame: frame.distance * np.exp(0.5)
    )
    assert judge(profile, window).drifted == ("temp", "distance")

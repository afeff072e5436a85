from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from everfresh.data.columns import Column
from everfresh.errors import UnreadableProfile
from everfresh.monitoring.counts import MOST_VALUES
from everfresh.monitoring.profile import Answers, NumberProfile, Profile, build_profile, count, count_log

COLUMNS = (Column("distance", "float"), Column("carrier", "category"))


def frame(rows: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    distance = generator.lognormal(6, 1, rows)
    distance[: rows // 50] = np.nan
    return pd.DataFrame(
        {
            "distance": distance,
            "carrier": pd.Series(generator.choice(["UA", "AA", "DL"], rows), dtype="str"),
        }
    )


def times(rows: int) -> pd.Series:
    return pd.Series(pd.date_range("2013-01-01", periods=rows, freq="10min", tz="UTC"))


def full_profile(rows: int = 6000) -> Profile:
    probabilities = np.random.default_rng(9).dirichlet([1, 1], 500)
    answers = Answers(probabilities, ("0", "1"), times(500))
    label = pd.Series(["0", "1"] * (rows // 2), dtype="str")
    return build_profile(frame(rows), COLUMNS, times=times(rows), answers=answers, label=label)


def test_a_profile_survives_json() -> None:
    profile = full_profile()
    assert Profile.from_json(json.loads(json.dumps(profile.to_json(), allow_nan=False))) == profile


def test_the_same_rows_always_give_the_same_text() -> None:
    assert json.dumps(full_profile().to_json()) == json.dumps(full_profile().to_json())


def test_a_profile_is_kilobytes() -> None:
    assert len(json.dumps(full_profile(20_000).to_json())) < 30_000


def test_features_predictions_and_label_are_told_apart() -> None:
    named = [(column.role, column.name) for column in full_profile().columns]
    assert named == [("feature", "distance"), ("feature", "carrier"), ("prediction", "p.1"), ("label", "label")]


def test_three_classes_are_watched_one_by_one() -> None:
    answers = Answers(np.full((10, 3), 1 / 3), ("a", "b", "c"))
    assert [name for name, _ in answers.columns()] == ["p.a", "p.b", "p.c"]


def test_a_regression_is_watched_by_its_value() -> None:
    profile = build_profile(frame(100), COLUMNS, answers=Answers(np.arange(100.0)), label=np.arange(100.0))
    assert profile.column("value", "prediction").counts.rows == 100
    assert isinstance(profile.column("label", "label"), NumberProfile)


def test_a_window_is_counted_on_the_grid_of_the_reference() -> None:
    profile, window = full_profile(), frame(300, seed=1)
    counts = count(profile, window, times=times(300))
    assert counts.rows == 300
    assert counts.columns["feature", "distance"].missing == 6
    assert counts.columns["feature", "carrier"].present == 300
    assert counts.hours == pytest.approx(299 / 6)


def test_two_windows_add_up_to_the_window_of_both() -> None:
    profile, window, when = full_profile(), frame(300, seed=1), times(300)
    halves = count(profile, window[:100], times=when[:100]) + count(profile, window[100:], times=when[100:])
    whole = count(profile, window, times=when)
    assert halves.columns["feature", "carrier"] == whole.columns["feature", "carrier"]
    assert (halves.rows, halves.hours) == (whole.rows, whole.hours)


def test_the_inference_log_is_counted_like_the_frame_it_came_from() -> None:
    profile, window = full_profile(), frame(300, seed=1)
    log = window.add_prefix("x.").assign(**{"p.0": 0.7, "p.1": 0.3}, time=times(300))
    answers = Answers(np.tile([0.7, 0.3], (300, 1)), ("0", "1"))
    assert count_log(profile, log) == count(profile, window, times=times(300), answers=answers)


def test_a_feature_that_is_gone_is_missing_in_every_row() -> None:
    counts = count(full_profile(), frame(300).drop(columns=["carrier", "distance"]))
    assert counts.columns["feature", "carrier"].missing == 300
    assert counts.columns["feature", "distance"].missing == 300


def test_a_column_of_very_many_values_is_hashed() -> None:
    many = pd.DataFrame({"tail": pd.Series([f"N{number}" for number in range(MOST_VALUES + 1)], dtype="str")})
    column = build_profile(many, [Column("tail", "category")]).column("tail")
    assert len(column.counts.values) <= 256  # type: ignore[union-attr]
    assert column.counts.present == MOST_VALUES + 1


def test_a_column_without_a_single_value_has_a_profile() -> None:
    empty = pd.DataFrame({"distance": [np.nan] * 5, "carrier": pd.Series([None] * 5, dtype="str")})
    profile = build_profile(empty, COLUMNS)
    assert [column.counts.missing for column in profile.columns] == [5, 5]
    assert Profile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("document", [{}, {"format": 99}, {"format": 1, "rows": 3, "columns": [{"name": "x"}]}])
def test_a_document_that_is_no_profile_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(UnreadableProfile, match="Train the model again"):
        Profile.from_json(document)


def test_the_profile_module_does_not_import_pandas() -> None:
    check = "import sys, everfresh.monitoring.profile; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0

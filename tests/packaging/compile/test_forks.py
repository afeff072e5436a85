from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from everfresh.packaging.codes import CategoryCodes
from everfresh.packaging.compile import forks
from everfresh.packaging.compile.forks import UNSEEN, Source, fork_rows
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.compile.trees import Tree
from everfresh.packaging.parity import parity_rows

NUMBER = Source("distance")
CARRIER = Source("carrier", CategoryCodes({"AA": 0.0, "B6": 1.0, "UA": 2.0}, missing=1.0, unseen=-1.0))


def tree(*nodes: tuple[int, float, int, int]) -> Tree:
    """From (feature, threshold, left, right) for each node; an end has itself as followers."""
    feature, threshold, left, right = (np.array(column) for column in zip(*nodes, strict=True))
    ends = left == np.arange(len(nodes))
    return Tree(
        0, feature, threshold.astype(float), left, right, np.zeros(len(nodes), bool), ends, np.zeros(len(nodes))
    )


def end(node: int) -> tuple[int, float, int, int]:
    return (0, 0.0, node, node)


def test_a_fork_is_met_on_its_threshold_and_one_number_above_and_without_a_value():
    rows = fork_rows([tree((0, 0.1, 1, 2), end(1), end(2))], [NUMBER], in_float32=False)
    assert [row["distance"] for row in rows[:2]] == [0.1, np.nextafter(0.1, 1)]
    assert np.isnan(rows[2]["distance"])


def test_a_fork_of_float32_is_met_on_the_numbers_of_float32_beside_it_and_between_them():
    rows = fork_rows([tree((0, 0.1, 1, 2), end(1), end(2))], [NUMBER], in_float32=True)
    below, above, missing, between = (row["distance"] for row in rows)
    assert below < 0.1 < above
    assert np.nextafter(np.float32(below), np.float32(1)) == np.float32(above)
    assert (np.float32(below), np.float32(above)) == (below, above)
    assert np.isnan(missing)
    assert between == 0.1


def test_the_way_to_a_deep_fork_leads_past_the_forks_above():
    deep = tree((0, 5.0, 1, 4), (1, 0.5, 2, 3), end(2), end(3), (0, 9.0, 5, 6), end(5), end(6))
    rows = fork_rows([deep], [NUMBER, CARRIER], in_float32=False)
    under_the_left = rows[3:6]
    assert [row["distance"] for row in under_the_left] == [5.0] * 3
    assert [row["carrier"] for row in under_the_left[:2]] == ["AA", "B6"]
    above_nine = rows[7]
    assert above_nine == {"distance": np.nextafter(9.0, 10)}


def test_a_fork_that_only_missing_values_pass_is_passed_by_one():
    gaps = tree((0, np.inf, 1, 2), end(1), (1, -0.5, 3, 4), end(3), end(4))
    rows = fork_rows([gaps], [NUMBER, CARRIER], in_float32=False)
    assert np.isnan(rows[3]["distance"])
    assert [row["carrier"] for row in rows[3:5]] == [UNSEEN, "AA"]


def test_a_fork_of_a_feature_that_is_no_column_is_left_out():
    assert fork_rows([tree((0, 0.5, 1, 2), end(1), end(2))], [None], in_float32=False) == []


def test_trees_without_forks_have_no_rows():
    assert fork_rows([tree(end(0)), tree(end(0))], [NUMBER], in_float32=False) == []


def test_forks_are_chosen_evenly_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(forks, "MOST_FORKS", 3)
    trees = [tree((0, float(number), 1, 2), end(1), end(2)) for number in range(9)]
    rows = fork_rows(trees, [NUMBER], in_float32=False)
    assert [row["distance"] for row in rows[::3]] == [0.0, 4.0, 8.0]


@pytest.mark.parametrize("estimator", [DecisionTreeRegressor(), RandomForestRegressor(5)], ids=str)
def test_every_end_of_every_tree_is_reached(estimator, fitted, frame, columns):
    pipeline = fitted(estimator.set_params(random_state=0), "number")
    plan = compile_pipeline(pipeline, columns, "regression")
    assert isinstance(plan, CompiledPlan)
    rows = parity_rows(frame, columns, plan.hard_rows).iloc[-len(plan.hard_rows) :]
    prepared = pipeline["prepare"].transform(rows)
    for one in getattr(pipeline["model"], "estimators_", [pipeline["model"]]):
        reached = set(one.apply(prepared.astype(np.float32)).tolist())
        assert reached == set(np.flatnonzero(one.tree_.children_left == -1).tolist())


def test_no_row_is_so_extreme_that_scikit_learn_refuses_it(fitted, columns):
    for estimator in (HistGradientBoostingRegressor(max_iter=20), RandomForestRegressor(5)):
        plan = compile_pipeline(fitted(estimator, "number"), columns, "regression")
        assert isinstance(plan, CompiledPlan)
        values = [v for row in plan.hard_rows for v in row.values() if isinstance(v, float)]
        assert not np.isinf(values).any()
        assert np.nanmax(np.abs(values)) < np.finfo(np.float32).max

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper
from sklearn.ensemble import HistGradientBoostingRegressor

from everfresh.packaging.batch import batch_of
from everfresh.packaging.compile.plan import CompiledPlan, compile_pipeline
from everfresh.packaging.golden import largest_difference
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.scorer import OnnxScorer
from everfresh.testing.estimators.conformance import labels
from everfresh.testing.estimators.rows import COLUMNS, at_the_edges, frame_of, training_values, wild_values
from everfresh.training.pipeline import build_pipeline


def test_edges_are_found_to_the_last_bit():
    frame = frame_of(training_values(200, seed=0))
    threshold = 1000.1 + 1e-7

    def answer(rows):
        return (rows["distance"] > threshold).to_numpy().astype(float)

    edges = at_the_edges(frame, answer)["distance"].to_numpy()
    assert set(edges) == {threshold, np.nextafter(threshold, np.inf)}


def test_edges_are_found_between_numbers_of_either_sign():
    frame = frame_of(training_values(200, seed=0)).assign(distance=np.tile([-1e30, 3e38], 100))
    edges = at_the_edges(frame, lambda rows: (rows["distance"] >= 0).to_numpy().astype(float))["distance"]
    assert sorted(np.abs(edges)) == [0.0, 5e-324]


def test_an_answer_that_never_changes_has_no_edges():
    frame = frame_of(training_values(50, seed=0))
    assert at_the_edges(frame, lambda rows: np.zeros(len(rows))).empty


def test_wild_rows_hold_what_training_did_not():
    known = training_values(200, seed=0)
    wild = frame_of(wild_values(known))
    assert wild.columns.tolist() == [column.name for column in COLUMNS]
    assert {"9007199254740992", "9007199254740993", "9007199254740994"} <= set(wild["account"].dropna())
    assert {"true", "false", "1", "2.5"} <= set(wild["gate"].dropna())
    assert wild["reference"].abs().max() == 2**53
    assert wild.isna().all(axis=1).any()
    assert np.nextafter(known["distance"][0] or 0.0, np.inf) not in set(known["distance"])


def test_a_threshold_that_is_one_float64_off_shows_at_the_edges():
    values = training_values(400, seed=0)
    frame = frame_of(values)
    pipeline = build_pipeline(HistGradientBoostingRegressor(max_iter=5), COLUMNS).fit(frame, labels(frame, "number"))
    plan = compile_pipeline(pipeline, COLUMNS, "regression")
    assert isinstance(plan, CompiledPlan)
    model = onnx.load_model_from_string(plan.model)
    (splits,) = [one.t for node in model.graph.node for one in node.attribute if one.name == "nodes_splits"]
    splits.CopyFrom(numpy_helper.from_array(np.nextafter(numpy_helper.to_array(splits), np.inf), splits.name))

    differences = {}
    for name, content in (("right", plan.model), ("one off", model.SerializeToString())):
        scorer = OnnxScorer(content, plan.codes, "regression")
        edges = at_the_edges(frame, lambda rows, scorer=scorer: scorer.score(batch_of(rows, COLUMNS)))
        answer = scorer.score(batch_of(edges, COLUMNS))
        differences[name] = largest_difference(pipeline_answer(pipeline, edges, "regression"), answer)
    assert differences["right"] < 1e-12
    assert differences["one off"] > 1e-4

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from everfresh.data.frames import model_frame
from everfresh.errors import BundleDamaged
from everfresh.packaging.arrays import ArrayScorer
from everfresh.packaging.batch import Batch, EncodedCategories, batch_of
from everfresh.packaging.codes import Codes
from everfresh.packaging.scorer import OnnxScorer, PipelineScorer, open_scorer

THREADS = 8


@pytest.fixture(scope="module", params=["onnx", "sklearn"])
def model(request, fitted, packed, tmp_path_factory):
    """A bundle by each path."""
    estimators = {"onnx": HistGradientBoostingClassifier(max_iter=20), "sklearn": KNeighborsClassifier()}
    packed_model = packed(fitted(estimators[request.param], "three"), tmp_path_factory.mktemp("model") / "bundle")
    assert packed_model.bundle.manifest.path == request.param
    return packed_model


def test_the_scorer_is_the_one_that_the_manifest_names(model):
    scorer = open_scorer(model.bundle)
    assert scorer.path == model.bundle.manifest.path
    assert isinstance(scorer, OnnxScorer if scorer.path == "onnx" else ArrayScorer)


def test_a_bundle_that_was_never_tried_without_frames_is_served_with_them(model, unseen, columns):
    manifest = model.bundle.manifest
    files = {name: digest for name, digest in manifest.files.items() if name != "arrays.json"}
    scorer = open_scorer(replace(model.bundle, manifest=replace(manifest, path="sklearn", files=files)))
    assert isinstance(scorer, PipelineScorer)
    np.testing.assert_array_equal(scorer.score(batch_of(unseen, columns)), model.expected(unseen))


def test_categories_with_a_dictionary_are_answered_like_the_same_without(model, unseen, columns):
    batch = batch_of(unseen, columns)
    encoded = replace(batch, categories={name: encode(values) for name, values in batch.categories.items()})
    files = {name: digest for name, digest in model.bundle.manifest.files.items() if name != "arrays.json"}
    with_frames = replace(model.bundle, manifest=replace(model.bundle.manifest, path="sklearn", files=files))
    for scorer in (open_scorer(model.bundle), open_scorer(with_frames)):
        np.testing.assert_array_equal(scorer.score(encoded), scorer.score(batch))


def encode(values: Sequence[str | None]) -> EncodedCategories:
    """The values with a dictionary, which also holds one that no row has."""
    distinct = ["never used", *dict.fromkeys(value for value in values if value is not None)]
    places = {value: place for place, value in enumerate(distinct)} | {None: -1}
    return EncodedCategories(np.array([places[value] for value in values], dtype=np.int32), distinct)


def test_one_row_is_answered_as_it_is_among_many(model, unseen, columns):
    scorer = open_scorer(model.bundle)
    together = scorer.score(batch_of(unseen, columns))
    alone = [scorer.score(batch_of(unseen.iloc[[row]], columns))[0] for row in range(20)]
    np.testing.assert_array_equal(alone, together[:20])


def test_probabilities_are_float64_and_add_up_to_one(model, unseen, columns):
    answer = open_scorer(model.bundle).score(batch_of(unseen, columns))
    assert (answer.dtype, answer.shape) == (np.float64, (len(unseen), 3))
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-12)


def test_a_regression_is_one_value_for_each_row(bundle, unseen, columns):
    answer = open_scorer(bundle).score(batch_of(unseen, columns))
    assert (answer.dtype, answer.shape) == (np.float64, (len(unseen),))


def test_columns_that_the_model_does_not_know_change_nothing(model, unseen, columns):
    batch = batch_of(unseen, columns)
    rows = batch.rows
    more = Batch(rows, {"a": np.zeros(rows), **batch.numbers}, {"b": ["x"] * rows, **batch.categories})
    scorer = open_scorer(model.bundle)
    np.testing.assert_array_equal(scorer.score(more), scorer.score(batch))


def test_eight_threads_that_share_a_scorer_get_their_own_answers(model, unseen, columns):
    scorer = open_scorer(model.bundle)
    frames = [unseen.iloc[start::THREADS] for start in range(THREADS)]
    batches = [batch_of(frame, columns) for frame in frames]
    expected = [model.expected(frame) for frame in frames]
    together = threading.Barrier(THREADS)

    def score(thread: int) -> float:
        together.wait(timeout=10)
        answers = [scorer.score(batches[thread]) for _ in range(10)]
        return max(float(np.abs(answer - expected[thread]).max()) for answer in answers)

    with ThreadPoolExecutor(THREADS) as pool:
        assert max(pool.map(score, range(THREADS), timeout=60)) <= 1e-9


def test_a_manifest_that_names_a_path_without_its_files_is_damaged(bundle):
    files = {name: digest for name, digest in bundle.manifest.files.items() if name != "model.onnx"}
    without = replace(bundle, manifest=replace(bundle.manifest, files=files))
    with pytest.raises(BundleDamaged, match=r"model\.onnx is not listed"):
        open_scorer(without)


def test_both_paths_of_one_bundle_give_the_same_answer(bundle, linear, unseen, columns):
    batch = batch_of(unseen, columns)
    compiled = OnnxScorer(
        bundle.read("model.onnx"), Codes.from_json(json.loads(bundle.read("codes.json"))), "regression"
    )
    fallback = open_scorer(replace(bundle, manifest=replace(bundle.manifest, path="sklearn")))
    np.testing.assert_allclose(compiled.score(batch), fallback.score(batch), rtol=1e-12)


def test_an_infinity_in_a_table_is_a_missing_value_on_both_paths(model, table, columns):
    frame = model_frame(table.head(2).assign(distance=[np.inf, None]).assign(seats=100), columns)
    answer = open_scorer(model.bundle).score(batch_of(frame, columns))
    np.testing.assert_allclose(answer, model.expected(frame), atol=1e-9)
    assert frame["distance"].isna().all()

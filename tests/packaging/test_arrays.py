from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from everfresh.packaging.arrays import ArrayScorer, arrays_of
from everfresh.packaging.batch import batch_of
from everfresh.packaging.pipelines import dump_pipeline, read_pipeline

NUMBERS = ["distance", "seats", "night", "scheduled_at"]
CATEGORIES = ["carrier", "gate"]


def stored(pipeline):
    """As a server has it: its own copy, out of a bundle."""
    return read_pipeline(dump_pipeline(pipeline, "flights"), "flights")


ONE_HOT = OneHotEncoder(handle_unknown="ignore")
PREPARATIONS = {
    "quantiles": ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=20)), NUMBERS),
            ("categories", ONE_HOT, CATEGORIES),
        ]
    ),
    "categories first": ColumnTransformer([("categories", ONE_HOT, CATEGORIES), ("numbers", SimpleImputer(), NUMBERS)]),
    "all sorts": ColumnTransformer(
        [
            ("codes", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
             ["carrier"]),
            ("bins", make_pipeline(SimpleImputer(), KBinsDiscretizer(3, strategy="uniform")), ["distance", "seats"]),
            ("one", ONE_HOT, ["gate"]),
            ("again", make_pipeline(SimpleImputer(), PowerTransformer()), ["distance"]),
        ]
    ),
}  # fmt: skip


@pytest.mark.parametrize("prepare", PREPARATIONS.values(), ids=PREPARATIONS)
def test_the_answer_is_the_pipelines_own_to_the_last_bit(prepare, frame, labels, unseen, columns):
    pipeline = make_pipeline(prepare, KNeighborsRegressor()).fit(frame, labels["number"])
    arrays = arrays_of(stored(pipeline), columns, "regression")
    assert isinstance(arrays, ArrayScorer)
    np.testing.assert_array_equal(arrays.score(batch_of(unseen, columns)), pipeline.predict(unseen))


def test_steps_behind_the_columns_are_taken_too(frame, labels, unseen, columns):
    prepare = ColumnTransformer([("numbers", SimpleImputer(), NUMBERS), ("categories", ONE_HOT, CATEGORIES)])
    prepare.set_params(sparse_threshold=0)
    pipeline = make_pipeline(prepare, StandardScaler(), make_pipeline(PowerTransformer(), GaussianNB()))
    pipeline.fit(frame, labels["three"])
    arrays = arrays_of(stored(pipeline), columns, "classification")
    assert isinstance(arrays, ArrayScorer)
    np.testing.assert_array_equal(arrays.score(batch_of(unseen, columns)), pipeline.predict_proba(unseen))


def test_no_step_warns_of_names_that_it_misses(fitted, frame, labels, unseen, columns):
    """Warnings are errors here; a server would write one to its log with each request."""
    prepare = ColumnTransformer([("numbers", SimpleImputer(), NUMBERS)]).set_output(transform="pandas")
    model = CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=3), cv=2)
    pipeline = make_pipeline(prepare, model).fit(frame, labels["two"])
    arrays = arrays_of(stored(pipeline), columns, "classification")
    assert isinstance(arrays, ArrayScorer)
    np.testing.assert_allclose(arrays.score(batch_of(unseen, columns)), pipeline.predict_proba(unseen), rtol=1e-12)


def test_an_encoder_that_cannot_be_asked_about_what_may_come_needs_frames(frame, labels, columns):
    complete = frame.dropna()
    prepare = ColumnTransformer([("categories", OneHotEncoder(), CATEGORIES)])
    pipeline = make_pipeline(prepare, KNeighborsRegressor()).fit(complete, labels["number"][complete.index])
    assert arrays_of(stored(pipeline), columns, "regression") is None


def test_a_server_needs_no_onnx_for_it():
    """The serving image has no `onnx`, which only compiling needs."""
    code = "import sys, everfresh.packaging.arrays; sys.exit('onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

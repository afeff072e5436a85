from __future__ import annotations

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import numpy_helper
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from everfresh.data.columns import Column
from everfresh.packaging.batch import batch_of
from everfresh.packaging.compile.estimators import _ANSWERS, _SCORES
from everfresh.packaging.compile.graph import IR_VERSION, OPSETS
from everfresh.packaging.compile.plan import CompiledPlan, NotCompiled, compile_pipeline
from everfresh.packaging.golden import largest_difference
from everfresh.packaging.parity import parity_rows
from everfresh.packaging.pipelines import pipeline_answer
from everfresh.packaging.scorer import OnnxScorer
from everfresh.training.pipeline import build_pipeline

_BRANCH_MEMBER = 6

_CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)

NUMBERS = ["distance", "seats", "night", "scheduled_at"]
CATEGORIES = ["carrier", "gate"]

MEDIAN = ("numbers", SimpleImputer(strategy="median"), NUMBERS)
ONE_HOT = ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES)


def difference(pipeline, columns, frame, task) -> float:
    """Of the plan to the pipeline, on rows that are meant to break it."""
    plan = compile_pipeline(pipeline, columns, task)
    assert isinstance(plan, CompiledPlan), plan
    rows = parity_rows(frame, columns, plan.hard_rows)
    answer = OnnxScorer(plan.model, plan.codes, task).score(batch_of(rows, columns))
    return largest_difference(pipeline_answer(pipeline, rows, task), answer)


def modes_of(plan: CompiledPlan) -> set[int]:
    """How the nodes of all trees in a plan decide."""
    nodes = [node for node in onnx.load_model_from_string(plan.model).graph.node if node.op_type == "TreeEnsemble"]
    found = [one.t for node in nodes for one in node.attribute if one.name == "nodes_modes"]
    return {int(mode) for modes in found for mode in numpy_helper.to_array(modes)}


def prepared(*transformers, model=None, **options) -> Pipeline:
    return Pipeline(
        [("prepare", ColumnTransformer(list(transformers), **options)), ("model", Ridge() if model is None else model)]
    )


PREPARATIONS = {
    "one-hot, sparse": [MEDIAN, ONE_HOT],
    "categories first": [ONE_HOT, MEDIAN],
    "one-hot without the first": [
        MEDIAN, ("categories", OneHotEncoder(drop="first", handle_unknown="infrequent_if_exist"), CATEGORIES)
    ],
    "one-hot of the frequent ones": [
        MEDIAN, ("categories", OneHotEncoder(min_frequency=0.3, handle_unknown="infrequent_if_exist"), CATEGORIES)
    ],
    "ordinal codes": [
        MEDIAN,
        (
            "categories",
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
            CATEGORIES,
        ),
    ],
    "means of the target": [MEDIAN, ("categories", TargetEncoder(cv=3), CATEGORIES)],
    "most frequent category for a missing one": [
        MEDIAN,
        (
            "categories",
            Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ONE_HOT[:2]]),
            CATEGORIES,
        ),
    ],
    "scaled without the mean": [
        (
            "numbers",
            Pipeline([("fill", SimpleImputer(strategy="mean")), ("scale", StandardScaler(with_mean=False))]),
            NUMBERS,
        )
    ],
    "centered, not scaled": [
        (
            "numbers",
            Pipeline([("fill", SimpleImputer(strategy="mean")), ("center", StandardScaler(with_std=False))]),
            NUMBERS,
        )
    ],
    "some columns only": [("numbers", SimpleImputer(), ["night", "distance"]), ("drop", "drop", ["seats"])],
    "one column by its name": [MEDIAN, ("category", OneHotEncoder(handle_unknown="ignore"), ["carrier"])],
    "columns by position": [("numbers", SimpleImputer(), [3, 0])],
    "columns by a rule": [
        ("numbers", SimpleImputer(), make_column_selector(dtype_include=np.number)),
        ("categories", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=np.number)),
    ],
    "columns by a mask": [("numbers", SimpleImputer(), [True, False, True, True, False, False])],
    "columns by a slice": [("numbers", SimpleImputer(), slice(1, 4)), ("categories", ONE_HOT[1], slice(-2, None))],
    "columns by names from one to another": [("numbers", SimpleImputer(), slice("seats", "scheduled_at"))],
    "no columns": [("nothing", SimpleImputer(), []), ("numbers", SimpleImputer(), ["night"])],
    "each number by itself": [(name, SimpleImputer(), [name]) for name in NUMBERS],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix", "ignore:Found unknown categories")
@pytest.mark.parametrize("transformers", PREPARATIONS.values(), ids=PREPARATIONS)
def test_other_preparations_than_everfreshs_own_are_exact_too(transformers, frame, labels, columns):
    for model in (Ridge(), DecisionTreeRegressor(max_depth=5), HistGradientBoostingRegressor(max_iter=5)):
        dense = prepared(*transformers, model=model, sparse_threshold=0)
        dense.fit(frame, labels["number"])
        assert difference(dense, columns, frame, "regression") <= 1e-9


def test_boosting_behind_a_scaler_and_one_hot_columns_is_exact(frame, labels, columns):
    scale = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    pipeline = prepared(
        ("numbers", scale, NUMBERS), ONE_HOT, model=RandomForestClassifier(10, random_state=0), sparse_threshold=0
    )
    pipeline.fit(frame, labels["three"])
    assert difference(pipeline, columns, frame, "classification") <= 1e-9


def test_numbers_may_pass_as_they_are_with_their_gaps(frame, labels, columns):
    pipeline = prepared(("numbers", "passthrough", NUMBERS), model=HistGradientBoostingClassifier(max_iter=5))
    pipeline.fit(frame, labels["two"])
    assert difference(pipeline, columns, frame, "classification") <= 1e-9


REFUSED = {
    "QuantileTransformer has no exact export": prepared(
        ("numbers", make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=10)), NUMBERS)
    ),
    "SimpleImputer of another missing value than NaN has no exact export": prepared(
        ("numbers", make_pipeline(SimpleImputer(), SimpleImputer(missing_values=0)), NUMBERS)
    ),
    "StandardScaler on a sparse matrix has no exact export": prepared(
        (
            "numbers",
            make_pipeline(SimpleImputer(), KBinsDiscretizer(3, strategy="uniform"), StandardScaler(with_mean=False)),
            NUMBERS,
        )
    ),
    "MaxAbsScaler on a sparse matrix has no exact export": Pipeline(
        [
            ("prepare", ColumnTransformer([MEDIAN, ONE_HOT], sparse_threshold=1.0)),
            ("scale", MaxAbsScaler()),
            ("model", Ridge()),
        ]
    ),
    "transformer_weights have no exact export": prepared(MEDIAN, transformer_weights={"numbers": 2.0}),
    "the category 'gate' is prepared twice": prepared(
        MEDIAN, ONE_HOT, ("again", OneHotEncoder(handle_unknown="ignore"), ["gate"])
    ),
    "OneHotEncoder on numbers in this configuration has no exact export": prepared(
        MEDIAN, ("again", OneHotEncoder(handle_unknown="ignore", drop="first"), ["night"])
    ),
    "OrdinalEncoder on numbers has no exact export; declare the columns as categories": prepared(
        MEDIAN, ("again", _CODES, ["night"])
    ),
    "OneHotEncoder on numbers and categories together has no exact export": prepared(
        MEDIAN, ("again", OneHotEncoder(handle_unknown="ignore"), ["night", "gate"])
    ),
    "OneHotEncoder refuses a category that it did not see, or a missing one": prepared(
        MEDIAN, ("categories", OneHotEncoder(), CATEGORIES)
    ),
    "PCA behind an encoder has no exact export": prepared(
        MEDIAN,
        (
            "categories",
            make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), PCA(2)),
            CATEGORIES,
        ),
    ),
    "DecisionTreeRegressor on sums, which may be rounded to the other side, has no exact export": Pipeline(
        [("numbers", ColumnTransformer([MEDIAN])), ("turn", PCA(2)), ("model", DecisionTreeRegressor(max_depth=3))]
    ),
    "KBinsDiscretizer on sums, which may be rounded to the other side, has no exact export": Pipeline(
        [
            ("numbers", ColumnTransformer([MEDIAN])),
            ("turn", PCA(2)),
            ("bins", KBinsDiscretizer(3, strategy="uniform")),
            ("model", Ridge()),
        ]
    ),
}


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix")
@pytest.mark.parametrize(("reason", "pipeline"), REFUSED.items(), ids=REFUSED)
def test_what_has_no_exact_export_is_refused_with_the_reason(reason, pipeline, frame, labels, columns):
    pipeline.fit(frame, labels["number"])
    assert compile_pipeline(pipeline, columns, "regression") == NotCompiled(reason)


@pytest.mark.parametrize(
    "model", [DecisionTreeClassifier(max_depth=5), LogisticRegression(max_iter=20)], ids=["tree", "linear"]
)
@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_the_means_of_several_classes_are_exact(model, frame, labels, columns):
    pipeline = prepared(MEDIAN, ("categories", TargetEncoder(cv=3), CATEGORIES), model=model)
    pipeline.fit(frame, labels["three"])
    assert difference(pipeline, columns, frame, "classification") <= 1e-12


def test_categories_that_boosting_splits_by_itself_are_exact(frame, labels, columns):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=np.nan)
    pipeline = prepared(
        ("numbers", "passthrough", NUMBERS),
        ("categories", codes, CATEGORIES),
        model=HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=3, categorical_features=[2, 4, 5]),
    )
    pipeline.fit(frame, labels["number"])
    plan = compile_pipeline(pipeline, columns, "regression")
    assert isinstance(plan, CompiledPlan)
    assert _BRANCH_MEMBER in modes_of(plan)
    assert difference(pipeline, columns, frame, "regression") <= 1e-12


def test_a_model_of_numbers_alone_needs_no_column_transformer(frame, labels, columns):
    numbers = [column for column in columns if not column.is_category]
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), DecisionTreeRegressor(max_depth=5))
    pipeline.fit(frame[NUMBERS], labels["number"])
    assert difference(pipeline, numbers, frame[NUMBERS], "regression") == 0


def test_small_probabilities_keep_all_their_digits(fitted, columns, unseen):
    """A sigmoid that is only right to 1e-16 calls a probability of 1e-30 impossible."""
    pipeline = fitted(LogisticRegression(), "two")
    pipeline["model"].coef_ = pipeline["model"].coef_ * 20
    plan = compile_pipeline(pipeline, columns, "classification")
    assert isinstance(plan, CompiledPlan)
    answer = OnnxScorer(plan.model, plan.codes, "classification").score(batch_of(unseen, columns))[:, 1]
    expected = pipeline.predict_proba(unseen)[:, 1]
    assert expected.min() < 1e-20
    np.testing.assert_allclose(answer, expected, rtol=1e-12)


def test_a_boosting_that_starts_from_another_model_is_refused(fitted, columns):
    pipeline = fitted(GradientBoostingClassifier(init=DummyClassifier(strategy="prior"), n_estimators=2), "two")
    assert isinstance(compile_pipeline(pipeline, columns, "classification"), CompiledPlan)
    pipeline = fitted(GradientBoostingClassifier(init=LogisticRegression(), n_estimators=2), "two")
    reason = "GradientBoostingClassifier that starts from LogisticRegression has no exact export"
    assert compile_pipeline(pipeline, columns, "classification") == NotCompiled(reason)


def test_a_subclass_is_not_taken_for_its_parent(fitted, columns):
    class Twice(LinearRegression):
        def predict(self, X):
            return 2 * super().predict(X)

    reason = "Twice has no exact export"
    assert compile_pipeline(fitted(Twice(), "number"), columns, "regression") == NotCompiled(reason)


def test_a_classifier_that_saw_one_class_is_refused(frame, columns):
    pipeline = build_pipeline(DecisionTreeClassifier(), columns).fit(frame, ["late"] * len(frame))
    reason = "a classifier of one class has no exact export"
    assert compile_pipeline(pipeline, columns, "classification") == NotCompiled(reason)


def test_more_nodes_than_a_server_holds_are_refused(fitted, columns, monkeypatch):
    monkeypatch.setattr("everfresh.packaging.compile.trees.MOST_NODES", 100)
    plan = compile_pipeline(fitted(RandomForestRegressor(10, random_state=0), "number"), columns, "regression")
    assert isinstance(plan, NotCompiled)
    assert plan.reason.startswith("the trees have ")
    assert plan.reason.endswith(" nodes, and a plan holds at most 100")


@pytest.mark.parametrize("model", [DecisionTreeRegressor(), RandomForestRegressor(3), HistGradientBoostingRegressor()])
def test_trees_that_never_split_answer_all_the_same(model, frame, columns):
    pipeline = build_pipeline(model, columns).fit(frame, np.full(len(frame), 3.5))
    assert difference(pipeline, columns, frame, "regression") <= 1e-9


def test_trees_that_never_split_stand_beside_trees_that_do(frame, labels, columns):
    model = HistGradientBoostingClassifier(max_iter=30, learning_rate=1.0, early_stopping=False)
    pipeline = build_pipeline(model, columns).fit(frame, frame["carrier"].fillna("none"))
    lengths = {len(tree.nodes) for iteration in pipeline["model"]._predictors for tree in iteration}
    assert min(lengths) == 1 < max(lengths)
    assert difference(pipeline, columns, frame, "classification") <= 1e-9


@pytest.mark.parametrize(
    "model", [Ridge(), DecisionTreeRegressor(), HistGradientBoostingRegressor(max_iter=5)], ids=str
)
@pytest.mark.parametrize("kept", [NUMBERS, CATEGORIES, ["distance"], ["carrier"]], ids="-".join)
def test_a_model_of_numbers_or_of_categories_alone_is_exact(model, kept, frame, labels, columns):
    some = [column for column in columns if column.name in kept]
    pipeline = build_pipeline(model, some).fit(frame, labels["number"])
    assert difference(pipeline, some, frame, "regression") <= 1e-9


@pytest.mark.parametrize(
    "model", [Ridge(), DecisionTreeRegressor(), HistGradientBoostingRegressor(max_iter=5)], ids=str
)
def test_columns_with_one_value_or_none_are_exact(model, frame, labels):
    some = [Column("distance", "float"), Column("empty", "float"), Column("constant", "float")]
    some += [Column("same", "category"), Column("nothing", "category")]
    rows = frame.assign(empty=np.nan, constant=5.0, same="AA", nothing=pd.Series([None] * len(frame), dtype="str"))
    if isinstance(model, HistGradientBoostingRegressor):
        rows["empty"] = 1.0  # boosting cannot bin a column without any value; training leaves such columns out
    rows = rows[[column.name for column in some]].astype({"same": "str"})
    pipeline = build_pipeline(model, some).fit(rows, labels["number"])
    assert difference(pipeline, some, rows, "regression") <= 1e-9


def test_a_category_may_be_called_what_the_compiler_calls_others(frame, labels):
    """The encoder is asked about a category that it did not learn: its name must not be one that it did."""
    names = ["unseen", "unseen'", "(missing)", "a category that training never saw", ""]
    carrier = pd.Series(np.random.default_rng(0).choice(names, len(frame)), dtype="str")
    some = [Column("carrier", "category")]
    for model in (Ridge(), DecisionTreeRegressor()):
        pipeline = build_pipeline(model, some).fit(carrier.to_frame("carrier"), labels["number"])
        assert difference(pipeline, some, carrier.to_frame("carrier"), "regression") <= 1e-9


def test_the_plan_is_float64_from_its_input_to_its_output(fitted, columns):
    plan = compile_pipeline(fitted(RandomForestClassifier(3), "three"), columns, "classification")
    assert isinstance(plan, CompiledPlan)
    model = onnx.load_model_from_string(plan.model)
    onnx.checker.check_model(model, full_check=True)
    (matrix,), (answer,) = model.graph.input, model.graph.output
    assert matrix.type.tensor_type.elem_type == answer.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    assert {opset.domain: opset.version for opset in model.opset_import} == OPSETS
    assert model.ir_version == IR_VERSION


def test_every_estimator_with_an_export_is_one_of_scikit_learns():
    assert all(kind.__module__.startswith("sklearn.") for kind in {**_ANSWERS, **_SCORES})


def test_what_nobody_thought_of_is_not_compiled_and_breaks_nothing(fitted, columns):
    pipeline = fitted(LinearRegression(), "number")
    del pipeline["model"].coef_
    plan = compile_pipeline(pipeline, columns, "regression")
    assert isinstance(plan, NotCompiled)
    assert plan.reason.startswith("its compilation failed (AttributeError: ")

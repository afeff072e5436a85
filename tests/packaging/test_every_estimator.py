"""What becomes of each of scikit-learn's classifiers and regressors: compiled, served as it is, or refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.utils import all_estimators

from everfresh.errors import TypesRefused

# Everything else is served as the stored pipeline.
COMPILED = {
    "DecisionTreeClassifier", "ExtraTreeClassifier", "ExtraTreesClassifier", "GradientBoostingClassifier",
    "HistGradientBoostingClassifier", "LogisticRegression", "LogisticRegressionCV", "RandomForestClassifier",
    "ARDRegression", "BayesianRidge", "DecisionTreeRegressor", "ElasticNet", "ElasticNetCV", "ExtraTreeRegressor",
    "ExtraTreesRegressor", "GammaRegressor", "GradientBoostingRegressor", "HistGradientBoostingRegressor",
    "HuberRegressor", "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC",
    "LinearRegression", "LinearSVR", "OrthogonalMatchingPursuit", "PoissonRegressor", "QuantileRegressor",
    "RandomForestRegressor", "Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor",
}  # fmt: skip
# Its weights of one-hot columns, which depend on each other, may be so large that the order of additions shows.
COMPILED_IF_STABLE = {"Lars"}
OF_TYPES_THAT_NOBODY_REVIEWED = {"GaussianProcessClassifier", "GaussianProcessRegressor"}
WITHOUT_PROBABILITIES = {
    "LinearSVC", "NuSVC", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV",
    "SGDClassifier", "SVC",
}  # fmt: skip
NOT_BUILT_PLAINLY = {
    "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "MultiOutputRegressor",
    "OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier", "RegressorChain", "StackingClassifier",
    "StackingRegressor", "TunedThresholdClassifierCV", "VotingClassifier", "VotingRegressor",
}  # fmt: skip
REFUSING_THE_DATA = {
    "CategoricalNB", "ComplementNB", "MultinomialNB",  # no negative features
    "CCA", "IsotonicRegression", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
    "MultiTaskLassoCV", "PLSCanonical",  # another number of features or of labels
    "OrthogonalMatchingPursuitCV",  # one-hot columns depend on each other: fewer atoms than it tries
    "QuadraticDiscriminantAnalysis",  # and have no covariance of full rank
    "SelfTrainingClassifier",  # wants an estimator
}  # fmt: skip

SMALLER = {"n_estimators": 5, "max_iter": 20, "random_state": 0}


def cases() -> Iterator[tuple[str, type, str]]:
    for name, kind in all_estimators("classifier"):
        yield name, kind, "two"
        yield name, kind, "three"
    for name, kind in all_estimators("regressor"):
        yield name, kind, "number"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "kind", "learns"), [pytest.param(*case, id=f"{case[0]}-{case[2]}") for case in cases()]
)
def test_an_estimator_is_compiled_or_served_as_it_is_or_refused(name, kind, learns, fitted, packed, unseen, tmp_path):
    try:
        estimator = kind()
    except TypeError:
        assert name in NOT_BUILT_PLAINLY
        return
    known = estimator.get_params(deep=False)
    estimator.set_params(**{param: value for param, value in SMALLER.items() if param in known})
    try:
        pipeline = fitted(estimator, learns)
    except (ValueError, np.linalg.LinAlgError):
        assert name in REFUSING_THE_DATA
        return
    if learns != "number" and not hasattr(pipeline, "predict_proba"):
        assert name in WITHOUT_PROBABILITIES
        return
    if name == "RadiusNeighborsClassifier":
        pipeline.set_params(model__radius=10.0)  # far enough for rows that lie nowhere near the training rows

    try:
        model = packed(pipeline, tmp_path / "bundle")
    except TypesRefused:
        assert name in OF_TYPES_THAT_NOBODY_REVIEWED
        return
    manifest = model.bundle.manifest
    assert model.difference(unseen) <= 1e-9
    if name in COMPILED_IF_STABLE:
        assert manifest.path == "onnx" or "because the compiled plan differs" in manifest.path_reason
    elif name in COMPILED:
        assert manifest.path == "onnx", manifest.path_reason
    else:
        assert manifest.path == "sklearn"
        assert manifest.path_reason == f"scikit-learn, because {name} has no exact export"


def test_every_estimator_that_is_listed_is_one_of_scikit_learns():
    listed = (
        COMPILED
        | COMPILED_IF_STABLE
        | OF_TYPES_THAT_NOBODY_REVIEWED
        | WITHOUT_PROBABILITIES
        | NOT_BUILT_PLAINLY
        | REFUSING_THE_DATA
    )
    assert listed <= {name for name, _, _ in cases()}

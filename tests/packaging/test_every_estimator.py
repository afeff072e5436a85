"""What becomes of scikit-learn's estimators, and of pipelines as people build them: compiled, served as is, refused.

In any case, what is served is compared with what was fitted, on rows that are meant to break it. See
`everfresh.testing.estimators`, which writes the same as a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pytest

from everfresh.testing.estimators.catalogue import Case, every_estimator, made_of_others, preparations
from everfresh.testing.estimators.conformance import serve

WITHOUT_FRAMES = {
    "AdaBoostRegressor", "DummyClassifier", "DummyRegressor", "GaussianNB", "KNeighborsClassifier",
    "KNeighborsRegressor", "KernelRidge", "LabelPropagation", "LabelSpreading", "NearestCentroid", "NuSVR",
    "RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "SVR",
    # Of a line that is as steep as can be, or of a decision at a threshold of a rounded sum.
    "calibrated (isotonic) boosting", "stacking under a forest", "components before a forest",
    "main components | RandomForestClassifier", "main components | HistGradientBoostingClassifier",
    # Of functions that two libraries may round in two ways.
    *(f"{name} | {model}" for name in ("quantiles", "powers")
      for model in ("LogisticRegression", "RandomForestClassifier", "HistGradientBoostingClassifier")),
    "voting with neighbours", "normal naive Bayes", "support vectors",
}  # fmt: skip
WITHOUT_FRAMES_OF_THREE_CLASSES = {
    "calibrated (temperature) logistic", "descent, log loss", "descent, modified Huber",
}  # fmt: skip
# An encoder that refuses categories cannot be asked about them.
WITH_FRAMES = {
    f"unseen categories refused | {model}"
    for model in ("LogisticRegression", "RandomForestClassifier", "HistGradientBoostingClassifier")
}
OF_TYPES_THAT_NOBODY_REVIEWED = {
    "GaussianProcessClassifier", "GaussianProcessRegressor", "search over logistic regressions", "tuned threshold",
    *(f"splines | {model}" for model in
      ("LogisticRegression", "RandomForestClassifier", "HistGradientBoostingClassifier")),
}  # fmt: skip
WITHOUT_PROBABILITIES = {
    "LinearSVC", "NuSVC", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV",
    "SGDClassifier", "SVC",
}  # fmt: skip
REFUSING_THE_DATA = {
    "CategoricalNB", "ComplementNB", "MultinomialNB",  # no negative features
    "CCA", "IsotonicRegression", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
    "MultiTaskLassoCV", "PLSCanonical",  # another number of features or of labels
    "QuadraticDiscriminantAnalysis",  # one-hot columns depend on each other: no covariance of full rank
    "SelfTrainingClassifier",  # wants an estimator
}  # fmt: skip
LISTED = (
    WITHOUT_FRAMES
    | WITHOUT_FRAMES_OF_THREE_CLASSES
    | WITH_FRAMES
    | OF_TYPES_THAT_NOBODY_REVIEWED
    | WITHOUT_PROBABILITIES
    | REFUSING_THE_DATA
)

QUICK = {
    "DecisionTreeRegressor", "GradientBoostingRegressor", "HistGradientBoostingRegressor", "PoissonRegressor",
    "RandomForestRegressor", "KNeighborsRegressor", "LinearSVC", "GaussianProcessRegressor", "CategoricalNB",
    "boosting, 4 native categories", "boosting, poisson", "fixed threshold", "logarithm of the target",
    "bagging of ridges", "generalized linear, log", "boosting on categories alone",
    "min-max scaler before the mean | HistGradientBoostingClassifier", "quantiles | LogisticRegression",
    "one-hot bins | RandomForestClassifier", "products of two | LogisticRegression",
}  # fmt: skip
CLOSE = 1e-12


def cases() -> Iterator[Case]:
    return chain(every_estimator(), made_of_others(), preparations())


def params() -> Iterator[object]:
    """All cases; every third of those that are not quick is run by itself, the others by `make test-all`."""
    for number, case in enumerate(cases()):
        is_quick = case.name in QUICK and case.learns != "three"
        marks = [] if is_quick else [pytest.mark.slow] if number % 3 == 0 else [pytest.mark.wide]
        yield pytest.param(case, id=f"{case.name}-{case.learns}", marks=marks)


def expected_way(case: Case) -> str:
    if case.name in WITHOUT_FRAMES or (case.learns == "three" and case.name in WITHOUT_FRAMES_OF_THREE_CLASSES):
        return "without frames"
    if case.name in WITH_FRAMES:
        return "with frames"
    if case.name in OF_TYPES_THAT_NOBODY_REVIEWED | WITHOUT_PROBABILITIES:
        return "refused"
    return "cannot be fitted" if case.name in REFUSING_THE_DATA else "compiled"


@pytest.mark.parametrize("case", list(params()))
def test_what_is_served_is_what_was_fitted(case, tmp_path):
    served = serve(case, tmp_path / "bundle")
    assert served.way == expected_way(case), served.reason
    assert served.difference <= CLOSE, served
    assert served.flips == 0, served
    if served.way == "compiled":
        assert served.reason.startswith("ONNX Runtime, largest difference ")
    if served.way in ("without frames", "with frames"):
        assert " because " in served.reason


def test_every_case_that_is_listed_is_there():
    assert {case.name for case in cases()} >= LISTED | QUICK

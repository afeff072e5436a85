"""Pipelines as people build them: each estimator behind everfresh's own steps, and mixtures of everything else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)  # fmt: skip
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier, TweedieRegressor
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)  # fmt: skip
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

from everfresh.testing.estimators.rows import COLUMNS
from everfresh.training.pipeline import build_pipeline

Learns = Literal["two", "three", "number"]

NUMBERS = [column.name for column in COLUMNS if not column.is_category]
CATEGORIES = [column.name for column in COLUMNS if column.is_category]
_FEWER = {"n_estimators": 5, "max_iter": 20, "random_state": 0}


@dataclass(frozen=True, eq=False)
class Case:
    """A pipeline that is not fitted yet.

    Attributes:
        group: in which part of the table it is listed.
        name: what it is called there.
        pipeline: what is fitted.
        learns: two or three classes, or a number above 0.
    """

    group: str
    name: str
    pipeline: Pipeline
    learns: Learns


def every_estimator() -> Iterator[Case]:
    """Each classifier and regressor of scikit-learn that needs no arguments, behind everfresh's own steps."""
    kinds: tuple[tuple[str, tuple[Learns, ...]], ...] = (("classifier", ("two", "three")), ("regressor", ("number",)))
    for kind, targets in kinds:
        for name, estimator in all_estimators(kind):
            for learns in targets:
                try:
                    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # some are deprecated
                        model = estimator()
                except TypeError:  # it is made of others; see `made_of_others`
                    continue
                known = model.get_params(deep=False)
                model.set_params(**{key: value for key, value in _FEWER.items() if key in known})
                if name.startswith("RadiusNeighbors"):
                    model.set_params(radius=1e40)  # far enough for rows that lie nowhere near the training rows
                yield Case(f"every {kind}", name, build_pipeline(model, COLUMNS), learns)


def preparations() -> Iterator[Case]:
    """Ways to prepare columns, each before a linear model, a forest and a boosting."""
    for name, prepare in _preparations().items():
        for model in (LogisticRegression(max_iter=50), _forest(), _boosting()):
            if isinstance(model, HistGradientBoostingClassifier) and "sparse" in name:
                continue
            pipeline = Pipeline([("prepare", prepare), *_more_steps().get(name, ()), ("model", model)])
            yield Case("preparation", f"{name} | {type(model).__name__}", pipeline, "two")


def made_of_others() -> Iterator[Case]:
    """Estimators that are made of others, and settings that change what a tree or a link function does."""
    for name, model in _classifiers().items():
        for learns in ("two", "three"):
            yield Case("made of others", name, build_pipeline(model, COLUMNS), learns)
    for name, model in _two_class_only().items():
        yield Case("made of others", name, build_pipeline(model, COLUMNS), "two")
    for name, model in _regressors().items():
        yield Case("made of others", name, build_pipeline(model, COLUMNS), "number")
    for name, pipeline, learns in _native():
        yield Case("made of others", name, pipeline, learns)


def _preparations() -> Mapping[str, ColumnTransformer]:
    median = SimpleImputer(strategy="median")
    ignore = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    most = SimpleImputer(strategy="most_frequent")
    return {
        "robust scaler, one-hot (sparse)": _both(
            [median, RobustScaler()], OneHotEncoder(handle_unknown="ignore"), sparse_threshold=1.0
        ),
        "indicator of missing values, min-max scaler with limits, codes": _both(
            [SimpleImputer(add_indicator=True), MinMaxScaler(clip=True)], codes
        ),
        "min-max scaler before the mean": _both([MinMaxScaler(), SimpleImputer()], codes),
        "largest-value scaler, mean of the target": _both([MaxAbsScaler(), median], TargetEncoder(random_state=0)),
        "mean of the target, scaled": _both([median], make_pipeline(TargetEncoder(random_state=0), StandardScaler())),
        "quantiles": _both([median, QuantileTransformer(n_quantiles=50, output_distribution="normal")], ignore),
        "powers": _both([median, StandardScaler(), PowerTransformer()], ignore),
        "one-hot bins": _both([median, KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf")], ignore),
        "bins by their numbers": _both([median, KBinsDiscretizer(5, encode="ordinal", strategy="uniform")], codes),
        "splines": _both([median, StandardScaler(), SplineTransformer()], ignore),
        "products of two": _both([median, StandardScaler(), PolynomialFeatures(2)], ignore),
        "products of three different ones": _both(
            [median, StandardScaler(), PolynomialFeatures((2, 3), interaction_only=True, include_bias=False)], ignore
        ),
        "the best eight features": _both([median, StandardScaler()], ignore),
        "features of a forest": _both([median], codes),
        "features that vary": _both([median], ignore),
        "main components": _both([median, StandardScaler()], ignore),
        "standardized after all": _both([median], ignore),
        "rare categories together": _both(
            [median, StandardScaler()],
            OneHotEncoder(min_frequency=0.15, handle_unknown="infrequent_if_exist", sparse_output=False),
        ),
        "without the first category": _both(
            [median, StandardScaler()], OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False)
        ),
        "most frequent category for a missing one": _both([median], make_pipeline(most, codes)),
        "one-hot numbers": ColumnTransformer(
            [("night", ignore, ["night"]), ("numbers", median, NUMBERS[:3]), ("categories", codes, CATEGORIES)]
        ),
        "a column twice": ColumnTransformer(
            [("plain", median, NUMBERS), ("bins", make_pipeline(SimpleImputer(), KBinsDiscretizer(
                3, encode="ordinal", strategy="uniform")), ["distance"]), ("categories", codes, CATEGORIES)]
        ),
        "unseen categories refused": _both([median], OneHotEncoder(sparse_output=False)),
    }  # fmt: skip


def _more_steps() -> Mapping[str, list[tuple[str, BaseEstimator]]]:
    return {
        "the best eight features": [("select", SelectKBest(k=8))],
        "features of a forest": [("select", SelectFromModel(RandomForestClassifier(5, random_state=0)))],
        "features that vary": [("select", VarianceThreshold(0.05))],
        "main components": [("turn", PCA(5, whiten=True))],
        "standardized after all": [("scale", StandardScaler())],
    }


def _both(numbers: list[BaseEstimator], categories: BaseEstimator, **options: Any) -> ColumnTransformer:
    own = numbers[0] if len(numbers) == 1 else make_pipeline(*numbers)
    return ColumnTransformer([("numbers", own, NUMBERS), ("categories", categories, CATEGORIES)], **options)


def _classifiers() -> Mapping[str, BaseEstimator]:
    logistic, forest, boosting = LogisticRegression(max_iter=50), _forest(), _boosting()
    pair = [("linear", logistic), ("forest", forest)]
    return {
        "calibrated (sigmoid) LinearSVC": CalibratedClassifierCV(LinearSVC(random_state=0), cv=2),
        "calibrated (sigmoid) RidgeClassifier, one": CalibratedClassifierCV(RidgeClassifier(), cv=2, ensemble=False),
        "calibrated (sigmoid) forest": CalibratedClassifierCV(forest, cv=2),
        "calibrated (sigmoid) boosting": CalibratedClassifierCV(boosting, cv=2),
        "calibrated (isotonic) boosting": CalibratedClassifierCV(boosting, method="isotonic", cv=2),
        "calibrated (temperature) forest": CalibratedClassifierCV(forest, method="temperature", cv=2),
        "calibrated (temperature) logistic": CalibratedClassifierCV(logistic, method="temperature", cv=2),
        "voting": VotingClassifier(pair, voting="soft"),
        "voting with weights": VotingClassifier([*pair, ("bayes", BernoulliNB())], voting="soft", weights=[1, 2.5, 3]),
        "voting with neighbours": VotingClassifier([*pair, ("near", KNeighborsClassifier())], voting="soft"),
        "stacking": StackingClassifier([*pair, ("svm", LinearSVC(random_state=0))], cv=2),
        "stacking with the features": StackingClassifier(pair, cv=2, passthrough=True),
        "stacking under a forest": StackingClassifier(pair, final_estimator=forest, cv=2),
        "bagging of some features": BaggingClassifier(DecisionTreeClassifier(), 5, max_features=0.6, random_state=0),
        "bagging of logistic regressions": BaggingClassifier(logistic, 3, max_features=0.6, random_state=0),
        "adaptive boosting of deep trees": AdaBoostClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=5),
        "one against the rest": OneVsRestClassifier(logistic),
        "search over logistic regressions": GridSearchCV(logistic, {"C": [0.1, 1.0]}, cv=2),
        "inner pipeline": make_pipeline(SelectKBest(k=6), PolynomialFeatures(2), StandardScaler(), logistic),
        "inner pipeline with components": make_pipeline(PCA(4), StandardScaler(), logistic),
        "components before a forest": make_pipeline(PCA(4), forest),
        "descent, log loss": SGDClassifier(loss="log_loss", random_state=0),
        "descent, modified Huber": SGDClassifier(loss="modified_huber", random_state=0),
        "network, tanh": MLPClassifier((8, 4), activation="tanh", max_iter=30, random_state=0),
        "network, logistic": MLPClassifier((5,), activation="logistic", max_iter=30, random_state=0),
        "normal naive Bayes": GaussianNB(),
        "boosting, regularized": HistGradientBoostingClassifier(max_iter=10, l2_regularization=1.0, max_leaf_nodes=None, min_samples_leaf=5),  # noqa: E501
        "boosting that stopped early": HistGradientBoostingClassifier(max_iter=20, early_stopping=True, random_state=0),
        "trees split at random, bootstrapped": ExtraTreesClassifier(5, bootstrap=True, random_state=0),
        "support vectors": SVC(probability=True, random_state=0),
    }  # fmt: skip


def _two_class_only() -> Mapping[str, BaseEstimator]:
    return {
        "tuned threshold": TunedThresholdClassifierCV(LogisticRegression(max_iter=50), cv=2, random_state=0),
        "fixed threshold": FixedThresholdClassifier(_boosting(), threshold=0.3),
        "boosting, exponential loss": GradientBoostingClassifier(loss="exponential", n_estimators=5),
        "boosting, monotonic": HistGradientBoostingClassifier(max_iter=10, monotonic_cst=[1, -1] + [0] * 7),
        "boosting, no interactions": HistGradientBoostingClassifier(max_iter=10, interaction_cst="no_interactions"),
        "forest, monotonic": RandomForestClassifier(5, monotonic_cst=[1] + [0] * 8, random_state=0),
        "forest, balanced": RandomForestClassifier(5, class_weight="balanced", criterion="log_loss", random_state=0),
    }


def _regressors() -> Mapping[str, BaseEstimator]:
    ridge, forest = Ridge(), RandomForestRegressor(5, random_state=0)
    pair = [("linear", ridge), ("forest", forest)]
    return {
        "boosting, poisson": HistGradientBoostingRegressor(loss="poisson", max_iter=10),
        "boosting, gamma": HistGradientBoostingRegressor(loss="gamma", max_iter=10),
        "boosting, absolute error": HistGradientBoostingRegressor(loss="absolute_error", max_iter=10),
        "boosting, quantile": HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=10),
        "gradient boosting, huber": GradientBoostingRegressor(loss="huber", n_estimators=5),
        "gradient boosting, quantile": GradientBoostingRegressor(loss="quantile", n_estimators=5),
        "forest, poisson": RandomForestRegressor(5, criterion="poisson", random_state=0),
        "tree, absolute error": DecisionTreeRegressor(criterion="absolute_error", max_depth=6),
        "generalized linear, identity": TweedieRegressor(power=0),
        "generalized linear, log": TweedieRegressor(power=1.5),
        "voting": VotingRegressor(pair, weights=[1, 3]),
        "stacking": StackingRegressor(pair, cv=2),
        "bagging of ridges": BaggingRegressor(ridge, 3, max_features=0.5, random_state=0),
        "network": MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0),
        "logarithm of the target": TransformedTargetRegressor(ridge, func=np.log1p, inverse_func=np.expm1),
        "scaled target": TransformedTargetRegressor(forest, transformer=StandardScaler()),
    }


def _native() -> Iterator[tuple[str, Pipeline, Learns]]:
    """Boosting that splits on categories by itself, and models without categories or without numbers."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=np.nan)
    places = [len(NUMBERS) + place for place in range(len(CATEGORIES))]
    for learns in ("two", "three", "number"):
        kind = HistGradientBoostingRegressor if learns == "number" else HistGradientBoostingClassifier
        for own in (places, [*places, NUMBERS.index("night")], places[:1]):
            prepare = ColumnTransformer([("numbers", "passthrough", NUMBERS), ("categories", codes, CATEGORIES)])
            model = kind(max_iter=10, categorical_features=own, min_samples_leaf=5)
            yield f"boosting, {len(own)} native categories", make_pipeline(prepare, model), learns
    numbers = ColumnTransformer([("numbers", "passthrough", NUMBERS)])
    categories = ColumnTransformer([("categories", codes, CATEGORIES)])
    yield "boosting on numbers alone", make_pipeline(numbers, _boosting()), "three"
    yield "boosting on categories alone", make_pipeline(categories, _boosting()), "three"


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(5, random_state=0)


def _boosting() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=10, random_state=0)

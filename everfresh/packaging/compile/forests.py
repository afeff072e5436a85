"""Estimators made of trees: what their trees add up to, and what they make of the sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from sklearn import tree
from sklearn.dummy import DummyClassifier, DummyRegressor

from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.features import Features
from everfresh.packaging.compile.forks import fork_rows
from everfresh.packaging.compile.links import complement_pair, over, probabilities, sigmoid_pair, times
from everfresh.packaging.compile.steps import check_exact
from everfresh.packaging.compile.trees import Tree, histogram_trees, sum_of_trees, tree_of

TREE_CLASSIFIERS = (tree.DecisionTreeClassifier, tree.ExtraTreeClassifier)
TREE_REGRESSORS = (tree.DecisionTreeRegressor, tree.ExtraTreeRegressor)
_LOG_LINKS = ("poisson", "gamma")


def histogram_scores(features: Features, model: Any) -> str:
    """What a HistGradientBoosting adds up, [rows, 1 or classes]."""
    check_exact(features.is_exact, model)
    graph, trees = features.graph, histogram_trees(model)
    baseline = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    graph.hard_rows += fork_rows(trees, features.sources, in_float32=False)
    total = sum_of_trees(graph, features.matrix(), trees, baseline.shape[1])
    return graph.add("Add", total, graph.constant(baseline))


def histogram_classifier(features: Features, model: Any) -> str:
    """The probabilities of a HistGradientBoostingClassifier."""
    return probabilities(features.graph, histogram_scores(features, model), len(model.classes_))


def histogram_regressor(features: Features, model: Any) -> str:
    """The values of a HistGradientBoostingRegressor."""
    scores = histogram_scores(features, model)
    return features.graph.add("Exp", scores) if model.loss in _LOG_LINKS else scores


def boosting_scores(features: Features, model: Any) -> str:
    """What a GradientBoosting adds up, [rows, 1 or classes]; the values of its regressor."""
    if not (isinstance(model.init_, DummyClassifier | DummyRegressor) or model.init_ == "zero"):
        raise NoExactExport(f"{kind(model)} that starts from {kind(model.init_)} has no exact export")
    trees = [
        tree_of(fitted.tree_, model.learning_rate * fitted.tree_.value[:, 0, 0], target)
        for stage in model.estimators_
        for target, fitted in enumerate(stage)
    ]
    # The start of a boosting does not depend on the row, so one row tells it.
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_)))
    total = _float32_sum(features, model, trees, start.shape[1])
    return features.graph.add("Add", total, features.graph.constant(np.asarray(start, dtype=np.float64)))


def boosting_classifier(features: Features, model: Any) -> str:
    """The probabilities of a GradientBoostingClassifier."""
    scores = boosting_scores(features, model)
    if model.loss == "exponential":
        return sigmoid_pair(features.graph, times(features.graph, scores, 2.0))
    return probabilities(features.graph, scores, len(model.classes_))


def forest_classifier(features: Features, model: Any) -> str:
    """The probabilities of a forest of classifiers."""
    return _mean_shares(features, model, model.estimators_, None)


def forest_regressor(features: Features, model: Any) -> str:
    """The values of a forest of regressors."""
    return _mean_values(features, model, model.estimators_, None)


def tree_classifier(features: Features, model: Any) -> str:
    """The probabilities of one tree."""
    return _mean_shares(features, model, [model], None)


def tree_regressor(features: Features, model: Any) -> str:
    """The values of one tree."""
    return _mean_values(features, model, [model], None)


def bagged_tree_classifiers(features: Features, model: Any) -> str:
    """The probabilities of a BaggingClassifier of trees, each of which was shown some of the features."""
    if any(len(fitted.classes_) != len(model.classes_) for fitted in model.estimators_):
        raise NoExactExport(f"{kind(model)} of trees that saw different classes has no exact export")
    return _mean_shares(features, model, model.estimators_, model.estimators_features_)


def bagged_tree_regressors(features: Features, model: Any) -> str:
    """The values of a BaggingRegressor of trees, each of which was shown some of the features."""
    return _mean_values(features, model, model.estimators_, model.estimators_features_)


def adaptive_scores(features: Features, model: Any) -> str:
    """What an AdaBoostClassifier of trees makes of their votes, [rows, 1 or classes]."""
    if not all(type(fitted) in TREE_CLASSIFIERS for fitted in model.estimators_):
        raise NoExactExport(f"{kind(model)} of something else than trees has no exact export")
    classes = len(model.classes_)
    trees: list[Tree] = []
    for fitted, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
        voted = fitted.classes_[fitted.tree_.value[:, 0, :].argmax(axis=1)]
        if classes == 2:
            trees.append(tree_of(fitted.tree_, np.where(voted == model.classes_[1], 2 * weight, -2 * weight)))
        else:
            trees += [
                tree_of(fitted.tree_, np.where(voted == label, weight, -weight / (classes - 1)), target)
                for target, label in enumerate(model.classes_)
            ]
    total = _float32_sum(features, model, trees, 1 if classes == 2 else classes)
    return over(features.graph, total, float(model.estimator_weights_.sum()))


def adaptive_classifier(features: Features, model: Any) -> str:
    """The probabilities of an AdaBoostClassifier of trees."""
    classes, scores = len(model.classes_), adaptive_scores(features, model)
    return probabilities(features.graph, over(features.graph, scores, max(1.0, classes - 1.0)), classes)


def _mean_shares(
    features: Features, model: Any, fitted: Sequence[Any], shown: Sequence[NDArray[np.intp]] | None
) -> str:
    """The share of each class in the leaves, averaged over the trees; of two classes, one tells the other."""
    classes = len(model.classes_)
    told = [1] if classes == 2 else list(range(classes))
    mean = _mean(features, model, fitted, shown, told)
    return complement_pair(features.graph, mean) if classes == 2 else mean


def _mean_values(
    features: Features, model: Any, fitted: Sequence[Any], shown: Sequence[NDArray[np.intp]] | None
) -> str:
    return _mean(features, model, fitted, shown, [0])


def _mean(
    features: Features, model: Any, fitted: Sequence[Any], shown: Sequence[NDArray[np.intp]] | None, told: list[int]
) -> str:
    if any(one.n_outputs_ != 1 for one in fitted):
        raise NoExactExport(f"{kind(model)} with several outputs has no exact export")
    some = shown if shown is not None else [None] * len(fitted)
    trees = [
        tree_of(one.tree_, one.tree_.value[:, 0, place], target, own)
        for target, place in enumerate(told)
        for one, own in zip(fitted, some, strict=True)
    ]
    return over(features.graph, _float32_sum(features, model, trees, len(told)), float(len(fitted)))


def _float32_sum(features: Features, model: Any, trees: Sequence[Tree], targets: int) -> str:
    """scikit-learn's trees round features (not thresholds) to float32 before they compare, and so must the plan."""
    check_exact(features.is_exact, model)
    graph = features.graph
    graph.hard_rows += fork_rows(trees, features.sources, in_float32=True)
    rounded = graph.add("Cast", graph.add("Cast", features.matrix(), to=TensorProto.FLOAT), to=TensorProto.DOUBLE)
    return sum_of_trees(graph, rounded, trees, targets)

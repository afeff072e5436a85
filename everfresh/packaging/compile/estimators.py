"""Which estimators have an exact export, and how each becomes nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn import ensemble, linear_model, svm, tree
from sklearn.dummy import DummyClassifier, DummyRegressor

from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.features import feature_matrix
from everfresh.packaging.compile.graph import Graph
from everfresh.packaging.compile.linear import linear_sum
from everfresh.packaging.compile.preparation import Block
from everfresh.packaging.compile.trees import Tree, histogram_trees, sum_of_trees, tree_of

_LOG_LINKS = ("poisson", "gamma")


def export_estimator(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    """The answer of a fitted estimator: [rows, classes] probabilities, or [rows, 1] values.

    Raises:
        NoExactExport: there is none for this estimator or its configuration.
    """
    # By the exact class: a subclass may answer in any other way.
    export = _EXPORTS.get(type(model))
    if export is None:
        raise NoExactExport(f"{kind(model)} has no exact export")
    return export(graph, blocks, model)


def _logistic(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    decision = linear_sum(graph, blocks, model)
    return _sigmoid_pair(graph, decision) if len(model.classes_) == 2 else graph.add("Softmax", decision, axis=1)


def _linear(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    return linear_sum(graph, blocks, model)


def _log_linear(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    return graph.add("Exp", linear_sum(graph, blocks, model))


def _histogram_classifier(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    raw = _histogram_sum(graph, blocks, model)
    return _sigmoid_pair(graph, raw) if len(model.classes_) == 2 else graph.add("Softmax", raw, axis=1)


def _histogram_regressor(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    raw = _histogram_sum(graph, blocks, model)
    return graph.add("Exp", raw) if model.loss in _LOG_LINKS else raw


def _histogram_sum(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    trees = histogram_trees(model._predictors)
    baseline = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    total = sum_of_trees(graph, feature_matrix(graph, blocks), trees, baseline.shape[1])
    return graph.add("Add", total, graph.constant(baseline))


def _boosting_classifier(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    raw = _boosting_sum(graph, blocks, model)
    if model.loss == "exponential":
        return _sigmoid_pair(graph, graph.add("Mul", raw, graph.constant(np.array([[2.0]]))))
    return _sigmoid_pair(graph, raw) if len(model.classes_) == 2 else graph.add("Softmax", raw, axis=1)


def _boosting_sum(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    if not (isinstance(model.init_, DummyClassifier | DummyRegressor) or model.init_ == "zero"):
        raise NoExactExport(f"{kind(model)} that starts from {kind(model.init_)} has no exact export")
    trees = [
        tree_of(fitted.tree_, model.learning_rate * fitted.tree_.value[:, 0, 0], target)
        for stage in model.estimators_
        for target, fitted in enumerate(stage)
    ]
    # The start of a boosting does not depend on the row, so one row tells it.
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_)))
    total = sum_of_trees(graph, _as_float32(graph, feature_matrix(graph, blocks)), trees, start.shape[1])
    return graph.add("Add", total, graph.constant(np.asarray(start, dtype=np.float64)))


def _forest_classifier(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    return _mean_fractions(graph, blocks, model, [fitted.tree_ for fitted in model.estimators_])


def _tree_classifier(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    return _mean_fractions(graph, blocks, model, [model.tree_])


def _mean_fractions(graph: Graph, blocks: Sequence[Block], model: Any, fitted: Sequence[Any]) -> str:
    """The share of each class in the leaves, averaged over the trees; of two classes, one tells the other."""
    _check_one_output(model)
    classes = len(model.classes_)
    told = [1] if classes == 2 else list(range(classes))
    trees = [tree_of(one, one.value[:, 0, label], target) for target, label in enumerate(told) for one in fitted]
    mean = _mean(graph, blocks, trees, len(told), len(fitted))
    return _complement_pair(graph, mean) if classes == 2 else mean


def _forest_regressor(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    _check_one_output(model)
    trees = [tree_of(fitted.tree_, fitted.tree_.value[:, 0, 0]) for fitted in model.estimators_]
    return _mean(graph, blocks, trees, 1, len(trees))


def _tree_regressor(graph: Graph, blocks: Sequence[Block], model: Any) -> str:
    _check_one_output(model)
    return _mean(graph, blocks, [tree_of(model.tree_, model.tree_.value[:, 0, 0])], 1, 1)


def _mean(graph: Graph, blocks: Sequence[Block], trees: Sequence[Tree], targets: int, count: int) -> str:
    total = sum_of_trees(graph, _as_float32(graph, feature_matrix(graph, blocks)), trees, targets)
    return total if count == 1 else graph.add("Div", total, graph.constant(np.array([[float(count)]])))


def _as_float32(graph: Graph, features: str) -> str:
    """scikit-learn's trees round features (not thresholds) to float32 before they compare, and so must the plan."""
    return graph.add("Cast", graph.add("Cast", features, to=TensorProto.FLOAT), to=TensorProto.DOUBLE)


def _sigmoid_pair(graph: Graph, decision: str) -> str:
    return _complement_pair(graph, graph.add("Sigmoid", decision))


def _complement_pair(graph: Graph, second: str) -> str:
    return graph.concat([graph.add("Sub", graph.constant(np.array([[1.0]])), second), second])


def _check_one_output(model: Any) -> None:
    if model.n_outputs_ != 1:
        raise NoExactExport(f"{kind(model)} with several outputs has no exact export")


_Export = Callable[[Graph, Sequence[Block], Any], str]
_EXPORTS: dict[type, _Export] = {
    linear_model.LogisticRegression: _logistic,
    linear_model.LogisticRegressionCV: _logistic,
    **dict.fromkeys(
        (
            linear_model.LinearRegression, linear_model.Ridge, linear_model.RidgeCV, linear_model.Lasso,
            linear_model.LassoCV, linear_model.ElasticNet, linear_model.ElasticNetCV, linear_model.BayesianRidge,
            linear_model.HuberRegressor, linear_model.QuantileRegressor, linear_model.SGDRegressor,
            linear_model.ARDRegression, linear_model.TheilSenRegressor, linear_model.Lars, linear_model.LarsCV,
            linear_model.LassoLars, linear_model.LassoLarsCV, linear_model.LassoLarsIC,
            linear_model.OrthogonalMatchingPursuit, linear_model.OrthogonalMatchingPursuitCV, svm.LinearSVR,
        ),
        _linear,
    ),
    linear_model.PoissonRegressor: _log_linear,
    linear_model.GammaRegressor: _log_linear,
    ensemble.HistGradientBoostingClassifier: _histogram_classifier,
    ensemble.HistGradientBoostingRegressor: _histogram_regressor,
    ensemble.GradientBoostingClassifier: _boosting_classifier,
    ensemble.GradientBoostingRegressor: _boosting_sum,
    ensemble.RandomForestClassifier: _forest_classifier,
    ensemble.ExtraTreesClassifier: _forest_classifier,
    ensemble.RandomForestRegressor: _forest_regressor,
    ensemble.ExtraTreesRegressor: _forest_regressor,
    tree.DecisionTreeClassifier: _tree_classifier,
    tree.DecisionTreeRegressor: _tree_regressor,
    tree.ExtraTreeClassifier: _tree_classifier,
    tree.ExtraTreeRegressor: _tree_regressor,
}  # fmt: skip

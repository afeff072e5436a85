"""Which estimators have an exact export, and how those that are made of others become one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn import (
    calibration,
    compose,
    cross_decomposition,
    discriminant_analysis,
    ensemble,
    frozen,
    linear_model,
    model_selection,
    multiclass,
    naive_bayes,
    neural_network,
    pipeline,
    preprocessing,
    svm,
)  # fmt: skip

from everfresh.packaging.compile import forests, smooth
from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.features import Features, after, computed
from everfresh.packaging.compile.flattening import steps_of
from everfresh.packaging.compile.linear import linear_sum
from everfresh.packaging.compile.links import complement_pair, plus, shares, sigmoid, sigmoid_pair, times, weighted_mean

Export = Callable[[Features, Any], str]


def answer_of(features: Features, model: Any) -> str:
    """The answer of a fitted estimator: [rows, classes] probabilities, or [rows, 1] values.

    Raises:
        NoExactExport: there is none for this estimator or its configuration.
    """
    return _by_class(_ANSWERS, model)(features, model)


def scores_of(features: Features, model: Any) -> str:
    """The `decision_function` of a fitted classifier, [rows, 1 or classes].

    Raises:
        NoExactExport: there is none for this classifier or its configuration.
    """
    return _by_class(_SCORES, model)(features, model)


def _by_class(exports: dict[type, Export], model: Any) -> Export:
    # By the exact class: a subclass may answer in any other way.
    export = exports.get(type(model))
    if export is None:
        raise NoExactExport(f"{kind(model)} has no exact export")
    return export


def _answer_after_steps(features: Features, model: Any) -> str:
    *steps, last = steps_of(model)
    return answer_of(after(features, steps), last)


def _scores_after_steps(features: Features, model: Any) -> str:
    *steps, last = steps_of(model)
    return scores_of(after(features, steps), last)


def _answer_of_the(attribute: str) -> Export:
    return lambda features, model: answer_of(features, getattr(model, attribute))


def _scores_of_the(attribute: str) -> Export:
    return lambda features, model: scores_of(features, getattr(model, attribute))


def _voting(features: Features, model: Any) -> str:
    answers = [answer_of(features, fitted) for fitted in model.estimators_]
    return weighted_mean(features.graph, answers, model._weights_not_none or [1.0] * len(answers))


def _bagging_classifier(features: Features, model: Any) -> str:
    if all(type(fitted) in forests.TREE_CLASSIFIERS for fitted in model.estimators_):
        return forests.bagged_tree_classifiers(features, model)
    if any(len(fitted.classes_) != len(model.classes_) for fitted in model.estimators_):
        raise NoExactExport(f"{kind(model)} of estimators that saw different classes has no exact export")
    return _bagging(features, model)


def _bagging_regressor(features: Features, model: Any) -> str:
    if all(type(fitted) in forests.TREE_REGRESSORS for fitted in model.estimators_):
        return forests.bagged_tree_regressors(features, model)
    return _bagging(features, model)


def _bagging(features: Features, model: Any) -> str:
    if not all(hasattr(fitted, "predict_proba") == hasattr(model, "classes_") for fitted in model.estimators_):
        raise NoExactExport(f"{kind(model)} of estimators without probabilities has no exact export")
    answers = [
        answer_of(features.some(shown), fitted)
        for fitted, shown in zip(model.estimators_, model.estimators_features_, strict=True)
    ]
    return weighted_mean(features.graph, answers, [1.0] * len(answers))


def _stacking(features: Features, model: Any) -> str:
    graph = features.graph
    columns: list[str] = []
    width = 0
    for fitted, method in zip(model.estimators_, model.stack_method_, strict=True):
        answer, own = _stacked(features, model, fitted, method)
        columns.append(answer)
        width += own
    stacked = computed(graph, graph.concat(columns), width)
    if model.passthrough:
        stacked = Features(graph, (*stacked.parts, *features.parts))
    return answer_of(stacked, model.final_estimator_)


def _stacked(features: Features, model: Any, fitted: Any, method: str) -> tuple[str, int]:
    """What one of the stacked estimators tells the last one, and how many columns that is."""
    classes = len(model.classes_) if hasattr(model, "classes_") else 1
    if method == "decision_function":
        return scores_of(features, fitted), 1 if classes == 2 else classes
    if method == "predict" and hasattr(model, "classes_"):
        raise NoExactExport(f"{kind(model)} of labels has no exact export")
    answer = answer_of(features, fitted)
    if classes != 2:
        return answer, classes
    return features.graph.columns(answer, [1], 2), 1


def _calibrated(features: Features, model: Any) -> str:
    answers = [_calibrated_once(features, fitted) for fitted in model.calibrated_classifiers_]
    return weighted_mean(features.graph, answers, [1.0] * len(answers))


def _calibrated_once(features: Features, fitted: Any) -> str:
    graph, classes = features.graph, len(fitted.classes)
    if len(fitted.estimator.classes_) != classes:
        raise NoExactExport(f"calibration of {kind(fitted.estimator)} that saw fewer classes has no exact export")
    has_scores = hasattr(fitted.estimator, "decision_function")
    scores = scores_of(features, fitted.estimator) if has_scores else answer_of(features, fitted.estimator)
    if fitted.method == "temperature":
        return _cooled(features, scores, has_scores, classes, float(fitted.calibrators[0].beta_))
    if fitted.method != "sigmoid":
        # Between two steps that lie close to each other, an isotonic line is as steep as can be.
        raise NoExactExport(f"{fitted.method} calibration has no exact export")
    if classes == 2 and not has_scores:
        scores = graph.columns(scores, [1], 2)
    slopes = np.array([[-float(one.a_) for one in fitted.calibrators]])
    offsets = np.array([[-float(one.b_) for one in fitted.calibrators]])
    lines = graph.add("Add", graph.add("Mul", scores, graph.constant(slopes)), graph.constant(offsets))
    if classes == 2:
        return sigmoid_pair(graph, lines)
    return shares(graph, sigmoid(graph, lines), of_nothing=1.0 / classes)


def _cooled(features: Features, scores: str, has_scores: bool, classes: int, beta: float) -> str:
    """The scores, or the logarithms of probabilities, at another temperature."""
    graph = features.graph
    if not has_scores:
        logits = graph.add("Log", plus(graph, scores, 1e-12))
    elif classes == 2:
        logits = graph.concat([graph.add("Neg", scores), scores])
    else:
        # scikit-learn takes scores for probabilities where those of all rows of a request look like some.
        raise NoExactExport("temperature calibration of several scores has no exact export")
    return graph.add("Softmax", times(graph, logits, beta), axis=1)


def _one_against_the_rest(features: Features, model: Any) -> str:
    if model.multilabel_:
        raise NoExactExport(f"{kind(model)} with several labels has no exact export")
    graph = features.graph
    ours = graph.concat([graph.columns(answer_of(features, fitted), [1], 2) for fitted in model.estimators_])
    if len(model.estimators_) == 1:
        return complement_pair(graph, ours)
    return shares(graph, ours, of_nothing=0.0)


def _transformed_target(features: Features, model: Any) -> str:
    graph, transformer = features.graph, model.transformer_
    values = answer_of(features, model.regressor_)
    if type(transformer) is preprocessing.StandardScaler:
        scaled = times(graph, values, float(transformer.scale_[0])) if transformer.with_std else values
        return plus(graph, scaled, float(transformer.mean_[0])) if transformer.with_mean else scaled
    inverse = transformer.inverse_func if type(transformer) is preprocessing.FunctionTransformer else transformer
    if inverse is None:
        return values
    if inverse is np.exp:
        return graph.add("Exp", values)
    if inverse is np.expm1:
        return plus(graph, graph.add("Exp", values), -1.0)
    raise NoExactExport(f"{kind(model)} with this transformation has no exact export")


def _each(models: Sequence[type], export: Export) -> dict[type, Export]:
    return dict.fromkeys(models, export)


_LINEAR_REGRESSORS = (
    linear_model.ARDRegression, linear_model.BayesianRidge, linear_model.ElasticNet, linear_model.ElasticNetCV,
    linear_model.HuberRegressor, linear_model.Lars, linear_model.LarsCV, linear_model.Lasso, linear_model.LassoCV,
    linear_model.LassoLars, linear_model.LassoLarsCV, linear_model.LassoLarsIC, linear_model.LinearRegression,
    linear_model.OrthogonalMatchingPursuit, linear_model.OrthogonalMatchingPursuitCV,
    linear_model.PassiveAggressiveRegressor, linear_model.QuantileRegressor, linear_model.Ridge, linear_model.RidgeCV,
    linear_model.SGDRegressor, linear_model.TheilSenRegressor, svm.LinearSVR,
)  # fmt: skip
_LOGISTIC = (
    discriminant_analysis.LinearDiscriminantAnalysis,
    linear_model.LogisticRegression,
    linear_model.LogisticRegressionCV,
)
_LINEAR_SCORES = (
    *_LOGISTIC, linear_model.Perceptron, linear_model.RidgeClassifier, linear_model.RidgeClassifierCV,
    linear_model.SGDClassifier, svm.LinearSVC,
)  # fmt: skip
_THRESHOLDS = (model_selection.FixedThresholdClassifier, model_selection.TunedThresholdClassifierCV)
_SEARCHES = (model_selection.GridSearchCV, model_selection.RandomizedSearchCV)

_ANSWERS: dict[type, Export] = {
    **_each(_LINEAR_REGRESSORS, linear_sum),
    **_each(_LOGISTIC, smooth.logistic),
    **_each((linear_model.PoissonRegressor, linear_model.GammaRegressor), smooth.log_linear),
    linear_model.TweedieRegressor: smooth.tweedie,
    cross_decomposition.PLSRegression: smooth.partial_least_squares,
    linear_model.SGDClassifier: smooth.gradient_descent_classifier,
    naive_bayes.MultinomialNB: smooth.multinomial_bayes,
    naive_bayes.ComplementNB: smooth.complement_bayes,
    naive_bayes.BernoulliNB: smooth.bernoulli_bayes,
    **_each((neural_network.MLPClassifier, neural_network.MLPRegressor), smooth.network),
    ensemble.HistGradientBoostingClassifier: forests.histogram_classifier,
    ensemble.HistGradientBoostingRegressor: forests.histogram_regressor,
    ensemble.GradientBoostingClassifier: forests.boosting_classifier,
    ensemble.GradientBoostingRegressor: forests.boosting_scores,
    **_each((ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier), forests.forest_classifier),
    **_each((ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor), forests.forest_regressor),
    **_each(forests.TREE_CLASSIFIERS, forests.tree_classifier),
    **_each(forests.TREE_REGRESSORS, forests.tree_regressor),
    ensemble.AdaBoostClassifier: forests.adaptive_classifier,
    ensemble.BaggingClassifier: _bagging_classifier,
    ensemble.BaggingRegressor: _bagging_regressor,
    **_each((ensemble.VotingClassifier, ensemble.VotingRegressor), _voting),
    **_each((ensemble.StackingClassifier, ensemble.StackingRegressor), _stacking),
    calibration.CalibratedClassifierCV: _calibrated,
    multiclass.OneVsRestClassifier: _one_against_the_rest,
    compose.TransformedTargetRegressor: _transformed_target,
    pipeline.Pipeline: _answer_after_steps,
    **_each((*_THRESHOLDS, linear_model.RANSACRegressor), _answer_of_the("estimator_")),
    **_each(_SEARCHES, _answer_of_the("best_estimator_")),
    frozen.FrozenEstimator: _answer_of_the("estimator"),
}
_SCORES: dict[type, Export] = {
    **_each(_LINEAR_SCORES, linear_sum),
    ensemble.HistGradientBoostingClassifier: forests.histogram_scores,
    ensemble.GradientBoostingClassifier: forests.boosting_scores,
    ensemble.AdaBoostClassifier: forests.adaptive_scores,
    pipeline.Pipeline: _scores_after_steps,
    **_each(_THRESHOLDS, _scores_of_the("estimator_")),
    **_each(_SEARCHES, _scores_of_the("best_estimator_")),
    frozen.FrozenEstimator: _scores_of_the("estimator"),
}

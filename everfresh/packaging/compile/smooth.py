"""Estimators that are smooth functions of weighted sums: linear models, naive Bayes, networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.features import Features, computed
from everfresh.packaging.compile.linear import linear_sum, weighted_sum
from everfresh.packaging.compile.links import complement_pair, plus, probabilities, times
from everfresh.packaging.compile.steps import check_exact

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "exp": "Exp"}


def logistic(features: Features, model: Any) -> str:
    """The probabilities of a linear classifier whose scores are log odds."""
    return probabilities(features.graph, linear_sum(features, model), len(model.classes_))


def log_linear(features: Features, model: Any) -> str:
    """The values of a linear regression of the logarithm."""
    return features.graph.add("Exp", linear_sum(features, model))


def tweedie(features: Features, model: Any) -> str:
    """The values of a TweedieRegressor."""
    has_log_link = model.link == "log" or (model.link == "auto" and model.power > 0)
    return log_linear(features, model) if has_log_link else linear_sum(features, model)


def partial_least_squares(features: Features, model: Any) -> str:
    """The values of a PLSRegression, which takes the means of the features away first."""
    if not model._predict_1d:
        raise NoExactExport(f"{kind(model)} with several outputs has no exact export")
    intercept = model.intercept_ - model._x_mean @ model.coef_.T
    return weighted_sum(features, np.asarray(model.coef_, dtype=np.float64).T, intercept)


def gradient_descent_classifier(features: Features, model: Any) -> str:
    """The probabilities of an SGDClassifier of two classes.

    Of more classes, it tells the shares of numbers that are all 0 for a row far out; where that begins is a matter
    of the last bit of a sum.
    """
    graph = features.graph
    if len(model.classes_) != 2:
        raise NoExactExport(f"{kind(model)} of several classes has no exact export")
    if model.loss == "log_loss":
        return logistic(features, model)
    if model.loss != "modified_huber":
        raise NoExactExport(f"{kind(model)} with the loss {model.loss} has no exact export")
    low, high = graph.constant(np.array(-1.0)), graph.constant(np.array(1.0))
    clipped = graph.add("Clip", linear_sum(features, model), low, high)
    return complement_pair(graph, times(graph, plus(graph, clipped, 1.0), 0.5))


def multinomial_bayes(features: Features, model: Any) -> str:
    """The probabilities of MultinomialNB."""
    scores = weighted_sum(features, model.feature_log_prob_.T, model.class_log_prior_)
    return features.graph.add("Softmax", scores, axis=1)


def complement_bayes(features: Features, model: Any) -> str:
    """The probabilities of ComplementNB."""
    return features.graph.add("Softmax", weighted_sum(features, model.feature_log_prob_.T, 0.0), axis=1)


def bernoulli_bayes(features: Features, model: Any) -> str:
    """The probabilities of BernoulliNB, which asks of a feature only whether it is above a threshold."""
    graph, ours = features.graph, features
    if model.binarize is not None:
        check_exact(features.is_exact, model)
        above = graph.add("Greater", features.matrix(), graph.constant(np.array(float(model.binarize))))
        ours = computed(graph, graph.add("Cast", above, to=11), features.width)
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    prior = model.class_log_prior_ + absent.sum(axis=1)
    return graph.add("Softmax", weighted_sum(ours, (model.feature_log_prob_ - absent).T, prior), axis=1)


def network(features: Features, model: Any) -> str:
    """The answer of a multi-layer perceptron."""
    graph, values = features.graph, ""
    for layer, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        source = features if layer == 0 else computed(graph, values, len(weights))
        is_last = layer == model.n_layers_ - 2
        sums = weighted_sum(source, np.asarray(weights, dtype=np.float64), bias)
        values = _activated(features, sums, model.out_activation_ if is_last else model.activation)
    is_pair = model.out_activation_ == "logistic" and model.n_outputs_ == 1
    return complement_pair(graph, values) if is_pair else values


def _activated(features: Features, values: str, activation: str) -> str:
    if activation == "identity":
        return values
    if activation == "softmax":
        return features.graph.add("Softmax", values, axis=1)
    return features.graph.add(_ACTIVATIONS[activation], values)

"""From the scores that estimators add up to the probabilities that they answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everfresh.packaging.compile.graph import Graph

_CERTAIN = 1e4
"""Log odds beyond which the smaller probability is 0 among all float64 numbers."""


def probabilities(graph: Graph, scores: str, classes: int) -> str:
    """Of two classes, one score tells the second's log odds; of more, each has its own score."""
    return sigmoid_pair(graph, scores) if classes == 2 else graph.add("Softmax", scores, axis=1)


def sigmoid_pair(graph: Graph, score: str) -> str:
    """The probabilities of two classes by the log odds of the second.

    They are a softmax of 0 and the score, because ONNX Runtime's sigmoid takes what is below 1e-16 for 0.
    """
    low, high = graph.constant(np.array(-_CERTAIN)), graph.constant(np.array(_CERTAIN))
    left_of_it = graph.constant(np.array([0, 1, 0, 0], dtype=np.int64))
    return graph.add("Softmax", graph.add("Pad", graph.add("Clip", score, low, high), left_of_it), axis=1)


def sigmoid(graph: Graph, scores: str) -> str:
    """The probability by each of several log odds, small ones included; see `sigmoid_pair`."""
    one = graph.constant(np.array(1.0))
    small = graph.add("Exp", graph.add("Neg", graph.add("Abs", scores)))
    is_negative = graph.add("Less", scores, graph.constant(np.array(0.0)))
    return graph.add("Div", graph.add("Where", is_negative, small, one), graph.add("Add", one, small))


def complement_pair(graph: Graph, second: str) -> str:
    """The probabilities of two classes by that of the second."""
    return graph.concat([graph.add("Sub", graph.constant(np.array([[1.0]])), second), second])


def shares(graph: Graph, parts: str, *, of_nothing: float) -> str:
    """Each part of the sum of its row; `of_nothing` where the sum is 0."""
    total = graph.add("ReduceSum", parts, graph.constant(np.array([1], dtype=np.int64)), keepdims=1)
    nothing = graph.add("Equal", total, graph.constant(np.array([[0.0]])))
    return graph.add("Where", nothing, graph.constant(np.array([[of_nothing]])), graph.add("Div", parts, total))


def times(graph: Graph, values: str, factor: float) -> str:
    """The values times a number."""
    return values if factor == 1.0 else graph.add("Mul", values, graph.constant(np.array([[float(factor)]])))


def plus(graph: Graph, values: str, more: float) -> str:
    """The values plus a number."""
    return graph.add("Add", values, graph.constant(np.array([[more]])))


def weighted_mean(graph: Graph, answers: Sequence[str], weights: Sequence[float]) -> str:
    """The mean of several answers, by their weights."""
    weighted = [times(graph, answer, weight) for answer, weight in zip(answers, weights, strict=True)]
    total = graph.add("Sum", *weighted) if len(weighted) > 1 else weighted[0]
    return over(graph, total, float(sum(weights)))


def over(graph: Graph, values: str, divisor: float) -> str:
    """The values divided by a number."""
    return values if divisor == 1.0 else graph.add("Div", values, graph.constant(np.array([[divisor]])))

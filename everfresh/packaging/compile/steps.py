"""Fitted transformers of numbers as nodes of a graph: scikit-learn's own operations, in its order.

Each operation on single numbers rounds once, in ONNX Runtime as in numpy, so the results are the same to
the last bit. Only a sum over several features may differ in its last bits, and then so says `is_exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from sklearn import feature_selection
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from everfresh.packaging.compile.exactness import NoExactExport, kind
from everfresh.packaging.compile.forks import Source
from everfresh.packaging.compile.graph import Graph


@dataclass(frozen=True)
class Values:
    """A float64 matrix in a graph.

    Attributes:
        name: what gives it.
        width: how many columns it has.
        is_exact: whether it is scikit-learn's to the last bit.
        sources: the column of the model frame behind each of its columns; None where there is no single one, or
            where the value is not the column's own.
        is_sparse: whether scikit-learn has it as a sparse matrix, on which some transformers compute otherwise.
    """

    name: str
    width: int
    is_exact: bool
    sources: tuple[Source | None, ...]
    is_sparse: bool = False

    def changed(self, name: str) -> Values:
        """The same columns with other values."""
        return replace(self, name=name, sources=(None,) * self.width)


def exported(graph: Graph, values: Values, steps: Iterable[Any]) -> Values:
    """What the fitted steps make of the values, one after the other.

    Raises:
        NoExactExport: a step has none.
    """
    for step in steps:
        # By the exact class: a subclass may answer in any other way.
        export = _STEPS.get(type(step))
        if export is None:
            raise NoExactExport(f"{kind(step)} has no exact export")
        if values.is_sparse:
            raise NoExactExport(f"{kind(step)} on a sparse matrix has no exact export")
        values = export(graph, values, step)
    return values


def check_exact(is_exact: bool, step: object) -> None:
    """Make sure that a step which jumps at a threshold reads values that are right to the last bit.

    Raises:
        NoExactExport: it does not.
    """
    if not is_exact:
        raise NoExactExport(f"{kind(step)} on sums, which may be rounded to the other side, has no exact export")


def _impute(graph: Graph, values: Values, step: SimpleImputer) -> Values:
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise NoExactExport("SimpleImputer of another missing value than NaN has no exact export")
    statistics = np.asarray(step.statistics_, dtype=np.float64)
    # A column without any value has no statistic, and scikit-learn leaves it out.
    kept = np.ones(len(statistics), bool) if step.keep_empty_features else ~np.isnan(statistics)
    own = _some(graph, values, np.flatnonzero(kept))
    filled = graph.add("Where", graph.add("IsNaN", own.name), graph.constant(_row(statistics[kept])), own.name)
    result = replace(own, name=filled)  # a value that is there is still the column's own
    if not step.add_indicator:
        return result
    return _beside(graph, result, _indicate(graph, values, step.indicator_))


def _indicate(graph: Graph, values: Values, step: MissingIndicator) -> Values:
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)) or step.sparse is True:
        raise NoExactExport("MissingIndicator in this configuration has no exact export")
    own = _some(graph, values, step.features_)
    return own.changed(_as_numbers(graph, graph.add("IsNaN", own.name)))


def _standardize(graph: Graph, values: Values, step: StandardScaler) -> Values:
    mean = step.mean_ if step.with_mean else None
    return _shifted_and_divided(graph, values, mean, step.scale_ if step.with_std else None)


def _scale_robustly(graph: Graph, values: Values, step: RobustScaler) -> Values:
    center = step.center_ if step.with_centering else None
    return _shifted_and_divided(graph, values, center, step.scale_ if step.with_scaling else None)


def _scale_to_one(graph: Graph, values: Values, step: MaxAbsScaler) -> Values:
    scaled = _shifted_and_divided(graph, values, None, step.scale_)
    return scaled.changed(_clipped(graph, scaled.name, -1.0, 1.0)) if getattr(step, "clip", False) else scaled


def _scale_to_range(graph: Graph, values: Values, step: MinMaxScaler) -> Values:
    name = graph.add("Mul", values.name, graph.constant(_row(step.scale_)))
    name = graph.add("Add", name, graph.constant(_row(step.min_)))
    return values.changed(_clipped(graph, name, *step.feature_range) if step.clip else name)


def _binarize(graph: Graph, values: Values, step: Binarizer) -> Values:
    check_exact(values.is_exact, step)
    over = graph.add("Greater", values.name, graph.constant(np.array(float(step.threshold))))
    return values.changed(_as_numbers(graph, over))


def _discretize(graph: Graph, values: Values, step: KBinsDiscretizer) -> Values:
    """The number of inner edges that a value is not below; as many columns as there are bins, if it is one-hot."""
    check_exact(values.is_exact, step)
    inner = [np.asarray(edges[1:-1], dtype=np.float64) for edges in step.bin_edges_]
    # Columns with fewer edges get some that no value reaches.
    edges = np.full((1, values.width, max(len(own) for own in inner) + 1), np.inf)
    for position, own in enumerate(inner):
        edges[0, position, : len(own)] = own
    last = graph.constant(np.array([2], dtype=np.int64))
    reached = graph.add("GreaterOrEqual", graph.add("Unsqueeze", values.name, last), graph.constant(edges))
    bins = values.changed(graph.add("ReduceSum", _as_numbers(graph, reached), last, keepdims=0))
    if step.encode == "ordinal":
        return bins
    one_hot = _equal(graph, bins, [np.arange(count, dtype=np.float64) for count in step.n_bins_])
    return replace(one_hot, is_sparse=step.encode == "onehot")


def _one_hot(graph: Graph, values: Values, step: OneHotEncoder) -> Values:
    plain = step.drop_idx_ is None and not step._infrequent_enabled
    if step.handle_unknown != "ignore" or not plain:
        raise NoExactExport("OneHotEncoder on numbers in this configuration has no exact export")
    check_exact(values.is_exact, step)
    one_hot = _equal(graph, values, [np.asarray(known, dtype=np.float64) for known in step.categories_])
    return replace(one_hot, is_sparse=step.sparse_output)


def _ordinal(graph: Graph, values: Values, step: OrdinalEncoder) -> Values:
    raise NoExactExport("OrdinalEncoder on numbers has no exact export; declare the columns as categories")


def _multiply(graph: Graph, values: Values, step: PolynomialFeatures) -> Values:
    """Products of features. A product of three is the first one times the product of the others, and so on."""
    names: dict[tuple[int, ...], tuple[int, int]] = {}  # the features of a term -> its degree and place in there
    terms = [tuple(int(i) for i in np.repeat(np.arange(values.width), powers)) for powers in step.powers_]
    by_degree: list[list[tuple[int, ...]]] = [[], [(i,) for i in range(values.width)]]
    names |= {term: (1, place) for place, term in enumerate(by_degree[1])}
    outputs = ["", values.name]
    for degree in range(2, max((len(term) for term in terms), default=0) + 1):
        wanted = sorted({term[-degree:] for term in terms if len(term) >= degree})
        rest = graph.columns(outputs[-1], [names[term[1:]][1] for term in wanted], len(by_degree[-1]))
        first = graph.columns(values.name, [term[0] for term in wanted], values.width)
        outputs.append(graph.add("Mul", rest, first))
        by_degree.append(wanted)
        names |= {term: (degree, place) for place, term in enumerate(wanted)}
    everything = graph.concat(outputs[1:])
    starts = np.cumsum([0, *[len(found) for found in by_degree[1:]]])
    places = [int(starts[names[term][0] - 1]) + names[term][1] for term in terms if term]
    chosen = graph.columns(everything, places, int(starts[-1]))
    result = Values(chosen, len(places), values.is_exact, (None,) * len(places))
    if () not in terms:
        return result
    ones = graph.add(
        "Equal", graph.columns(values.name, [0], values.width), graph.columns(values.name, [0], values.width)
    )
    return _beside(graph, Values(_as_numbers(graph, ones), 1, True, (None,)), result)


def _select(graph: Graph, values: Values, step: Any) -> Values:
    return _some(graph, values, np.flatnonzero(step.get_support()))


def _rotate(graph: Graph, values: Values, step: PCA) -> Values:
    turned = graph.add("MatMul", values.name, graph.constant(step.components_.T))
    turned = graph.add("Sub", turned, graph.constant(_row(step.mean_) @ step.components_.T))
    if step.whiten:
        scale = np.sqrt(step.explained_variance_)
        smallest = np.finfo(scale.dtype).eps
        turned = graph.add("Div", turned, graph.constant(_row(np.maximum(scale, smallest))))
    return _summed(turned, len(step.components_))


def _project(graph: Graph, values: Values, step: TruncatedSVD) -> Values:
    projected = graph.add("MatMul", values.name, graph.constant(step.components_.T))
    return _summed(projected, len(step.components_))


def _shifted_and_divided(
    graph: Graph, values: Values, shift: NDArray[np.float64] | None, scale: NDArray[np.float64] | None
) -> Values:
    name = values.name
    if shift is not None:
        name = graph.add("Sub", name, graph.constant(_row(shift)))
    if scale is not None:
        name = graph.add("Div", name, graph.constant(_row(scale)))
    return values if name == values.name else values.changed(name)


def _clipped(graph: Graph, name: str, low: float, high: float) -> str:
    clipped = graph.add("Clip", name, graph.constant(np.array(float(low))), graph.constant(np.array(float(high))))
    # What is missing stays so, whatever a runtime makes of NaN between two limits.
    return graph.add("Where", graph.add("IsNaN", name), name, clipped)


def _equal(graph: Graph, values: Values, known: Sequence[NDArray[np.float64]]) -> Values:
    """A column for each of the known values of each column: 1 where it is that one."""
    positions = [position for position, own in enumerate(known) for _ in own]
    row = _row(np.concatenate(known))
    repeated = graph.columns(values.name, positions, values.width)
    same = graph.add("Equal", repeated, graph.constant(row))
    if np.isnan(row).any():
        missing = graph.add("And", graph.add("IsNaN", repeated), graph.constant(np.isnan(row)))
        same = graph.add("Or", same, missing)
    width = len(positions)
    return Values(_as_numbers(graph, same), width, is_exact=True, sources=(None,) * width)


def _some(graph: Graph, values: Values, positions: Sequence[int] | NDArray[np.intp]) -> Values:
    chosen = [int(position) for position in positions]
    name = graph.columns(values.name, chosen, values.width)
    return replace(values, name=name, width=len(chosen), sources=tuple(values.sources[p] for p in chosen))


def _beside(graph: Graph, left: Values, right: Values) -> Values:
    name = graph.concat([part.name for part in (left, right) if part.width])
    return Values(name, left.width + right.width, left.is_exact and right.is_exact, left.sources + right.sources)


def _summed(name: str, width: int) -> Values:
    return Values(name, width, is_exact=False, sources=(None,) * width)


def _as_numbers(graph: Graph, truths: str) -> str:
    return graph.add("Cast", truths, to=TensorProto.DOUBLE)


def _row(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(1, -1)


_STEPS: dict[type, Callable[[Graph, Values, Any], Values]] = {
    SimpleImputer: _impute,
    MissingIndicator: _indicate,
    StandardScaler: _standardize,
    RobustScaler: _scale_robustly,
    MaxAbsScaler: _scale_to_one,
    MinMaxScaler: _scale_to_range,
    Binarizer: _binarize,
    KBinsDiscretizer: _discretize,
    OneHotEncoder: _one_hot,
    OrdinalEncoder: _ordinal,
    PolynomialFeatures: _multiply,
    PCA: _rotate,
    TruncatedSVD: _project,
    **dict.fromkeys(
        (
            feature_selection.GenericUnivariateSelect, feature_selection.RFE, feature_selection.RFECV,
            feature_selection.SelectFdr, feature_selection.SelectFpr, feature_selection.SelectFromModel,
            feature_selection.SelectFwe, feature_selection.SelectKBest, feature_selection.SelectPercentile,
            feature_selection.SequentialFeatureSelector, feature_selection.VarianceThreshold,
        ),
        _select,
    ),
}  # fmt: skip

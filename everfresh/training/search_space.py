"""Which values of a candidate's parameters can be tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from everfresh.spec.training import CandidateSpec, Range, Value

Params: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class SearchSpace:
    """What can be tried: for each parameter its values, or a range where these are not listed."""

    parameters: Mapping[str, tuple[Value, ...] | Range]

    @property
    def size(self) -> int | None:
        """How many combinations there are; None where a range of fractions has no end of them."""
        counts = [_count(values) for values in self.parameters.values()]
        return None if None in counts else prod(count for count in counts if count is not None)

    def combinations(self) -> tuple[Params, ...]:
        """Every combination, the first values first; only where `size` is known."""
        listed = [_listed(values) for values in self.parameters.values()]
        return tuple(dict(zip(self.parameters, chosen, strict=True)) for chosen in product(*listed))

    def distributions(self) -> dict[str, BaseDistribution]:
        """The space in Optuna's words."""
        return {name: _distribution(values) for name, values in self.parameters.items()}


def search_space(candidate: CandidateSpec) -> SearchSpace:
    """The space of a candidate; a single value is a list of one. The order of its keys in the spec says nothing.

    >>> search_space(CandidateSpec(name="a", estimator="a.B", params={"C": (0.1, 1.0), "fit": True})).combinations()
    ({'C': 0.1, 'fit': True}, {'C': 1.0, 'fit': True})
    """
    return SearchSpace({name: _values(param) for name, param in sorted(candidate.params.items())})


def _values(param: Range | tuple[Value, ...] | Value) -> tuple[Value, ...] | Range:
    if isinstance(param, Range):
        return param
    if not isinstance(param, tuple):
        return (param,)
    # By type and value: 1, 1.0 and True are equal to Python and may be three settings of an estimator.
    return tuple({(type(value), value): value for value in param}.values())


def _is_whole(values: Range) -> bool:
    return isinstance(values.low, int) and isinstance(values.high, int)


def _count(values: tuple[Value, ...] | Range) -> int | None:
    if not isinstance(values, Range):
        return len(values)
    return int(values.high) - int(values.low) + 1 if _is_whole(values) else None


def _listed(values: tuple[Value, ...] | Range) -> tuple[Value, ...]:
    return tuple(range(int(values.low), int(values.high) + 1)) if isinstance(values, Range) else values


def _distribution(values: tuple[Value, ...] | Range) -> BaseDistribution:
    if not isinstance(values, Range):
        return CategoricalDistribution(values)
    if _is_whole(values):
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(float(values.low), float(values.high), log=values.log)

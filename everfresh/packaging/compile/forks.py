"""Rows that stand at the forks of trees: where a plan that is wrong by one representable number goes the other way.

Real rows seldom come near a threshold, and a row that has one odd value seldom reaches a deep fork. So a
way down is read from the tree itself: what a row must hold to reach the fork, and then the values on both sides of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from everfresh.packaging.codes import CategoryCodes
from everfresh.packaging.compile.exactness import Change
from everfresh.packaging.compile.trees import Tree

UNSEEN = "a category that training never saw"
MOST_FORKS = 3000
"""As many as a boosting of 100 iterations with 31 leaves has: each of them is tried."""


@dataclass(frozen=True)
class Source:
    """The column behind a feature of the trees: its value is the column's, or the code of its category."""

    name: str
    codes: CategoryCodes | None = None


@dataclass(frozen=True)
class _Range:
    """What a feature may be on the way to a fork: above `low`, `high` at most, and what else `tests` say of it."""

    low: float = -np.inf
    high: float = np.inf
    tests: tuple[Callable[[float], bool], ...] = ()

    def below(self, high: float) -> _Range:
        return replace(self, high=min(self.high, high))

    def above(self, low: float) -> _Range:
        return replace(self, low=max(self.low, low))

    def among(self, members: NDArray[np.float64], *, inside: bool) -> _Range:
        return replace(self, tests=(*self.tests, lambda value: (value in members) == inside))

    def holds(self, value: float) -> bool:
        return self.low < value <= self.high and all(test(value) for test in self.tests)


def fork_rows(trees: Sequence[Tree], sources: Sequence[Source | None], *, in_float32: bool) -> list[Change]:
    """What to change in a row so that it comes to stand at a fork, for at most `MOST_FORKS` forks of all trees.

    Args:
        trees: the trees.
        sources: the column behind each feature; None where there is no single one, as for scaled numbers.
        in_float32: whether the trees round features to float32 before they compare.
    """
    return [
        change
        for tree, forks in zip(trees, _chosen(trees), strict=True)
        for fork, way in _ways(tree, forks)
        for change in _at_fork(tree, fork, way, sources, in_float32)
    ]


def _chosen(trees: Sequence[Tree]) -> list[NDArray[np.intp]]:
    """Some forks of each tree, spread evenly over all of them."""
    forks = [np.flatnonzero(~tree.is_leaf) for tree in trees]
    ends = np.cumsum([len(own) for own in forks])
    total = int(ends[-1])
    chosen = np.linspace(0, total - 1, min(total, MOST_FORKS)).round().astype(np.intp)
    parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    return [own[part - (end - len(own))] for own, part, end in zip(forks, parts, ends, strict=True)]


def _ways(tree: Tree, forks: NDArray[np.intp]) -> Iterator[tuple[int, dict[int, _Range]]]:
    above = np.zeros(len(tree.feature), dtype=np.intp)
    all_forks = np.flatnonzero(~tree.is_leaf)
    above[tree.left[all_forks]] = all_forks
    above[tree.right[all_forks]] = all_forks
    for fork in forks.tolist():
        yield fork, _way(tree, fork, above)


def _way(tree: Tree, fork: int, above: NDArray[np.intp]) -> dict[int, _Range]:
    way: dict[int, _Range] = {}
    node = fork
    while node != 0:
        parent = int(above[node])
        feature = int(tree.feature[parent])
        sides = _sides(tree, parent, way.get(feature, _Range()))
        way[feature] = sides[0] if tree.left[parent] == node else sides[1]
        node = parent
    return way


def _sides(tree: Tree, fork: int, allowed: _Range) -> tuple[_Range, _Range]:
    """What the fork lets go left, and what right."""
    members = tree.members.get(fork)
    if members is not None:
        return allowed.among(members, inside=True), allowed.among(members, inside=False)
    threshold = float(tree.threshold[fork])
    return allowed.below(threshold), allowed.above(threshold)


def _at_fork(
    tree: Tree, fork: int, way: Mapping[int, _Range], sources: Sequence[Source | None], in_float32: bool
) -> Iterator[Change]:
    feature, threshold = int(tree.feature[fork]), float(tree.threshold[fork])
    source = sources[feature]
    if source is None:
        return
    there: dict[str, float | str] = {}
    for other, allowed in way.items():
        passed = sources[other]
        ends = _ends(passed, allowed, in_float32) if passed is not None else None
        if passed is not None and ends is not None:
            there[passed.name] = ends[1]
    on_left, on_right = _sides(tree, fork, way.get(feature, _Range()))
    left, right = _ends(source, on_left, in_float32), _ends(source, on_right, in_float32)
    values = [left[1] if left else np.nan, right[0] if right else np.nan, np.nan]
    if source.codes is None and in_float32 and np.isfinite(threshold):
        values.append(threshold)  # seldom a float32 itself: it takes the side to which it is rounded
    yield from ({**there, source.name: value} for value in values)


def _ends(source: Source, allowed: _Range, in_float32: bool) -> tuple[float | str, float | str] | None:
    """The lowest and the highest value in a range; a missing one where no number is; None where no category is."""
    if source.codes is not None:
        return _category_ends(source.codes, allowed)
    low, high = _next_above(allowed.low, in_float32), _not_above(allowed.high, in_float32)
    if low > high or low == np.inf:
        return np.nan, np.nan
    if np.isinf(low) and np.isinf(high):
        return 0.0, 0.0  # any number will do, as it is not a missing one
    return (high if np.isinf(low) else low), (low if np.isinf(high) else high)


def _category_ends(codes: CategoryCodes, allowed: _Range) -> tuple[float | str, float | str] | None:
    by_code: dict[float, float | str] = {codes.unseen: UNSEEN, codes.missing: np.nan}
    by_code |= {code: category for category, code in codes.known.items()}
    within = [code for code in by_code if allowed.holds(code)]
    return (by_code[min(within)], by_code[max(within)]) if within else None


def _not_above(value: float, in_float32: bool) -> float:
    """The largest number up to `value`."""
    if np.isinf(value) or not in_float32:
        return value
    near = np.float32(value)
    return float(near if float(near) <= value else np.nextafter(near, np.float32(-np.inf)))


def _next_above(value: float, in_float32: bool) -> float:
    """The smallest number above `value`."""
    if np.isinf(value):
        return value
    if not in_float32:
        return float(np.nextafter(value, np.inf))
    near = np.float32(value)
    return float(near if float(near) > value else np.nextafter(near, np.float32(np.inf)))

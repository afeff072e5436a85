"""From a candidate's words to an estimator, and what is wrong with the words before anything is fitted."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from everfresh.data.imports import import_object
from everfresh.errors import ImportFailed, ImportRefused
from everfresh.spec.faults import Fault
from everfresh.spec.metrics import Task
from everfresh.spec.training import CandidateSpec, Param, Range, Value


@dataclass(frozen=True)
class ImportRules:
    """Which estimators may be imported.

    Attributes:
        directory: the spec's folder, whose modules are allowed; None for no folder.
        allowed: prefixes of import paths, each ending at a dot, as in `sklearn.`.
    """

    directory: Path | None = None
    allowed: tuple[str, ...] = ("sklearn.",)


def make_estimator(
    candidate: CandidateSpec, params: Mapping[str, Value], *, seed: int, rules: ImportRules
) -> BaseEstimator:
    """An unfitted estimator with `params`, and with `seed` wherever it or a part of it has no random state of its own.

    Raises:
        ImportRefused: its import path is not on the allow-list.
        ImportFailed: its import path leads nowhere.
    """
    estimator = _import(candidate, rules)(**params)
    unset = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if value is None and name.rpartition("__")[2] == "random_state" and name not in params
    }
    return estimator.set_params(**unset)


def check_candidates(candidates: Sequence[CandidateSpec], task: Task, rules: ImportRules) -> tuple[Fault, ...]:
    """Every reason why a candidate cannot be fitted that can be known without fitting it."""
    found = (
        fault
        for position, candidate in enumerate(candidates)
        for fault in _faults(f"training.candidates[{position}]", candidate, task, rules)
    )
    return tuple(dict.fromkeys(found))


def _import(candidate: CandidateSpec, rules: ImportRules) -> Callable[..., Any]:
    """The class of an estimator, or a function that returns one."""
    found = import_object(candidate.estimator, directory=rules.directory, allowed=rules.allowed)
    if not callable(found):
        raise ImportFailed(candidate.estimator, "it is neither a class nor a function that returns an estimator")
    return found  # type: ignore[no-any-return]


def _faults(path: str, candidate: CandidateSpec, task: Task, rules: ImportRules) -> Iterator[Fault]:
    try:
        factory = _import(candidate, rules)
    except (ImportRefused, ImportFailed) as error:
        yield Fault(f"{path}.estimator", repr(candidate.estimator), str(error))
        return
    unusable = list(_parameter_faults(path, candidate, factory))
    if unusable:
        yield from unusable
        return
    for params in _samples(candidate.params):
        fault = _fault_of(path, candidate, factory, params, task)
        if fault is not None:
            yield fault


def _parameter_faults(path: str, candidate: CandidateSpec, factory: Callable[..., Any]) -> Iterator[Fault]:
    try:
        accepted = inspect.signature(factory).parameters.values()
    except ValueError:  # compiled code need not tell; whether it takes them shows when it is called
        return
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
        known = [parameter.name for parameter in accepted]
        for name in candidate.params:
            if name not in known:
                yield Fault(f"{path}.params.{name}", repr(name), _known_parameters(factory, name, known))
    for name, param in candidate.params.items():
        if param == ():
            yield Fault(f"{path}.params.{name}", "an empty list", "a list of values to try has at least one")
    if "categorical_features" in candidate.params and factory in (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    ):
        allowed = "leave it out: categories already reach it as numbers, and are no categories to it any more"
        yield Fault(f"{path}.params.categorical_features", "categorical_features", allowed)


def _known_parameters(factory: Callable[..., Any], name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}{_name(factory)} has {', '.join(known) or 'no parameters'}"


def _samples(params: Mapping[str, Param]) -> Iterator[dict[str, Value]]:
    """Parameters such that each value, and each end of a range, occurs once beside the first values of the others."""
    values = {name: _to_try(param) for name, param in params.items()}
    first = {name: options[0] for name, options in values.items()}
    yield first
    for name, options in values.items():
        for option in options[1:]:
            yield {**first, name: option}


def _to_try(param: Param) -> tuple[Value, ...]:
    if isinstance(param, Range):
        return (param.low, param.high)
    return param if isinstance(param, tuple) else (param,)


def _fault_of(
    path: str, candidate: CandidateSpec, factory: Callable[..., Any], params: dict[str, Value], task: Task
) -> Fault | None:
    """What is wrong with the estimator that `params` make, if anything is."""
    where, name = f"{path}.estimator", _name(factory)
    try:
        estimator = factory(**params)
    except Exception as error:  # a function of the project may raise anything
        allowed = f"{name} could not be made: {error}; write a function that returns it, as `module:function`"
        return Fault(where, repr(candidate.estimator), allowed)
    if not (isinstance(estimator, BaseEstimator) and hasattr(estimator, "fit")):
        return Fault(where, repr(candidate.estimator), "an estimator of scikit-learn, with fit and get_params")
    fits = is_classifier(estimator) if task == "classification" else is_regressor(estimator)
    if not fits:
        wanted = "classifier" if task == "classification" else "regressor"
        return Fault(where, repr(candidate.estimator), f"for {task} it is a {wanted}; {name} is not")
    if task == "classification" and not hasattr(estimator, "predict_proba"):
        allowed = (
            f"{name} gives no probabilities{_with(params)}: wrap it in sklearn.calibration.CalibratedClassifierCV, in "
            "a function of your own named as `module:function`"
        )
        return Fault(where, repr(candidate.estimator), allowed)
    return _value_fault(path, params, estimator)


def _value_fault(path: str, params: dict[str, Value], estimator: BaseEstimator) -> Fault | None:
    if not hasattr(estimator, "_parameter_constraints"):
        return None  # not one of scikit-learn's own
    try:
        # What scikit-learn calls first in every fit; there is no public way to ask it earlier.
        estimator._validate_params()
    except ValueError as error:
        message = str(error)
        name = next((name for name in params if f"'{name}'" in message), None)
        if name is None:
            return Fault(f"{path}.params", repr(params), message)
        return Fault(f"{path}.params.{name}", repr(params[name]), message)
    return None


def _name(factory: Callable[..., Any]) -> str:
    return getattr(factory, "__name__", repr(factory))


def _with(params: dict[str, Value]) -> str:
    return f" with {', '.join(f'{name} {value}' for name, value in params.items())}" if params else ""

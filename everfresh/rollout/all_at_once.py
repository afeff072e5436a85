"""One step for each target: deploy, read back, and undo everywhere if one of them fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from everfresh.errors import EverfreshError, ReadBackFailed
from everfresh.packaging.golden import Golden
from everfresh.targets.protocol import Target

logger = logging.getLogger(__name__)

_TOLERANCE = 1e-6

Fetch = Callable[[int], Path]


def roll_out(targets: Sequence[Target], model: str, version: int, fetch: Fetch, golden: Golden) -> None:
    """Let `version` serve on every target; when this returns, each has been asked and answered as it must.

    Args:
        targets: where to; they are changed in this order.
        model: the project's name.
        version: what must serve.
        fetch: gives the bundle of any version; former versions are fetched when they must be restored.
        golden: rows and the answers of the fitted model.

    Raises:
        EverfreshError: one target failed; all of them serve again what they served before.
    """
    changed: list[tuple[Target, int | None]] = []
    try:
        for target in targets:
            before = target.current(model)
            if before != version:
                changed.append((target, before))
                target.deploy(model, version, fetch(version))
                logger.info("%s v%s serves on %s", model, version, target.name)
            _read_back(target, model, version, golden)
    except BaseException:
        _undo(changed, model, fetch)
        raise


def _read_back(target: Target, model: str, version: int, golden: Golden) -> None:
    prediction = target.predict(model, golden.columns)
    if prediction.version != version:
        raise ReadBackFailed(model, version, target.name, f"v{prediction.version} answered")
    difference = float(np.max(np.abs(prediction.answer - golden.answer), initial=0.0))
    if not difference <= _TOLERANCE:
        raise ReadBackFailed(model, version, target.name, f"its answers differ by {difference:.2g} from the fitted model's")


def _undo(changed: Sequence[tuple[Target, int | None]], model: str, fetch: Fetch) -> None:
    """Best effort for each target: one that cannot be restored must not keep the others from it."""
    for target, before in reversed(changed):
        try:
            if before is None:
                target.remove(model)
            elif target.current(model) != before:
                target.deploy(model, before, fetch(before))
        except EverfreshError as error:
            logger.error("%s could not be restored on %s: %s", model, target.name, error)

"""One step for each target: deploy, read back, and undo everywhere if one of them fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from everfresh.errors import ReadBackFailed
from everfresh.packaging.golden import GoldenRows
from everfresh.targets.protocol import Target

logger = logging.getLogger(__name__)

_TOLERANCE = 1e-6

Fetch = Callable[[int], Path]


def roll_out(targets: Sequence[Target], model: str, version: int, fetch: Fetch, golden: GoldenRows) -> None:
    """Let `version` serve on every target; when this returns, each has been asked and answered as it must.

    Args:
        targets: where to; they are changed in this order.
        model: the project's name.
        version: what must serve.
        fetch: gives the bundle of any version; former versions are fetched when they must be restored.
        golden: rows and the answers of the fitted model.

    Raises:
        EverfreshError: one target failed; all of them serve again what they served before, as far as they can.
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
        for target, before in reversed(changed):
            _restore(target, model, version, before, fetch)
        raise


def _read_back(target: Target, model: str, version: int, golden: GoldenRows) -> None:
    prediction = target.predict(model, golden.columns)
    if prediction.version != version:
        raise ReadBackFailed(model, version, target.name, f"v{prediction.version} answered")
    difference = golden.difference(prediction.answer)
    if difference > _TOLERANCE:
        raise ReadBackFailed(
            model, version, target.name, f"its answers differ by {difference:.2g} from the fitted model's"
        )


def _restore(target: Target, model: str, version: int, before: int | None, fetch: Fetch) -> None:
    """Let the target serve what it served before. Where it cannot, the others must be restored all the same.

    A deployment that fails restores its own target; this is for those where it went well.
    """
    try:
        serving = target.current(model)
        if before is None and serving == version:
            target.remove(model)
        elif before is not None and serving != before:
            target.deploy(model, before, fetch(before))
    except Exception as error:
        logger.error("%s could not be restored on %s: %s", model, target.name, error)

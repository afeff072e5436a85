"""Labels that come back by id, some time after their rows were answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from everfresh.data.inference_log import write_labels
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.questions.decoding import LONGEST_TEXT, is_id
from everfresh.serving.refusals import BadRows, BadValue, EmptyBatch, StorageFailed, TooManyRows
from everfresh.serving.versions.models import LoadedModel

MOST_LABELS = 100_000


class LabelStore:
    """Writes labels where monitoring reads them; unlike the inference log, it says so when it cannot."""

    def __init__(self, root: Path, metrics: Metrics) -> None:
        self._root = root
        self._metrics = metrics

    def accept(self, model: LoadedModel, pairs: Sequence[Any]) -> int:
        """Keep `{"id", "label"}` pairs; how many there were. Whether an id is known is found when they are joined.

        Raises:
            BadRows: a pair is not one, or its label is none that the model could have been given.
            StorageFailed: they could not be written; send them again.
        """
        if not pairs:
            raise EmptyBatch
        if len(pairs) > MOST_LABELS:
            raise TooManyRows(len(pairs), MOST_LABELS)
        checked = [_checked(model, row, pair) for row, pair in enumerate(pairs)]
        try:
            write_labels(self._root, model.name, [i for i, _ in checked], [v for _, v in checked], datetime.now(UTC))
        except OSError as error:
            raise StorageFailed("labels") from error
        self._metrics.labelled(model.name, len(pairs))
        return len(pairs)


def _checked(model: LoadedModel, row: int, pair: Any) -> tuple[str, str | float]:
    if not isinstance(pair, dict) or pair.keys() != {"id", "label"}:
        raise BadRows(f'Label {row} is not an object of "id" and "label".', field="labels")
    row_id, label = pair["id"], pair["label"]
    if not is_id(row_id):
        raise BadValue("id", row, row_id, "an id: text or an integer")
    if model.manifest.task == "regression":
        if isinstance(label, bool) or not isinstance(label, int | float):
            raise BadValue("label", row, label, "a number")
    elif not isinstance(label, str | int | float) or len(str(label)) > LONGEST_TEXT:
        raise BadValue("label", row, label, "a class")
    return str(row_id), label

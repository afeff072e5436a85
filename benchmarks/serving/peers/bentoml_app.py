"""BentoML: rows of all waiting requests are put together by its adaptive batching."""

from typing import Any

import bentoml
import pandas as pd
from served_model import COLUMNS, load_pipeline


@bentoml.service(workers=2, traffic={"timeout": 60, "max_concurrency": 512})
class Classifier:
    """The model."""

    def __init__(self) -> None:
        self.pipeline = load_pipeline()

    @bentoml.api(batchable=True, max_batch_size=4_000, max_latency_ms=10_000)
    def predict(self, rows: list[Any]) -> list[Any]:
        """The probabilities of each row."""
        answer: list[Any] = self.pipeline.predict_proba(pd.DataFrame(rows, columns=COLUMNS)).tolist()
        return answer

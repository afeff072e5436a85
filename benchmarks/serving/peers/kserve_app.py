"""KServe's Python server, asked by the Open Inference Protocol."""

import sys
from typing import Any

import kserve
from served_model import COLUMNS, load_pipeline


class Classifier(kserve.Model):
    """The model."""

    def __init__(self) -> None:
        super().__init__("benchmark")
        self.load()

    def load(self) -> bool:
        """Load it."""
        self.pipeline = load_pipeline()
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """The answer to one request."""
        answer = self.pipeline.predict_proba(payload.as_dataframe()[COLUMNS])
        output = kserve.InferOutput("probabilities", list(answer.shape), "FP64", answer.reshape(-1).tolist())
        return kserve.InferResponse(payload.id or "", self.name, [output])


if __name__ == "__main__":
    kserve.ModelServer(http_port=int(sys.argv[1]), workers=2, enable_grpc=False, enable_latency_logging=False).start(
        [Classifier()]
    )

"""LitServe: requests that wait are put together."""

import sys
from typing import Any

import litserve
from served_model import apart, load_pipeline, probabilities, together


class Classifier(litserve.LitAPI):
    """The model."""

    def setup(self, device: str) -> None:
        """Load it."""
        self.pipeline = load_pipeline()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The columns as they are."""
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep the tables as they are; `predict` puts them together and takes the answers apart."""
        return inputs

    def predict(self, inputs: list[dict[str, Any]]) -> list[list[list[float]]]:
        """The answers of each table."""
        return apart(probabilities(self.pipeline, together(inputs)), inputs)

    def unbatch(self, output: list[list[list[float]]]) -> list[list[list[float]]]:
        """Already apart."""
        return output

    def encode_response(self, output: list[list[float]]) -> dict[str, Any]:
        """The answer."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(max_batch_size=64, batch_timeout=0.005),
        accelerator="cpu",
        workers_per_device=2,
        timeout=60,
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=2,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )

"""Ray Serve: requests that wait are put together."""

import signal
import sys
from typing import Any

import ray
from ray import serve
from served_model import apart, load_pipeline, probabilities, together
from starlette.requests import Request


@serve.deployment(num_replicas=2, max_ongoing_requests=128, ray_actor_options={"num_cpus": 1})
class Classifier:
    """The model."""

    def __init__(self) -> None:
        self.pipeline = load_pipeline()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    async def predict(self, tables: list[dict[str, Any]]) -> list[list[list[float]]]:
        """The answers of each table."""
        return apart(probabilities(self.pipeline, together(tables)), tables)

    async def __call__(self, request: Request) -> dict[str, Any]:
        """One request."""
        return {"predictions": await self.predict(await request.json())}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 2**20)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Classifier.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()

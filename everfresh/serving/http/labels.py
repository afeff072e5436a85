"""Labels over HTTP: `{"labels": [{"id": ..., "label": ...}, ...]}`."""

from __future__ import annotations

from collections.abc import Mapping

from everfresh.serving.http.messages import Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.recording.labels import LabelStore
from everfresh.serving.refusals import Malformed
from everfresh.serving.versions.models import LoadedModel, ModelTable


def routes(models: ModelTable, store: LabelStore) -> list[Route]:
    """The path that takes labels."""

    def accept(request: Request, names: Mapping[str, str]) -> Response:
        return accept_labels(store, models.find(names["name"]), request)

    return [Route("POST", "/v2/models/{name}/labels", "predict", accept, blocks=True)]


def accept_labels(store: LabelStore, model: LoadedModel, request: Request) -> Response:
    """Keep the labels of a request and say how many they were."""
    pairs = request.json().get("labels")
    if not isinstance(pairs, list):
        raise Malformed('The request has no list "labels".', field="labels")
    return json_response({"accepted": store.accept(model, pairs)})

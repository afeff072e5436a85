"""Labels over HTTP: `{"labels": [{"id": ..., "label": ...}, ...]}`."""

from __future__ import annotations

from everfresh.serving.http.messages import Request, Response, json_response
from everfresh.serving.labels import LabelStore
from everfresh.serving.models import LoadedModel
from everfresh.serving.refusals import Malformed


def accept_labels(store: LabelStore, model: LoadedModel, request: Request) -> Response:
    """Keep the labels of a request and say how many they were."""
    pairs = request.json().get("labels")
    if not isinstance(pairs, list):
        raise Malformed('The request has no list "labels".', field="labels")
    return json_response({"accepted": store.accept(model, pairs)})

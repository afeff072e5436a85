"""A refusal in the words of the protocol whose path it is about."""

from __future__ import annotations

from everfresh.serving.http import azureml, tfserving
from everfresh.serving.http.messages import Response, refusal_response
from everfresh.serving.refusals import MethodNotAllowed, NotFound, Refusal


def refused(refusal: Refusal, method: str, path: str, request_id: str) -> Response:
    """The answer to a request that is refused."""
    if path.startswith(tfserving.PREFIX):
        if isinstance(refusal, NotFound | MethodNotAllowed):
            refusal = tfserving.MalformedPath(method, path)
        return tfserving.refuse(refusal, request_id)
    if path in azureml.PATHS:
        return azureml.refuse(refusal, request_id)
    return refusal_response(refusal, request_id)

"""The description of the HTTP API: OpenAPI 3.1 at `/openapi.json`, Azure's Swagger 2 at `/swagger.json`, `/docs`.

It is made of the routes and of the models that are served at the moment, whose columns are the examples and schemas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import everfresh
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http import arrow_ipc, body_shapes
from everfresh.serving.http.csv_tables import CSV
from everfresh.serving.http.docs_page import HTML, SAFE_HEADERS, docs_page
from everfresh.serving.http.messages import JSON, Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.http.v2_binary import OCTETS
from everfresh.serving.versions.models import ModelTable

DOCUMENT, SWAGGER, DOCS = "/openapi.json", "/swagger.json", "/docs"
MOST_DESCRIBED_MODELS = 20

_PART = re.compile(r"\{(\w+)\}")
_PART_PATTERN = "^[A-Za-z0-9_.-]{1,64}$"


@dataclass(frozen=True)
class Body:
    """What a path takes: a schema, an example for each model, and other kinds of bodies."""

    schema: body_shapes.Schema
    example: Callable[[Manifest], Mapping[str, Any]]
    others: tuple[str, ...] = ()
    task: str | None = None


@dataclass(frozen=True)
class Operation:
    """What a path does, in words; what it answers with, unless it is JSON."""

    summary: str
    body: Body | None = None
    answers: tuple[str, ...] = (JSON,)


_INFER = Body(body_shapes.INFERENCE, body_shapes.example_of_inference, (OCTETS, arrow_ipc.STREAM, arrow_ipc.FILE))
_INVOKE = Body(body_shapes.INVOCATION, body_shapes.example_of_invocation, (CSV, arrow_ipc.STREAM, arrow_ipc.FILE))
_SCORE = Body(body_shapes.SCORING, body_shapes.example_of_scoring, (arrow_ipc.STREAM, arrow_ipc.FILE))
_PREDICT = Body(body_shapes.PREDICTION, body_shapes.example_of_prediction)
_CLASSIFY = Body(body_shapes.EXAMPLES, body_shapes.example_of_examples, task="classification")
_REGRESS = Body(body_shapes.EXAMPLES, body_shapes.example_of_examples, task="regression")
_LABELS = Body(body_shapes.LABELS, body_shapes.example_of_labels)

# By the last words of a pattern, the longest that fits first: the same words mean the same under a version or a label.
_OPERATIONS: Mapping[str, Mapping[tuple[str, str], Operation]] = {
    "Open Inference Protocol V2": {
        ("GET", "/v2"): Operation("What this server is."),
        ("GET", "/v2/health/live"): Operation("Whether the process answers."),
        ("GET", "/v2/health/ready"): Operation("Whether every model that is asked for is served."),
        ("GET", "/v2/models"): Operation("The models and the version of each."),
        ("GET", "/v2/models/{name}"): Operation("What a model reads and answers."),
        ("GET", "/v2/models/{name}/ready"): Operation("Whether a model is served."),
        ("POST", "/v2/models/{name}/infer"): Operation(
            "The answer to rows, as tensors.", _INFER, (JSON, OCTETS, arrow_ipc.STREAM)
        ),
        ("POST", "/v2/models/{name}/labels"): Operation("Keep what came true of rows that were answered.", _LABELS),
    },
    "MLflow and SageMaker": {
        ("POST", "/invocations"): Operation(
            "The prediction for each row; the header X-Model names the model, where there are several.",
            _INVOKE,
            (JSON, CSV, arrow_ipc.STREAM),
        ),
        ("GET", "/ping"): Operation("Whether the server is ready; the body is empty."),
    },
    "Azure ML": {
        ("POST", "/score"): Operation(
            "The prediction for each row; the header X-Model names the model, where there are several.", _SCORE
        ),
        ("GET", "/"): Operation("Whether the server is ready.", answers=("text/plain",)),
        ("GET", SWAGGER): Operation("The scoring path as Swagger 2."),
    },
    "TensorFlow Serving": {
        ("GET", "/v1/models/{name}"): Operation("The versions of a model."),
        ("GET", "/v1/models/{name}/metadata"): Operation("What a model reads and answers."),
        ("POST", "/v1/models/{name}:predict"): Operation("The outputs for rows, or for columns.", _PREDICT),
        ("POST", "/v1/models/{name}:classify"): Operation("Classes and probabilities for examples.", _CLASSIFY),
        ("POST", "/v1/models/{name}:regress"): Operation("Values for examples.", _REGRESS),
    },
    "Operations": {
        ("GET", "/health/live"): Operation("Whether the process answers."),
        ("GET", "/health/ready"): Operation("Whether every model that is asked for is served."),
        ("GET", "/metrics"): Operation("Counts and times for Prometheus.", answers=("text/plain",)),
        ("GET", DOCUMENT): Operation("This description."),
        ("GET", DOCS): Operation("This description as a page.", answers=(HTML,)),
    },
}
_OTHERS = "Other paths"
_VERSIONED = re.compile(r"/(versions|labels)/\{version\}")


def routes(models: ModelTable, others: Sequence[Route]) -> list[Route]:
    """The paths that describe the others, and themselves."""

    def openapi(request: Request, names: Mapping[str, str]) -> Response:
        return json_response(document(models, every))

    def swagger_2(request: Request, names: Mapping[str, str]) -> Response:
        return json_response(swagger(models))

    def docs(request: Request, names: Mapping[str, str]) -> Response:
        return Response(200, docs_page(document(models, every)), f"{HTML}; charset=utf-8", SAFE_HEADERS)

    own = [
        Route("GET", DOCUMENT, "describe", openapi, blocks=True),
        Route("GET", SWAGGER, "describe", swagger_2, blocks=True),
        Route("GET", DOCS, "describe", docs, blocks=True),
    ]
    every = [*others, *own]
    return own


def document(models: ModelTable, described: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of these routes and of the models that are served now."""
    manifests = _manifests(models)
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.pattern, {})[route.method.lower()] = _operation(route, manifests)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "everfresh",
            "version": everfresh.__version__,
            "description": "Models by several protocols. Errors are objects with a sentence in `error`.",
        },
        "paths": paths,
        "tags": [{"name": tag} for tag in (*_OPERATIONS, _OTHERS)],
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {
                        "error": {"type": "string"},
                        "code": {"type": "string"},
                        "field": {"type": "string"},
                        "request_id": {"type": "string"},
                    },
                    "required": ["error"],
                },
                **{f"row.{name}": body_shapes.row_schema(manifest) for name, manifest in manifests.items()},
            },
            "responses": {
                "Refused": {
                    "description": "What is wrong, in one sentence.",
                    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def swagger(models: ModelTable) -> dict[str, Any]:
    """Azure's description of the scoring path; typed where the server has one model."""
    manifests = _manifests(models)
    rows: body_shapes.Schema = {"type": "object"}
    if len(manifests) == 1:
        (manifest,) = manifests.values()
        # Swagger 2 knows one type for a value, and no null.
        properties = {
            name: {"type": schema["type"][0]} for name, schema in body_shapes.row_schema(manifest)["properties"].items()
        }
        rows = {"type": "object", "properties": properties, "example": body_shapes.example_row(manifest)}
    failed = {"description": "What is wrong, in one sentence.", "schema": {"$ref": "#/definitions/ErrorResponse"}}
    scored = {"description": "The prediction for each row.", "schema": {"$ref": "#/definitions/ServiceOutput"}}
    healthy = {"description": "The server is ready.", "schema": {"type": "string"}}
    return {
        "swagger": "2.0",
        "info": {"title": "everfresh", "version": everfresh.__version__},
        "consumes": [JSON],
        "produces": [JSON],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "paths": {
            "/": {"get": {"operationId": "ServiceHealthCheck", "responses": {"200": healthy, "default": failed}}},
            "/score": {
                "post": {
                    "operationId": "RunMLService",
                    "security": [{"Bearer": []}],
                    "parameters": [
                        {
                            "name": "serviceInputPayload",
                            "in": "body",
                            "required": True,
                            "schema": {"$ref": "#/definitions/ServiceInput"},
                        }
                    ],
                    "responses": {"200": scored, "default": failed},
                }
            },
        },
        "definitions": {
            "ServiceInput": {"type": "object", "properties": {"data": {"type": "array", "items": rows}}},
            "ServiceOutput": {"type": "array", "items": {}},
            "ErrorResponse": {"type": "object", "properties": {"message": {"type": "string"}}},
        },
    }


def _manifests(models: ModelTable) -> dict[str, Manifest]:
    served = sorted(models.current.items())[:MOST_DESCRIBED_MODELS]
    return {name: model.default.manifest for name, model in served}


def _operation(route: Route, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    tag, operation = _described(route)
    answers: dict[str, Any] = {"content": {kind: {} for kind in operation.answers}}
    told: dict[str, Any] = {
        "tags": [tag],
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.pattern}").strip("_"),
        "responses": {
            "200": {"description": "The answer.", **(answers if route.pattern != "/ping" else {})},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
    if parameters := [_parameter(name, manifests) for name in _PART.findall(route.pattern)]:
        told["parameters"] = parameters
    if "{" not in route.pattern and operation.body is not None:
        told["parameters"] = [_model_header(manifests)]
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": _content(operation.body, manifests)}
    if route.needs not in ("nothing", frozenset()):
        told["security"] = [{"key": []}, {}]  # a server on this machine alone may ask nobody
    return told


def _described(route: Route) -> tuple[str, Operation]:
    """What is known of a route; a path that names a version does what it does without one."""
    pattern = _VERSIONED.sub("", route.pattern)
    for tag, operations in _OPERATIONS.items():
        if (found := operations.get((route.method, pattern))) is not None:
            return tag, found
    return _OTHERS, Operation(f"{route.method} {route.pattern}")


def _parameter(name: str, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": _PART_PATTERN},
    }
    if name == "name" and manifests:
        told["examples"] = {model: {"value": model} for model in manifests}
    if name == "version":
        told["description"] = "The number of a version, or an alias of one."
        if manifests:
            told["examples"] = {model: {"value": str(manifest.version)} for model, manifest in manifests.items()}
    return told


def _model_header(manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    examples = {model: {"value": model} for model in manifests}
    return {
        "name": "X-Model",
        "in": "header",
        "required": False,
        "description": "The model, where the server has several.",
        "schema": {"type": "string", "pattern": _PART_PATTERN},
        **({"examples": examples} if examples else {}),
    }


def _content(body: Body, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    examples = {
        name: {"value": body.example(manifest)}
        for name, manifest in manifests.items()
        if body.task in (None, manifest.task)
    }
    told: dict[str, Any] = {"schema": body.schema, **({"examples": examples} if examples else {})}
    return {JSON: told, **{kind: {} for kind in body.others}}

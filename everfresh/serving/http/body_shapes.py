"""What the bodies of each protocol look like: schemas, and an example for each model that is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from everfresh.data.columns import Column
from everfresh.packaging.manifest import Manifest
from everfresh.serving import signature
from everfresh.serving.questions.decoding import LARGEST_INTEGER, LONGEST_TEXT

Schema = Mapping[str, Any]


def _one_of(form: str, shape: Schema, **beside: Schema) -> Schema:
    """An object with one way to hold rows, and what may stand beside it."""
    properties = {form: shape, **beside}
    return {"type": "object", "properties": properties, "required": [form], "additionalProperties": False}


SCALAR: Schema = {"type": ["number", "string", "boolean", "null"]}
ROWS: Schema = {"type": "array", "minItems": 1, "items": {"type": "array", "items": SCALAR}}
RECORDS: Schema = {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": SCALAR}}
COLUMNS: Schema = {"type": "object", "additionalProperties": {"type": "array", "items": SCALAR}}
SPLIT: Schema = {
    "type": "object",
    "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "data": ROWS, "index": {"type": "array"}},
    "required": ["data"],
    "additionalProperties": False,
}
PROBABILITIES: Schema = {
    "type": ["object", "null"],
    "properties": {"probabilities": {"type": "boolean"}},
    "additionalProperties": False,
}
TENSOR: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
    "required": ["name", "data"],
}

INFERENCE: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "maxLength": 128},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "minItems": 1, "items": TENSOR},
        "outputs": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        },
    },
    "required": ["inputs"],
}
INVOCATION: Schema = {
    "oneOf": [
        _one_of("dataframe_split", SPLIT, params=PROBABILITIES),
        _one_of("dataframe_records", RECORDS, params=PROBABILITIES),
        _one_of("instances", {"anyOf": [RECORDS, ROWS]}, params=PROBABILITIES),
        _one_of("inputs", {"anyOf": [COLUMNS, RECORDS, ROWS]}, params=PROBABILITIES),
    ]
}
SCORING: Schema = {
    "oneOf": [
        _one_of("input_data", {"anyOf": [SPLIT, COLUMNS, RECORDS, ROWS]}, params=PROBABILITIES),
        _one_of("data", {"anyOf": [SPLIT, COLUMNS, RECORDS, ROWS]}, params=PROBABILITIES),
        _one_of("Inputs", {"type": "object", "minProperties": 1, "maxProperties": 1}, GlobalParameters={}),
    ]
}
PREDICTION: Schema = {
    "oneOf": [
        _one_of("instances", {"type": "array", "minItems": 1}, signature_name={"const": "serving_default"}),
        _one_of("inputs", {"type": ["object", "array"]}, signature_name={"const": "serving_default"}),
    ]
}
EXAMPLES: Schema = {
    "type": "object",
    "properties": {
        "examples": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        "context": {"type": "object"},
        "signature_name": {"type": "string"},
    },
    "required": ["examples"],
    "additionalProperties": False,
}
LABELS: Schema = {
    "type": "object",
    "properties": {
        "labels": {
            "type": "array",
            "items": {"type": "object", "properties": {"id": {}, "label": {}}, "required": ["id", "label"]},
        }
    },
    "required": ["labels"],
}

_VALUES: Mapping[str, Any] = {
    "float": 0.5,
    "integer": 1,
    "boolean": True,
    "category": "text",
    "datetime": "2013-01-01T05:15:00Z",
}
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "float": {"type": ["number"]},
    "integer": {"type": ["integer"], "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
    "boolean": {"type": ["boolean"]},
    "category": {"type": ["string", "number", "boolean"], "maxLength": LONGEST_TEXT},
    "datetime": {"type": ["string", "number"], "description": "ISO 8601, or seconds since 1970"},
}


def row_schema(manifest: Manifest) -> Schema:
    """The schema of one row as a record."""
    return {
        "type": "object",
        "properties": {column.name: column_schema(column) for column in manifest.columns},
        "required": [column.name for column in manifest.columns],
    }


def column_schema(column: Column) -> Schema:
    """The schema of one value."""
    schema = dict(_TYPES[column.dtype])
    if column.nullable:
        schema["type"] = [*schema["type"], "null"]
    if column.values:
        schema["examples"] = list(column.values[:5])
    return schema


def example_row(manifest: Manifest) -> dict[str, Any]:
    """A row that the model answers; its values mean nothing."""
    return {column.name: _example(column) for column in manifest.columns}


def example_of_inference(manifest: Manifest) -> dict[str, Any]:
    """The row as V2 tensors, out of the inference log."""
    row = example_row(manifest)
    tensors = [
        # A time is text in JSON; that a tensor of text is called BYTES is V2's way.
        {"name": spec.name, "datatype": spec.datatype, "shape": [1], "data": [row[spec.name]]}
        for spec in signature.inputs(manifest)
    ]
    return {"inputs": tensors, "parameters": {"record": False}}


def example_of_invocation(manifest: Manifest) -> dict[str, Any]:
    """The row as MLflow's records."""
    return {"dataframe_records": [example_row(manifest)]}


def example_of_scoring(manifest: Manifest) -> dict[str, Any]:
    """The row as Azure ML takes it."""
    row = example_row(manifest)
    return {"input_data": {"columns": list(row), "index": [0], "data": [list(row.values())]}}


def example_of_prediction(manifest: Manifest) -> dict[str, Any]:
    """The row as TensorFlow Serving takes it."""
    return {"instances": [example_row(manifest)]}


def example_of_examples(manifest: Manifest) -> dict[str, Any]:
    """The row as TensorFlow Serving classifies it."""
    return {"examples": [example_row(manifest)]}


def example_of_labels(manifest: Manifest) -> dict[str, Any]:
    """The label of a row that was answered."""
    return {"labels": [{"id": "7f3a-0", "label": (*manifest.classes, 0.5)[0]}]}


def _example(column: Column) -> Any:
    values: Sequence[Any] = column.values or (_VALUES[column.dtype],)
    return values[0]

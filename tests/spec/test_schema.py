from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from everfresh.spec.loading import spec_schema

SCHEMA = spec_schema()
SECTIONS = {"": SCHEMA, **SCHEMA["$defs"]}


def keys() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, section in SECTIONS.items():
        for key, schema in section["properties"].items():
            yield f"{name}.{key}", schema


def test_it_is_a_json_schema() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("file", sorted(Path("projects").glob("*.yaml")), ids=lambda file: file.name)
def test_it_accepts_the_shipped_specs(file: Path) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(file.read_text()))


def test_it_refuses_a_key_that_it_does_not_know() -> None:
    spec = yaml.safe_load(Path("projects/flights.minimal.yaml").read_text())
    found = [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors({**spec, "nam": "x"})]
    assert found == ["Additional properties are not allowed ('nam' was unexpected)"]


def test_every_key_and_every_section_is_described_for_editors() -> None:
    assert [path for path, schema in keys() if not schema.get("description", "").endswith(".")] == []
    assert [name for name, section in SECTIONS.items() if not section.get("description")] == []


def test_every_default_is_shown_as_it_would_be_written() -> None:
    with_default = {path: schema for path, schema in keys() if "default" in schema}
    refused = [
        path
        for path, schema in with_default.items()
        if not jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).is_valid(schema["default"])
    ]
    assert refused == []
    assert with_default["RetrainingSpec.cooldown"]["default"] == "1d"

"""The description of the API is valid, complete, and its examples are answered."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from everfresh.data.columns import Column
from everfresh.packaging.manifest import Manifest
from everfresh.serving.http.body_shapes import example_row, row_schema
from everfresh.serving.http.docs_page import docs_page
from everfresh.serving.http.openapi import document, swagger
from everfresh.serving.http.routes import Route
from everfresh.serving.versions.models import ModelTable


@pytest.fixture(scope="module")
def described(served):
    answered = served.get("/openapi.json")
    assert (answered.status_code, answered.headers["content-type"]) == (200, "application/json")
    return answered.json()


def operations(described):
    return [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_is_valid(described):
    assert [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_the_protocols_are_described_in_words(described):
    summaries = {(method, path): operation["summary"] for path, method, operation in operations(described)}
    for path in ("/v2/models/{name}/infer", "/invocations", "/score", "/v1/models/{name}:predict"):
        assert summaries["post", path].endswith(".")
    own = [key for key, summary in summaries.items() if summary.upper() == f"{key[0]} {key[1]}".upper()]
    assert not [path for _, path in own if path.startswith(("/v2/models", "/v1", "/score", "/invocations", "/health"))]


def test_every_operation_has_a_name_of_its_own(described):
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)


def test_every_example_fits_its_schema_and_is_answered(described, served):
    asked = 0
    for path, method, operation in operations(described):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            Draft202012Validator(content["schema"]).validate(example["value"])
            where = path.replace("{name}", name).replace("{version}", "1")
            if path.endswith("/labels") or "labels/{version}" in path:
                continue  # it would be kept; and no version has a label here
            answered = served.post(where, json=example["value"], headers={"x-model": name})
            assert (method, answered.status_code) == ("post", 200), f"{where}: {answered.text}"
            asked += 1
    assert asked >= 20


def test_a_models_row_is_typed(described):
    schema = described["components"]["schemas"]["row.flights"]
    assert schema["properties"]["stops"] == {"type": ["integer", "null"], "minimum": -(2**53), "maximum": 2**53}
    assert schema["required"] == ["distance", "stops", "weekend", "carrier", "booked_at"]
    validator = Draft202012Validator(schema)
    examples = described["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    validator.validate(examples["flights"]["value"]["dataframe_records"][0])
    assert not validator.is_valid({"distance": "900", "stops": 1, "weekend": True, "carrier": "AA", "booked_at": None})


def test_a_columns_known_categories_are_its_examples():
    facts = {"label": "y", "task": "regression", "classes": (), "created_at": None}
    manifest = Manifest(
        name="m", columns=(Column("carrier", "category", nullable=False, values=("AA", "UA")),), **facts
    )
    assert row_schema(manifest)["properties"]["carrier"]["examples"] == ["AA", "UA"]
    assert row_schema(manifest)["properties"]["carrier"]["type"] == ["string", "number", "boolean"]
    assert example_row(manifest) == {"carrier": "AA"}


def test_a_server_without_models_is_described_too():
    routes = [
        Route("POST", "/score", "predict", lambda request, names: None),
        Route("GET", "/x/{name}", "nothing", None),
    ]
    described = document(ModelTable(), routes)
    assert [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()] == []
    assert described["paths"]["/x/{name}"]["get"]["summary"] == "GET /x/{name}"
    assert "security" in described["paths"]["/score"]["post"]
    assert "security" not in described["paths"]["/x/{name}"]["get"]
    assert swagger(ModelTable())["definitions"]["ServiceInput"]["properties"]["data"]["items"] == {"type": "object"}


def test_azures_description_names_the_scoring_path(served):
    told = served.get("/swagger.json").json()
    assert (told["swagger"], list(told["paths"])) == ("2.0", ["/", "/score"])


class Tags(HTMLParser):
    """Which tags and attributes a page has."""

    def __init__(self):
        super().__init__()
        self.seen, self.links = set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action") or name.startswith("on")]


def test_the_page_needs_nothing_from_elsewhere(served):
    answered = served.get("/docs")
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    assert answered.headers["content-security-policy"].startswith("default-src 'none'")
    tags = Tags()
    tags.feed(answered.text)
    assert tags.links == ["openapi.json"]
    assert not tags.seen & {"script", "link", "img", "iframe", "form"}
    for text in ("/v2/models/{name}/infer", "/invocations", "dataframe_records", "booked_at"):
        assert text in answered.text


def test_names_on_the_page_are_text():
    described = document(ModelTable(), [])
    described["components"]["schemas"]["<script>alert(1)</script>"] = {"title": "</pre><img src=x onerror=alert(1)>"}
    tags = Tags()
    tags.feed(docs_page(described).decode())
    assert not tags.seen & {"script", "img"}

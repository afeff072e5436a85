from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from everfresh.data.columns import Column
from everfresh.packaging.manifest import Manifest, manifest_bytes

MANIFEST = Manifest(
    name="flight-delays",
    task="classification",
    classes=("late", "on time"),
    columns=(Column("distance", "float", minimum=0), Column("carrier", "category", values=("AA", "Ü"))),
    label="delayed",
    created_at=datetime(2013, 7, 1, 12, 30, tzinfo=UTC),
    id_column="flight_id",
    time_column="scheduled_at",
    trained_through=datetime(2013, 6, 30, tzinfo=UTC),
    metadata={"spec_hash": "abc"},
    path="onnx",
    path_reason="ONNX Runtime, largest difference 0 over 3 rows",
    files={"model.skops": "a" * 64, "model.onnx": "b" * 64},
    libraries={"skops": "0.16.0"},
)


def written(**changed: Any) -> dict[str, Any]:
    """The document of the manifest with some of its values changed and the digest made to fit again."""
    document = {**MANIFEST.to_json(), **changed}
    content = {key: value for key, value in document.items() if key not in ("format", "version", "digest")}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {**document, "digest": hashlib.sha256(canonical).hexdigest()}


def test_a_manifest_comes_back_as_it_was_written():
    assert Manifest.from_json(json.loads(manifest_bytes(MANIFEST))) == MANIFEST
    assert Manifest.from_json(json.loads(manifest_bytes(MANIFEST.with_version(7)))) == MANIFEST.with_version(7)


def test_a_manifest_without_a_time_column_comes_back_too():
    plain = dataclasses.replace(MANIFEST, time_column=None, id_column=None, trained_through=None, classes=())
    assert Manifest.from_json(json.loads(manifest_bytes(plain))) == plain


def test_the_digest_stays_when_the_registry_gives_a_version():
    assert MANIFEST.with_version(3).digest == MANIFEST.digest == MANIFEST.with_version(4).digest


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"classes": ("on time", "late")},
        {"columns": MANIFEST.columns[::-1]},
        {"created_at": datetime(2013, 7, 2, tzinfo=UTC)},
        {"path": "sklearn"},
        {"files": {**MANIFEST.files, "model.onnx": "c" * 64}},
        {"libraries": {"skops": "0.15.0"}},
        {"metadata": {"spec_hash": "abd"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_any_other_content_has_another_digest(changed):
    assert dataclasses.replace(MANIFEST, **changed).digest != MANIFEST.digest


def test_the_order_of_files_and_metadata_is_no_content():
    assert dataclasses.replace(MANIFEST, files=dict(reversed(MANIFEST.files.items()))).digest == MANIFEST.digest


def test_the_test_writes_digests_as_the_manifest_does():
    assert written() == MANIFEST.to_json()


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "holds no JSON object"),
        ({}, "has the format None"),
        ({**MANIFEST.to_json(), "format": 2}, "has the format 2, and this version of everfresh reads 1"),
        ({**MANIFEST.to_json(), "label": "other"}, "does not fit the digest that it carries"),
        ({**MANIFEST.to_json(), "digest": None}, "does not fit the digest that it carries"),
        ({k: v for k, v in MANIFEST.to_json().items() if k != "files"}, "does not say what a manifest must"),
        ({**MANIFEST.to_json(), "columns": [{"name": "distance", "colour": 1}]}, "does not say what a manifest must"),
        ({**MANIFEST.to_json(), "version": "3"}, "has the version '3', which is none"),
        ({**MANIFEST.to_json(), "version": 0}, "has the version 0, which is none"),
        ({**MANIFEST.to_json(), "version": True}, "has the version True, which is none"),
        (written(task="ranking"), "names the task 'ranking'"),
        (written(path="pickle"), "and the path 'pickle'"),
        (written(files={"../model.skops": "a"}), "lists '../model.skops', which is no name of a file in a bundle"),
        (written(files={"/etc/passwd": "a"}), "lists '/etc/passwd'"),
        (written(files={"..": "a"}), "lists '..'"),
        (written(files={".": "a"}), "lists '.'"),
        (written(files={"": "a"}), "lists ''"),
        (written(files={"bundle.json": "a"}), "lists 'bundle.json'"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(document, why):
    with pytest.raises(ValueError, match=why):
        Manifest.from_json(document)

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import json
import operator
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from everfresh.errors import BundleDamaged, TypesRefused
from everfresh.packaging.bundle import Bundle, open_bundle
from everfresh.packaging.manifest import manifest_bytes
from everfresh.packaging.pipelines import REVIEWED_TYPES, dump_pipeline, load_pipeline, read_pipeline
from everfresh.packaging.scorer import open_scorer


def stored(first_step: Any) -> bytes:
    """What somebody else may have written: any object in a pipeline, in skops' format."""
    return skops.io.dumps(Pipeline([("prepare", first_step), ("model", LinearRegression())]))


def planted(bundle: Bundle, content: bytes) -> Bundle:
    """The bundle with another stored pipeline and a manifest that fits it: every hash in it is right."""
    (bundle.directory / "model.skops").write_bytes(content)
    files = {**bundle.manifest.files, "model.skops": hashlib.sha256(content).hexdigest()}
    manifest = replace(bundle.manifest, path="sklearn", files=files)
    (bundle.directory / "bundle.json").write_bytes(manifest_bytes(manifest))
    return open_bundle(bundle.directory)


def with_type(content: bytes, of: str, changed: dict[str, str]) -> bytes:
    """A stored pipeline in whose tree of types the entry of one class was edited by hand."""
    forged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(forged, "w") as target:
        for name in source.namelist():
            member = source.read(name)
            if name == "schema.json":
                schema = json.loads(member, object_hook=lambda node: node | changed if is_of(node, of) else node)
                member = json.dumps(schema).encode()
            target.writestr(name, member)
    return forged.getvalue()


def is_of(node: dict[str, Any], name: str) -> bool:
    return node.get("__class__") == name


def test_a_pipeline_comes_back_with_the_same_answers(boosting, unseen):
    loaded = read_pipeline(dump_pipeline(boosting, "flights"), "flights")
    np.testing.assert_array_equal(loaded.predict_proba(unseen), boosting.predict_proba(unseen))


@pytest.mark.parametrize(
    ("function", "types"),
    [
        (functools.partial(os.system, "touch planted"), {"functools.partial", "posix.system"}),
        (functools.partial(eval, "open('planted', 'w')"), {"functools.partial", "builtins.eval"}),
        (functools.partial(np.log1p), {"functools.partial"}),
        (os.system, {"posix.system"}),
        (eval, {"builtins.eval"}),
        (np.load, {"numpy.load"}),
        (operator.attrgetter("__class__"), {"operator.attrgetter"}),
        (operator.methodcaller("to_pickle", "planted"), {"operator.methodcaller"}),
    ],
    ids=[
        "partial of system",
        "partial of eval",
        "partial of anything",
        "system",
        "eval",
        "numpy.load",
        "attribute",
        "call of a method",
    ],
)
def test_planted_code_is_refused_by_name_and_not_run(function, types, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forged = planted(bundle, stored(FunctionTransformer(function)))
    with pytest.raises(TypesRefused, match="are not on the reviewed list") as error:
        load_pipeline(forged)
    assert set(error.value.types) == types
    with pytest.raises(TypesRefused):
        open_scorer(forged)
    assert not (tmp_path / "planted").exists()


def test_a_class_that_nobody_reviewed_is_refused_before_its_module_is_imported(bundle, tmp_path, monkeypatch):
    module = tmp_path / "planted_estimators.py"
    module.write_text("from sklearn.base import BaseEstimator\nclass Scaler(BaseEstimator):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    forged = planted(bundle, stored(importlib.import_module("planted_estimators").Scaler()))
    del sys.modules["planted_estimators"]
    module.write_text("raise SystemExit('the planted module was imported')\n")
    importlib.invalidate_caches()

    with pytest.raises(TypesRefused) as error:
        load_pipeline(forged)
    assert error.value.types == ("planted_estimators.Scaler",)
    assert "planted_estimators" not in sys.modules


@pytest.mark.parametrize(
    ("name", "module", "loader"),
    [
        ("system", "os", "FunctionNode"),
        ("Popen", "subprocess", "ObjectNode"),
        ("Popen", "subprocess", "TypeNode"),
    ],
)
def test_a_type_that_was_edited_into_a_stored_pipeline_never_comes_to_life(name, module, loader, linear, bundle):
    edited = {"__class__": name, "__module__": module, "__loader__": loader}
    content = with_type(dump_pipeline(linear, "flights"), "LinearRegression", edited)
    with pytest.raises(TypesRefused) as error:
        load_pipeline(planted(bundle, content))
    assert f"{module}.{name}" in error.value.types


def test_a_pipeline_that_could_not_be_loaded_is_not_stored():
    with pytest.raises(TypesRefused, match=r"The model in flights needs types .*: posix\.system"):
        dump_pipeline(Pipeline([("prepare", FunctionTransformer(os.system)), ("model", LinearRegression())]), "flights")


def test_every_reviewed_type_is_a_class_and_none_calls_what_a_file_names():
    for name in REVIEWED_TYPES:
        module, _, attribute = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), attribute), type), name
    assert not {name for name in REVIEWED_TYPES if name.startswith(("functools.", "builtins.", "operator.", "types."))}


def test_functions_that_only_fitting_needs_are_not_stored(frame, labels, unseen):
    fitted = make_pipeline(
        ColumnTransformer([("numbers", SimpleImputer(), ["distance", "seats", "night"])]),
        SelectKBest(f_regression, k=2),
        HistGradientBoostingRegressor(max_iter=5, categorical_features=[1]),
    ).fit(frame, labels["number"])
    loaded = read_pipeline(dump_pipeline(fitted, "flights"), "flights")
    np.testing.assert_array_equal(loaded.predict(unseen), fitted.predict(unseen))
    assert (fitted[1].score_func, loaded[1].score_func) == (f_regression, None)
    inside = [pipeline[2]._preprocessor.named_transformers_["numerical"].func for pipeline in (fitted, loaded)]
    assert isinstance(inside[0], functools.partial)
    assert inside[1] is None


def test_something_else_than_a_pipeline_is_refused(bundle):
    with pytest.raises(BundleDamaged, match=r"model\.skops holds a LinearRegression and no pipeline"):
        load_pipeline(planted(bundle, skops.io.dumps(LinearRegression())))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 nearly"])
def test_what_is_no_stored_pipeline_is_refused(content, bundle):
    with pytest.raises(BundleDamaged, match=r"model\.skops cannot be loaded by the installed versions \(BadZipFile"):
        load_pipeline(planted(bundle, content))


def test_a_stored_pipeline_is_compressed_and_holds_no_pickle(boosting):
    with zipfile.ZipFile(io.BytesIO(dump_pipeline(boosting, "flights"))) as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".json", ".npy"}
        assert all(member.compress_type == zipfile.ZIP_DEFLATED for member in archive.infolist())
        for name in archive.namelist():
            if name.endswith(".npy"):
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
        json.loads(archive.read("schema.json"))

"""Packing a fitted pipeline into a bundle. The inference server never comes here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pandas import DataFrame
from sklearn.pipeline import Pipeline

from everfresh.packaging.build import build
from everfresh.packaging.manifest import MANIFEST, Manifest, ModelFacts, manifest_bytes
from everfresh.packaging.placing import beside, set_aside, took_place


def write_bundle(
    directory: Path, pipeline: Pipeline, facts: ModelFacts, *, rows: DataFrame, profile: Mapping[str, Any]
) -> Manifest:
    """Pack a fitted pipeline into `directory`, all of it or nothing; whatever bundle was there before is replaced.

    Args:
        directory: where the bundle goes; its parent is made if need be.
        pipeline: the fitted pipeline, ColumnTransformer and estimator, as it reads the model frame.
        facts: what is known about the model.
        rows: real rows of the project's table or of the model frame, newest last; the compiled plan is measured on
            up to 1,000 of them, and up to 64 become the golden rows.
        profile: the reference profile, as JSON.

    Raises:
        NoGoldenRows: there is no row that a server would accept.
        NoAnswer: the pipeline answers a real row with NaN or an infinity.
        ClassesDiffer: the pipeline answers for other classes, or in another order, than `facts` says.
        TypesRefused: the pipeline is made of types that may not be loaded again.
        AnswerDiffers: the stored pipeline does not answer as the fitted one.
    """
    built = build(pipeline, facts, rows)
    files = {**built.files, "profile.json": json.dumps(profile).encode()}
    manifest = Manifest(
        **{name: getattr(facts, name) for name in ModelFacts.__dataclass_fields__},
        path=built.path,
        path_reason=built.path_reason,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        libraries=built.libraries,
    )
    with beside(directory) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / MANIFEST).write_bytes(manifest_bytes(manifest))
        while not took_place(temporary, directory):
            set_aside(directory)
    return manifest

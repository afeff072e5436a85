"""Models in this process, asked by a codec: no server in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from everfresh.serving.http.codec import Codec
from everfresh.serving.http.messages import Request, Response
from everfresh.serving.inference import Inference
from everfresh.serving.versions.models import LoadedModel, load_model
from everfresh.serving.versions.state import bundle_directory, install_bundle


@pytest.fixture(scope="session")
def load(tmp_path_factory) -> Callable[..., LoadedModel]:
    def install_and_load(fitted) -> LoadedModel:
        root = tmp_path_factory.mktemp("loaded") / "root"
        install_bundle(root, fitted.bundle, version=1)
        return load_model(bundle_directory(root, fitted.name, 1), fitted.name, 1)

    return install_and_load


@pytest.fixture(scope="session")
def flights_model(load, v1) -> LoadedModel:
    return load(v1)


@pytest.fixture(scope="session")
def minutes_model(load, minutes) -> LoadedModel:
    return load(minutes)


@pytest.fixture(scope="session")
def ask() -> Callable[..., Response]:
    """What a codec answers to a body; a refusal is raised."""

    def read_answer_and_write(codec: Codec, model: LoadedModel, body: bytes, **headers: str) -> Response:
        named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
        question = codec.read(Request("POST", "/", named, body, "r1"), model)
        rows = model.reader.read(question.table)
        return codec.write(Inference(model, model.scorer.score(rows.batch), "r1", question.wants, rows.ids))

    return read_answer_and_write

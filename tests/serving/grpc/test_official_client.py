"""The stubs that TensorFlow Serving's own project gives out talk to the server.

They need the messages of TensorFlow, half a gigabyte: TENSORFLOW_SERVING_PYTHON names a Python that has them.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from everfresh.serving.grpc.messages import pool

PYTHON = os.environ.get("TENSORFLOW_SERVING_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="TENSORFLOW_SERVING_PYTHON names no Python with their stubs")


@pytest.fixture(scope="module")
def rows(features):
    return features.dropna()[:8]


@pytest.fixture(scope="module")
def heard(shared, rows):
    """What they hear."""
    table = rows.assign(booked_at=[time.isoformat() for time in rows["booked_at"]])
    done = subprocess.run(
        [PYTHON, str(Path(__file__).with_name("official_client.py")), str(shared.port)],
        input=json.dumps(table.to_dict("records")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_floats(rows):
    return rows.assign(distance=rows["distance"].astype(np.float32).astype(np.float64))


def test_they_hear_what_the_pipelines_answer(heard, rows, v1, minutes):
    expected = v1.answer(rows)
    np.testing.assert_allclose(np.reshape(heard["probabilities"], (-1, 2)), expected, rtol=0, atol=1e-12)
    assert heard["labels"] == [v1.bundle.manifest.classes[place] for place in expected.argmax(axis=1)]
    np.testing.assert_allclose(heard["values"], minutes.answer(rows), rtol=1e-12)
    np.testing.assert_allclose(heard["scores"], v1.answer(as_floats(rows)), rtol=0, atol=1e-7)
    np.testing.assert_allclose(heard["regressions"], minutes.answer(as_floats(rows)), rtol=1e-6)


def test_they_find_versions_states_and_signatures(heard):
    assert (heard["version"], heard["canary"]) == (1, 2)
    assert heard["states"] == {"2": "AVAILABLE", "1": "AVAILABLE"}
    assert heard["inputs"] == {
        "distance": "DT_DOUBLE",
        "stops": "DT_INT64",
        "weekend": "DT_BOOL",
        "carrier": "DT_STRING",
        "booked_at": "DT_STRING",
    }
    assert heard["outputs"] == {"probabilities": "DT_DOUBLE", "label": "DT_STRING"}


def test_they_are_refused_with_the_statuses_that_they_know(heard):
    assert (heard["huge"], heard["nobody"]) == ("INVALID_ARGUMENT", "NOT_FOUND")
    assert (heard["multi"], heard["reload"]) == ("UNIMPLEMENTED", "UNIMPLEMENTED")


# A number instead of an enumeration, which is written the same.
_AS_A_NUMBER = {"tensorflow.serving.StatusProto": {"error_code"}}


def test_every_field_has_the_number_and_type_that_it_has_there(heard):
    for name in ("tensorflow.proto", "tensorflow_serving.proto"):
        for kind in pool().FindFileByName(name).message_types_by_name.values():
            theirs = heard["fields"][kind.full_name]
            for field in kind.fields:
                if field.name in _AS_A_NUMBER.get(kind.full_name, ()):
                    assert field.number == theirs[field.name][0]
                else:
                    assert [field.number, field.type, field.is_repeated] == theirs[field.name], field.full_name

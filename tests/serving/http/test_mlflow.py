"""The same requests to MLflow's own scoring server and to ours: what is answered alike, and what is not."""

from __future__ import annotations

import asyncio
import io
import json
import os
import warnings
from pathlib import Path

import httpx
import pytest

from everfresh.data.frames import model_frame

PAGE = Path(__file__).parents[3] / "docs" / "protocols.md"
BEGIN, END = "<!-- The table is written by tests/serving/http/test_mlflow.py. -->", "<!-- End of the table. -->"
KINDS = {"float": "double", "integer": "long", "boolean": "boolean", "category": "string", "datetime": "datetime"}
IN_JSON, IN_CSV = {"content-type": "application/json"}, {"content-type": "text/csv"}


@pytest.fixture(scope="module")
def mlflow_server(v1, tmp_path_factory):
    """MLflow's application in this process, with the pipeline that our server has compiled."""
    pipeline, columns = v1.pipeline, v1.bundle.manifest.columns
    directory = tmp_path_factory.mktemp("mlflow") / "model"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of integers, of missing types, and of itself, from its import on
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # it sets that, and would leave it behind
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import scoring_server
        from mlflow.types import ColSpec, Schema

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return pipeline.predict(model_frame(model_input, columns))

        schema = Schema([ColSpec(KINDS[column.dtype], column.name) for column in columns])
        signature = ModelSignature(inputs=schema, outputs=Schema([ColSpec("string")]))
        applications = []
        # With the types of a signature MLflow reads no time from CSV, so there is a model without one, too.
        for number, known in enumerate((signature, None)):
            saved = directory / str(number)
            mlflow.pyfunc.save_model(saved, python_model=Model(), signature=known, pip_requirements=[])
            applications.append(scoring_server.init(mlflow.pyfunc.load_model(str(saved))))

        def send(method, path, *, signed=True, **request):
            return asyncio.run(_asked(applications[0 if signed else 1], method, path, **request))

        yield send


async def _asked(application, method, path, **request):
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://mlflow") as client:
        return await client.request(method, path, **request)


@pytest.fixture
def both(mlflow_server, served):
    def send(**request):
        headers = request.pop("headers", {})
        signed = request.pop("signed", headers != IN_CSV)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = mlflow_server("POST", "/invocations", signed=signed, headers=headers, **request)
        return theirs, served.post("/invocations", headers={**headers, "x-model": "flights"}, **request)

    return send


@pytest.fixture(scope="module")
def complete(features):
    return features.dropna()


@pytest.fixture(scope="module")
def records(complete):
    return [{**record, "booked_at": record["booked_at"].isoformat()} for record in complete.to_dict(orient="records")]


def in_records(record, **changes):
    return {"json": {"dataframe_records": [record | changes]}}


def in_csv(frame, **changes):
    return {"content": frame.head(1).assign(**changes).to_csv(index=False).encode(), "headers": IN_CSV}


def without(record, name):
    return {key: value for key, value in record.items() if key != name}


ALIKE = {
    "split": lambda r, f, p: {
        "json": {"dataframe_split": {"columns": list(p), "data": [*zip(*p.values(), strict=True)]}}
    },
    "split with an index": lambda r, f, p: {
        "json": {"dataframe_split": {"columns": list(r[0]), "index": [7], "data": [list(r[0].values())]}}
    },
    "records": lambda r, f, p: {"json": {"dataframe_records": r}},
    "records with missing values": lambda r, f, p: {
        "json": {"dataframe_records": [dict(zip(p, row, strict=True)) for row in zip(*p.values(), strict=True)]}
    },
    "a record that lacks a key of another": lambda r, f, p: {
        "json": {"dataframe_records": [r[0], without(r[1], "distance")]}
    },
    "keys in another order": lambda r, f, p: in_records(dict(reversed(r[0].items()))),
    "instances of records": lambda r, f, p: {"json": {"instances": r}},
    "inputs of records": lambda r, f, p: {"json": {"inputs": r}},
    "inputs of columns": lambda r, f, p: {"json": {"inputs": {name: [row[name] for row in r] for name in r[0]}}},
    "inputs of columns with missing values": lambda r, f, p: {"json": {"inputs": p}},
    "inputs of single values": lambda r, f, p: {"json": {"inputs": r[0]}},
    "an integer for a float": lambda r, f, p: in_records(r[0], distance=900),
    "a whole float for an integer": lambda r, f, p: in_records(r[0], stops=1.0),
    "0 and 1 for a boolean": lambda r, f, p: in_records(r[0], weekend=1),
    "no float": lambda r, f, p: in_records(r[0], distance=None),
    "no boolean": lambda r, f, p: in_records(r[0], weekend=None),
    "no category": lambda r, f, p: in_records(r[0], carrier=None),
    "no time": lambda r, f, p: in_records(r[0], booked_at=None),
    "an integer for a category": lambda r, f, p: in_records(r[0], carrier=5),
    "a boolean for a category": lambda r, f, p: in_records(r[0], carrier=True),
    "a category that training never saw": lambda r, f, p: in_records(r[0], carrier="ZZ"),
    "a category of no Latin letters": lambda r, f, p: in_records(r[0], carrier="\u202e\U0001f6eb\x00"),
    "a date for a time": lambda r, f, p: in_records(r[0], booked_at="2013-01-01"),
    "params that are null": lambda r, f, p: {"json": {"dataframe_records": [r[0]], "params": None}},
    "the charset UTF-8": lambda r, f, p: {
        "content": json.dumps({"inputs": r}).encode(), "headers": {"content-type": "application/json; charset=utf-8"}
    },
    "CSV": lambda r, f, p: {"content": f.dropna().to_csv(index=False).encode(), "headers": IN_CSV},
    "CSV with missing values": lambda r, f, p: {"content": f.to_csv(index=False).encode(), "headers": IN_CSV},
    "CSV with Excel's mark": lambda r, f, p: {
        "content": b"\xef\xbb\xbf" + f.to_csv(index=False).encode(), "headers": IN_CSV
    },
    "CSV with true in lower case": lambda r, f, p: in_csv(f.dropna(), weekend="true"),
}  # fmt: skip


@pytest.mark.parametrize("what", ALIKE)
def test_the_answer_is_mlflows(both, records, features, plain, what):
    theirs, ours = both(**ALIKE[what](records, features, plain))
    assert theirs.status_code == 200, theirs.text
    assert (ours.status_code, ours.json()) == (200, theirs.json())
    assert ours.headers["content-type"] == theirs.headers["content-type"] == "application/json"


REFUSED_ALIKE = {
    "an empty body": lambda r, f, p: {"content": b"", "headers": IN_JSON},
    "no JSON": lambda r, f, p: {"content": b"{", "headers": IN_JSON},
    "no UTF-8": lambda r, f, p: {"content": b'{"inputs": "\xff"}', "headers": IN_JSON},
    "a list": lambda r, f, p: {"json": r},
    "no form": lambda r, f, p: {"json": {"rows": r}},
    "two forms": lambda r, f, p: {"json": {"inputs": r, "instances": r}},
    "no records": lambda r, f, p: {"json": {"dataframe_records": []}},
    "no rows": lambda r, f, p: {"json": {"dataframe_split": {"columns": list(r[0]), "data": []}}},
    "empty columns": lambda r, f, p: {"json": {"inputs": {name: [] for name in r[0]}}},
    "an empty table": lambda r, f, p: {"content": b"", "headers": IN_CSV},
    "a body of another kind": lambda r, f, p: {"content": b"x", "headers": {"content-type": "text/plain"}},
}


@pytest.mark.parametrize("what", REFUSED_ALIKE)
def test_the_refusal_has_mlflows_status(both, records, features, plain, what):
    theirs, ours = both(**REFUSED_ALIKE[what](records, features, plain))
    assert ours.status_code == theirs.status_code
    assert 400 <= ours.status_code < 500


STRICT = "No value is read as another one."
STATUS = (
    "JSON that is no table is 400; a table that the model's columns do not allow is 422, here and in every protocol."
)
OTHERWISE = {
    "a number as text": (lambda r, f, p: in_records(r[0], distance="900"), STRICT),
    "a boolean for a number": (lambda r, f, p: in_records(r[0], stops=True), STRICT),
    "text for a boolean": (lambda r, f, p: in_records(r[0], weekend="false"), "MLflow takes every text for true."),
    "1.5 for an integer": (lambda r, f, p: in_records(r[0], stops=1.5), "MLflow cuts it off."),
    "a missing integer": (lambda r, f, p: in_records(r[0], stops=None), "MLflow's long has no missing value."),
    "an integer beyond 2^53": (lambda r, f, p: in_records(r[0], distance=2**60 + 1), "float64 cannot hold it."),
    "the literals NaN and Infinity": (
        lambda r, f, p: {
            "content": json.dumps({"inputs": [r[0] | {"distance": float("inf")}]}).encode(), "headers": IN_JSON
        },
        "They are not JSON; write null.",
    ),
    "a key that is there twice": (
        lambda r, f, p: {
            "content": json.dumps({"inputs": r[:1]}).replace('"stops":', '"stops": 3, "stops":').encode(),
            "headers": IN_JSON,
        },
        "Nobody knows which value was meant.",
    ),
    "a time with a zone": (
        lambda r, f, p: in_records(r[0], booked_at="2013-01-01T05:15:00Z"), "MLflow's datetime has no zone."
    ),
    "a time that is not ISO 8601": (
        lambda r, f, p: in_records(r[0], booked_at="01/02/2013"), "January or February: nobody knows."
    ),
    "a column that the model does not have": (
        lambda r, f, p: in_records(r[0], colour=1),
        "It is a typo, or a feature that the sender believes to be used. The label, the id and the time may be there.",
    ),
    "a column that is missing": (lambda r, f, p: in_records(without(r[0], "stops")), STATUS),
    "a value of another kind": (lambda r, f, p: in_records(r[0], booked_at="noon"), STATUS),
    "columns of different lengths": (
        lambda r, f, p: {"json": {"inputs": {name: [v, v] if name == "stops" else [v] for name, v in r[0].items()}}},
        STATUS,
    ),
    "rows without names in `instances`": (
        lambda r, f, p: {"json": {"instances": [list(row.values()) for row in r]}},
        "They are in the model's order; MLflow makes one array of them, which has one type.",
    ),
    "`dataframe_split` without `columns`": (
        lambda r, f, p: {"json": {"dataframe_split": {"data": [list(row.values()) for row in r]}}},
        "They are in the model's order.",
    ),
    'the parameter `{"probabilities": true}`': (
        lambda r, f, p: {"json": {"dataframe_records": r[:1], "params": {"probabilities": True}}},
        "It gives probabilities instead of labels; MLflow ignores parameters that a model did not declare.",
    ),
    "another parameter": (
        lambda r, f, p: {"json": {"dataframe_records": r[:1], "params": {"threshold": 0.3}}},
        "It would change nothing, and the sender believes that it does.",
    ),
    "another key beside the form": (
        lambda r, f, p: {"json": {"dataframe_records": r[:1], "more": 1}},
        "As with a parameter.",
    ),
    "no content type": (
        lambda r, f, p: {"content": json.dumps({"dataframe_records": r[:1]}).encode()},
        "It is taken for JSON.",
    ),
    "another parameter of the content type": (
        lambda r, f, p: {
            "content": json.dumps({"dataframe_records": r[:1]}).encode(),
            "headers": {"content-type": "application/json; format=pandas-split"},
        },
        "The body says itself what it is.",
    ),
    "CSV with a time, by a model with a signature": (
        lambda r, f, p: {**in_csv(f.dropna()), "signed": True},
        "MLflow's types are those of a library that reads no times so.",
    ),
    "CSV without a header": (
        lambda r, f, p: {"content": f.to_csv(index=False, header=False).encode(), "headers": IN_CSV},
        "SageMaker sends it so; the fields are in the model's order.",
    ),
    "CSV with an index in front": (lambda r, f, p: {"content": f.to_csv().encode(), "headers": IN_CSV}, STRICT),
    "CSV with nan for a number": (
        lambda r, f, p: in_csv(f.dropna(), distance="nan"), "Only an empty field is a missing value."
    ),
    "CSV with a text for a number": (lambda r, f, p: in_csv(f.dropna(), distance="x"), STATUS),
    "CSV with a header and no rows": (
        lambda r, f, p: {"content": ",".join(p).encode(), "headers": IN_CSV}, "There is nothing to answer."
    ),
    "Parquet": (
        lambda r, f, p: {"content": parquet(f), "headers": {"content-type": "application/vnd.apache.parquet"}},
        "Send Arrow, which needs no unpacking.",
    ),
}  # fmt: skip


def parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def told(response):
    return {200: "answers", 500: "fails (500)"}.get(response.status_code, f"refuses ({response.status_code})")


def test_every_difference_is_in_the_documentation(both, records, features, plain):
    lines = ["| what | MLflow | everfresh | why |", "| --- | --- | --- | --- |"]
    for what, (request, why) in OTHERWISE.items():
        theirs, ours = both(**request(records, features, plain))
        assert ours.status_code < 500, what
        differs = (theirs.status_code, theirs.text) != (ours.status_code, ours.text)
        assert differs, f"{what}: both {told(ours)} alike"
        lines.append(f"| {what} | {told(theirs)} | {told(ours)} | {why} |")
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    table, after = rest.split(END)
    found = "\n".join(lines)
    if os.environ.get("WRITE_PAGES"):
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}")
    else:
        assert table.strip() == found, "run this test again with WRITE_PAGES=1, and read what changed"


def test_ping_is_answered_as_by_mlflow(mlflow_server, served):
    assert mlflow_server("GET", "/ping").status_code == served.get("/ping").status_code == 200

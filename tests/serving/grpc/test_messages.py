"""The descriptions of the messages are those of the .proto files."""

from __future__ import annotations

import sys
from importlib.resources import files

import pytest

from everfresh.serving import grpc as package
from everfresh.serving.grpc.messages import message, parse, pool, signature
from everfresh.serving.refusals import Malformed

PROTOS = files(package.__name__).joinpath("protos")


def test_a_method_is_known_by_its_messages():
    infer = signature("inference.GRPCInferenceService", "ModelInfer")
    assert infer.request.DESCRIPTOR.full_name == "inference.ModelInferRequest"
    assert infer.response is message("inference.ModelInferResponse")
    assert not infer.streams
    assert signature("inference.GRPCInferenceService", "ModelStreamInfer").streams


def test_what_is_no_message_is_refused():
    with pytest.raises(Malformed, match=r"is not a message of the kind inference\.ModelReadyRequest\."):
        parse(message("inference.ModelReadyRequest"), b"\xff")


def test_every_message_of_the_sources_is_described():
    for name in ("health", "inference", "tensorflow", "tensorflow_serving"):
        source = PROTOS.joinpath(f"{name}.proto").read_text()
        declared = {line.split()[1] for line in source.splitlines() if line.startswith("message ")}
        assert set(pool().FindFileByName(f"{name}.proto").message_types_by_name) == declared
        assert "http://www.apache.org/licenses/LICENSE-2.0" in source


def test_the_descriptions_are_made_of_the_sources(tmp_path):
    protoc = pytest.importorskip("grpc_tools.protoc")
    import grpc_tools

    made = tmp_path / "services.binpb"
    well_known = f"{next(iter(grpc_tools.__path__))}/_proto"
    sources = ["health.proto", "inference.proto", "tensorflow_serving.proto"]
    options = [f"--proto_path={PROTOS}", f"--proto_path={well_known}", "--include_imports"]
    assert protoc.main([sys.argv[0], *options, f"--descriptor_set_out={made}", *sources]) == 0
    assert made.read_bytes() == PROTOS.joinpath("services.binpb").read_bytes()

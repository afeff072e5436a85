"""The gRPC server as a whole: who may, how much, how it ends, and that it lives beside the HTTP server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everfresh.errors import MissingExtra, PortTaken, TlsUnusable
from everfresh.serving import grpc as package
from everfresh.serving.access.keys import add_key
from everfresh.serving.access.policy import AccessOptions, AccessPolicy
from everfresh.serving.access.roles import Role
from everfresh.serving.access.tls import TlsOptions
from everfresh.serving.grpc import check_grpc
from everfresh.serving.grpc.messages import message
from everfresh.serving.grpc.server import MOST_BYTES, GrpcOptions, GrpcServer, credentials
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.metrics.exposition import exposition
from everfresh.serving.versions.state import want_version

V2 = "inference.GRPCInferenceService"
PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
HEALTH = "grpc.health.v1.Health"
EMPTY = message("inference.ServerLiveRequest")()


def anybody(authorization, needs):
    return None


# --- who may ------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.json"
    now = datetime.now(UTC)
    scorer, boss = (add_key(file, role.value, [role], now=now).presented for role in (Role.PREDICT, Role.ADMIN))
    return file, scorer, boss


def bearer(key):
    return (("authorization", f"Bearer {key}"),)


def test_health_is_told_to_anybody_and_all_else_to_whom_the_policy_admits(running, models, tensors, keys, tmp_path):
    file, scorer, boss = keys
    policy = AccessPolicy(AccessOptions("127.0.0.1", file, asks=True))
    with running(models, tmp_path / "log", policy.admit) as server:
        assert server.call(V2, "ServerLive", EMPTY).live
        assert server.call(V2, "ServerReady", EMPTY).ready
        assert server.call(HEALTH, "Check", message("grpc.health.v1.HealthCheckRequest")()).status == 1
        request = tensors(rows=1)
        status, sentence = server.refusal(V2, "ModelInfer", request)
        assert status == "UNAUTHENTICATED"
        assert "Authorization: Bearer KEY" in sentence
        assert server.refusal(V2, "ModelInfer", request, metadata=bearer("x.y"))[0] == "UNAUTHENTICATED"
        twice = (*bearer(scorer), *bearer(scorer))
        assert server.refusal(V2, "ModelInfer", request, metadata=twice)[0] == "UNAUTHENTICATED"
        assert server.call(V2, "ModelInfer", request, metadata=bearer(scorer)).model_name == "flights"
        reload = message("tensorflow.serving.ReloadConfigRequest")()
        as_scorer = server.refusal(MODEL, "HandleReloadConfigRequest", reload, metadata=bearer(scorer))
        assert as_scorer[0] == "PERMISSION_DENIED"
        as_boss = server.refusal(MODEL, "HandleReloadConfigRequest", reload, metadata=bearer(boss))
        assert as_boss[0] == "UNIMPLEMENTED"


def test_nobody_streams_without_being_admitted(running, models, tensors, keys, tmp_path):
    policy = AccessPolicy(AccessOptions("127.0.0.1", keys[0], asks=True))
    with running(models, tmp_path / "log", policy.admit) as server:
        stream = server.channel.stream_stream(f"/{V2}/ModelStreamInfer")
        with pytest.raises(grpc.RpcError) as refused:
            list(stream(iter([tensors(rows=1).SerializeToString()]), timeout=10))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answers = list(stream(iter([tensors(rows=1).SerializeToString()]), timeout=10, metadata=bearer(keys[1])))
        assert len(answers) == 1


def test_a_stream_goes_on_only_as_long_as_its_key_is_good(running, models, tensors, keys, tmp_path):
    policy = AccessPolicy(AccessOptions("127.0.0.1", keys[0], asks=True))
    revoked = threading.Event()

    def admit(authorization, needs):
        return policy.admit("Bearer of.nothing" if revoked.is_set() else authorization, needs)

    with running(models, tmp_path / "log", admit) as server:
        request, second = tensors(rows=1).SerializeToString(), threading.Event()

        def messages():
            yield request
            second.wait(10)
            yield request

        answers = server.channel.stream_stream(f"/{V2}/ModelStreamInfer")(
            messages(), timeout=10, metadata=bearer(keys[1])
        )
        kind = message("inference.ModelStreamInferResponse")
        assert not kind.FromString(next(answers)).error_message
        revoked.set()
        second.set()
        assert "valid here" in kind.FromString(next(answers)).error_message


def test_an_unknown_service_or_method_is_said_to_be_that(shared):
    unknown = message("grpc.health.v1.HealthCheckRequest")(service="no.such.Service")
    assert shared.refusal(HEALTH, "Check", unknown)[0] == "NOT_FOUND"
    known = message("grpc.health.v1.HealthCheckRequest")(service=V2)
    assert shared.call(HEALTH, "Check", known).status == 1
    for path in (f"/{V2}/RepositoryModelLoad", "/no.such.Service/Method"):
        with pytest.raises(grpc.RpcError) as refused:
            shared.channel.unary_unary(path)(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


# --- how much -----------------------------------------------------------------------------------


def test_a_message_over_the_limit_is_refused_before_it_is_read(shared):
    with pytest.raises(grpc.RpcError) as refused:
        shared.send(V2, "ModelInfer", bytes(MOST_BYTES + 1))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert shared.call(V2, "ServerLive", EMPTY).live


def test_a_compressed_message_is_refused_for_nobody_knows_how_large_it_is(shared):
    with pytest.raises(grpc.RpcError) as refused:
        shared.send(V2, "ModelInfer", bytes(2 * MOST_BYTES), compression=grpc.Compression.Gzip)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert shared.call(V2, "ServerLive", EMPTY).live


def test_calls_that_wait_for_a_model_are_its_next_batch(
    running, models, tensors, features, neighbours, eventually, tmp_path
):
    request = tensors(rows=2, model_name="neighbours")
    with running(models, tmp_path, anybody) as server, ThreadPoolExecutor(20) as callers:
        free = threading.Event()
        for _ in range(2):
            server.threads.submit(free.wait, 20)
        answers = [callers.submit(server.call, V2, "ModelInfer", request) for _ in range(20)]
        eventually(lambda: server.metrics.snapshot().values["everfresh_requests_in_flight"][()] == 20)
        free.set()
        found = [answer.result(10).outputs[0].contents.fp64_contents for answer in answers]
        snapshot = server.metrics.snapshot()
    for one in found:
        np.testing.assert_allclose(np.reshape(one, (2, 2)), neighbours.answer(features[:2]), rtol=0, atol=1e-12)
    labels = (("model", "neighbours"), ("version", "1"))
    assert snapshot.values["everfresh_inferences_total"][labels] == 20
    # What came first, perhaps alone; and what came while no thread was free.
    assert sum(snapshot.buckets["everfresh_batch_rows"][labels][1:]) <= 3
    assert snapshot.values["everfresh_calls_total"][(("status", "OK"),)] == 20
    assert snapshot.values["everfresh_requests_in_flight"][()] == 0
    assert 'everfresh_calls_total{status="OK"} 20' in exposition(snapshot)


# --- how it ends --------------------------------------------------------------------------------


def test_a_stream_that_is_idle_does_not_hold_a_server_that_stops(running, models, tensors, tmp_path):
    ended = threading.Event()

    def messages():
        yield tensors(rows=1).SerializeToString()
        ended.wait(20)

    with running(models, tmp_path, anybody) as server:
        answers = server.channel.stream_stream(f"/{V2}/ModelStreamInfer")(messages(), timeout=20)
        next(answers)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 2
        ended.set()
        assert list(answers) == []


def test_a_call_that_came_before_the_stop_is_answered(running, models, tensors, tmp_path, monkeypatch):
    with running(models, tmp_path, anybody) as server:
        plane = server.server._app._plane
        infer, arrived = plane.infer, threading.Event()

        async def slowly(choice, asked):
            arrived.set()
            await asyncio.sleep(0.5)
            return await infer(choice, asked)

        monkeypatch.setattr(plane, "infer", slowly)
        with ThreadPoolExecutor(1) as caller:
            answer = caller.submit(server.call, V2, "ModelInfer", tensors(rows=1))
            assert arrived.wait(10)
            server.stop()
            assert answer.result(10).model_name == "flights"


def test_a_caller_who_goes_leaves_nothing_behind(running, models, tensors, tmp_path, monkeypatch):
    with running(models, tmp_path, anybody) as server:
        plane = server.server._app._plane
        infer = plane.infer

        async def slowly(choice, asked):
            await asyncio.sleep(0.3)
            return await infer(choice, asked)

        monkeypatch.setattr(plane, "infer", slowly)
        status, _ = server.refusal(V2, "ModelInfer", tensors(rows=1), timeout=0.1)
        assert status == "DEADLINE_EXCEEDED"
        monkeypatch.undo()
        assert server.call(V2, "ModelInfer", tensors(rows=1)).model_name == "flights"
        assert server.metrics.snapshot().values["everfresh_requests_in_flight"][()] == 0


# --- where it listens ---------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_to_be(models):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]

        async def start():
            server = GrpcServer(GrpcOptions("127.0.0.1", port), Plane(models), lambda: True, Metrics(), None, anybody)
            await server.start()

        with pytest.raises(PortTaken, match=f"The gRPC server cannot listen on 127.0.0.1:{port}"):
            asyncio.run(start())


class Plane:
    """The part of a data plane that a server needs to start."""

    def __init__(self, models):
        self.models = models


def certificate(directory, name, authority=None):
    """The files of a certificate, of an authority or signed by one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = authority or (subject, key)
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    cert, own_key = directory / f"{name}.pem", directory / f"{name}.key"
    cert.write_bytes(built.public_bytes(Encoding.PEM))
    own_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, own_key, (subject, key)


def test_it_speaks_tls_and_lets_in_whom_the_authority_knows(running, models, tmp_path):
    ca, _, authority = certificate(tmp_path, "authority")
    cert, key, _ = certificate(tmp_path, "server", authority)
    own_cert, own_key, _ = certificate(tmp_path, "caller", authority)
    with running(models, tmp_path / "log", anybody, TlsOptions(cert, key, client_ca=ca)) as server:

        def live(credentials):
            with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
                return channel.unary_unary(f"/{V2}/ServerLive")(b"", timeout=5)

        known = grpc.ssl_channel_credentials(ca.read_bytes(), own_key.read_bytes(), own_cert.read_bytes())
        assert message("inference.ServerLiveResponse").FromString(live(known)).live
        for stranger in (grpc.ssl_channel_credentials(ca.read_bytes()), grpc.ssl_channel_credentials()):
            with pytest.raises(grpc.RpcError) as refused:
                live(stranger)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError):
            server.call(V2, "ServerLive", EMPTY, timeout=2)


def test_a_list_of_revoked_certificates_that_would_not_be_looked_at_is_refused(tmp_path):
    options = TlsOptions(tmp_path / "cert", tmp_path / "key", tmp_path / "ca")
    check_grpc(options)
    with pytest.raises(TlsUnusable, match="is not looked at by gRPC"):
        check_grpc(replace(options, crl=tmp_path / "crl"))
    with pytest.raises(TlsUnusable, match="cannot be read"):
        credentials(options)


def test_without_the_extra_the_sentence_says_how_to_install_it(monkeypatch):
    check_grpc(None)
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'everfresh\[grpc\]'"):
        check_grpc(None)


# --- beside the HTTP server ---------------------------------------------------------------------


@pytest.fixture
def beside(serve, root):
    """Start a server of HTTP and gRPC, with as many workers."""

    def start(workers):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return serve(root, workers=workers, constants=f"import sys; sys.argv += ['--grpc-port', '{port}']"), port

    return start


def test_a_worker_answers_http_and_grpc_at_once_and_ends_with_both(beside, tensors, plain, features, v1):
    server, port = beside(1)
    rows = {"inputs": {name: values[:5] for name, values in plain.items()}}
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        httpx.Client(base_url=server.url, timeout=20) as http,
        ThreadPoolExecutor(8) as callers,
    ):
        infer = channel.unary_unary(f"/{V2}/ModelInfer")
        request = tensors(rows=5).SerializeToString()
        over_http = [callers.submit(http.post, "/invocations", json=rows) for _ in range(20)]
        over_grpc = [callers.submit(infer, request, timeout=20) for _ in range(100)]
        assert {answer.result(30).status_code for answer in over_http} == {200}
        for answer in over_grpc:
            response = message("inference.ModelInferResponse").FromString(answer.result(30))
            found = np.array(response.outputs[0].contents.fp64_contents).reshape(5, 2)
            np.testing.assert_allclose(found, v1.answer(features[:5]), rtol=0, atol=1e-12)
    assert server.stop() == 0
    assert "Traceback" not in server.said()


def test_several_workers_share_the_port_and_change_the_version_together(beside, tensors, root, v2, eventually):
    server, port = beside(2)

    def version():
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            answer = channel.unary_unary(f"/{V2}/ModelInfer")(tensors(rows=1).SerializeToString(), timeout=10)
        return message("inference.ModelInferResponse").FromString(answer).model_version

    assert {version() for _ in range(8)} == {"1"}
    want_version(root, "flights", 2)
    eventually(lambda: {version() for _ in range(8)} == {"2"})
    assert server.stop() == 0

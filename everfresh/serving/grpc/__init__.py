"""gRPC: the Open Inference Protocol V2, TensorFlow Serving's two services, and gRPC's own health protocol.

Nothing of a protocol is generated code: `protos/services.binpb` describes the messages, and protobuf makes classes of
it. Nothing but this module may be imported before a worker has its own process, as gRPC does not survive a fork.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from everfresh.errors import MissingExtra, TlsUnusable

if TYPE_CHECKING:
    from everfresh.serving.access.tls import TlsOptions


def check_grpc(tls: TlsOptions | None) -> None:
    """Make sure that workers will be able to speak gRPC, without importing it.

    Raises:
        MissingExtra: it is not installed.
        TlsUnusable: there is a list of revoked certificates, and gRPC would let their holders in.
    """
    if find_spec("grpc") is None or find_spec("google") is None or find_spec("google.protobuf") is None:
        raise MissingExtra("Serving over gRPC", extra="grpc")
    if tls is not None and tls.crl is not None:
        raise TlsUnusable(tls.crl, "is not looked at by gRPC", "Leave out --tls-crl or --grpc-port.")

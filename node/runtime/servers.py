"""The runtime's gRPC servers: inference in clear on loopback, inference over mTLS, the agent's."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from node.runtime.limits import CONCURRENT_CALLS_MAX, CONTROL_BYTES_MAX, MESSAGE_BYTES_MAX
from protos import inference_pb2

Healthy = Any
"""grpc_health's asynchronous HealthServicer, which its stubs do not know."""

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

UNIX_PATH_BYTES_MAX = 107
"""Of a Unix socket's path: the kernel keeps 108 with the byte that ends it."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Without it 1,500 idle sockets lock a TLS server for almost two minutes.
    ("grpc.server_handshake_timeout_ms", 5_000),
    # As lenient as neighbours' keepalive (10 s) needs, on idle channels too.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)


class CannotListen(OSError):
    """An address is not free or not ours; the text names it and the way out."""


def inference_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),  # type: ignore[type-arg]
) -> tuple[grpc.aio.Server, Healthy]:
    """A server with health and reflection on it; the inference service is to be added."""
    server = grpc.aio.server(
        interceptors=list(interceptors),
        options=OPTIONS,
        maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
    )
    healthy: Healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, healthy


def control_server() -> grpc.aio.Server:
    """A server for the agent's Unix socket."""
    return grpc.aio.server(options=[("grpc.max_receive_message_length", CONTROL_BYTES_MAX)])


def listen(
    server: grpc.aio.Server, setting: str, address: str, tls: grpc.ServerCredentials | None
) -> str:
    """Binds `server` to `address` (host:port, port 0: any); host:port as bound.

    Raises CannotListen.
    """
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, tls)
    except RuntimeError:
        port = 0
    if port == 0:
        raise CannotListen(
            f"cannot listen on {address}: another process has the port, or the address is not "
            f"this machine's; end that process or set {setting} to a free one"
        )
    return f"{address.rpartition(':')[0]}:{port}"


def listen_unix(server: grpc.aio.Server, path: Path) -> None:
    """Binds `server` to a Unix socket that only this user can open. Raises CannotListen."""
    if len(os.fsencode(path)) > UNIX_PATH_BYTES_MAX:
        raise CannotListen(
            f"the socket's path {path} is longer than {UNIX_PATH_BYTES_MAX} bytes, the kernel's "
            "limit: use a data folder with a shorter path"
        )
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError:
        raise CannotListen(f"cannot listen on the socket {path}: is its folder writable?") from None
    finally:
        os.umask(before)


async def set_healthy(healthy: Healthy, serving: bool) -> None:
    """Says whether the inference service is up, under its name and the empty one."""
    status = health_pb2.HealthCheckResponse
    value = status.SERVING if serving else status.NOT_SERVING
    for name in ("", SERVICE):
        await healthy.set(name, value)

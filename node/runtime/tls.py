"""mTLS on the inference port between nodes: who may dial in, and how to dial out.

Files are read at each handshake, so that renewed certificates and authorities need no restart.
The certificate says who, the state says whether: mesh, role and revocation are checked on each
call, since a TLS session outlives the news.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import grpc
import grpc.aio

from mesh.addresses import AddressRefused, is_loopback, target
from mesh.heads.certificates import Certified, der_from_pem, read_certificate
from mesh.heads.identity import IdentityRefused
from node.runtime.config import TlsPaths
from node.runtime.limits import MESSAGE_BYTES_MAX

Handler = Any
"""A grpc.RpcMethodHandler: its stubs are those of the synchronous server."""

Context = Any
"""A grpc.aio.ServicerContext of whichever messages."""

CERTIFICATES_REMEMBERED = 256
"""Parsed certificates that are kept: 50 nodes and some operators."""

ROLES = frozenset({"node", "operator"})

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A frozen neighbour is noticed within 5 s only with all three.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class TlsDialler:
    """Opens mTLS channels to neighbours, each expected under one DNS name.

    `own` is the address at which this node's own mTLS port is to listen.
    """

    def __init__(self, paths: TlsPaths, own: str) -> None:
        self._paths = paths
        self._on_loopback = is_loopback(own)

    def refusal(self, address: str) -> str:
        """Why nobody is dialled at `address`, which another node may have written; "" if it may be.

        Only a node that listens on loopback itself, as in a trial on one machine, has neighbours
        there: else such an address would make it knock at its own machine's doors.
        """
        try:
            target(address)
            if self._on_loopback or not is_loopback(address):
                return ""
        except AddressRefused as refused:
            return str(refused)
        return f"{address!r} is this machine's own loopback interface, and no neighbour's address"

    def dial(self, address: str, dns_name: str) -> grpc.aio.Channel:
        """A channel to the neighbour at `address`; it connects when it is first used. Raises
        AddressRefused."""
        key, certificate, authorities = read_material(self._paths)
        credentials = grpc.ssl_channel_credentials(authorities, key, certificate)
        options = [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", dns_name)]
        return grpc.aio.secure_channel(target(address), credentials, options=options)


class NoDialler:
    """For a node without an identity: it has no neighbours."""

    def refusal(self, address: str) -> str:
        """Nobody is dialled."""
        return f"{address!r} is not dialled: this node has not joined a mesh"

    def dial(self, address: str, dns_name: str) -> grpc.aio.Channel:
        """Raises FileNotFoundError: without an identity nobody is dialled."""
        raise FileNotFoundError(self.refusal(address))


class PeerGuard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Lets in, call by call, whoever is a node or an operator of this mesh and not revoked."""

    def __init__(self, mesh: str) -> None:
        self._mesh = mesh
        self._revoked: frozenset[bytes] = frozenset()

    def revoke(self, tls_keys: Iterable[bytes]) -> None:
        """Replaces the digests of keys that are refused."""
        self._revoked = frozenset(tls_keys)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Puts the check before the method's own handler."""
        handler = await continuation(handler_call_details)
        return self._guarded(handler) if handler is not None else handler

    def _guarded(self, handler: Handler) -> Handler:
        async def unary(request: object, context: Context) -> object:
            await self._check(context)
            return await handler.unary_unary(request, context)

        async def server_stream(request: object, context: Context) -> object:
            await self._check(context)
            async for response in handler.unary_stream(request, context):
                yield response

        async def both_stream(requests: object, context: Context) -> object:
            await self._check(context)
            async for response in handler.stream_stream(requests, context):
                yield response

        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(both_stream, *coders)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(server_stream, *coders)
        return grpc.unary_unary_rpc_method_handler(unary, *coders)

    async def _check(self, context: Context) -> None:
        refusal = self.refusal(context.auth_context())
        if refusal:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, refusal)

    def refusal(self, auth_context: Mapping[str, Iterable[bytes]]) -> str:
        """Why the caller is refused; "" if it is not."""
        certificates = list(auth_context.get("x509_pem_cert", ()))
        try:
            caller = _read(certificates[0]) if certificates else None
        except IdentityRefused as error:
            return str(error)
        if caller is None:
            return "a certificate of this mesh is needed"
        identity = caller.identity
        if identity.mesh != self._mesh or identity.role not in ROLES:
            return f"{identity.uri} is no node or operator of the mesh {self._mesh!r}"
        if caller.tls_key in self._revoked:
            return f"{identity.uri} was revoked: ask the mesh's operator"
        return ""


def server_credentials(paths: TlsPaths) -> grpc.ServerCredentials:
    """Credentials that ask every client for a certificate. Raises OSError if a file is missing."""

    def configuration() -> grpc.ServerCertificateConfiguration:
        key, certificate, authorities = read_material(paths)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=True
    )


def read_material(paths: TlsPaths) -> tuple[bytes, bytes, bytes]:
    """Key, certificate and authorities, each PEM. Raises OSError."""
    return paths.key.read_bytes(), paths.certificate.read_bytes(), paths.authorities.read_bytes()


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def _read(pem: bytes) -> Certified:
    return read_certificate(der_from_pem(pem))

"""A gRPC server on one port: TLS, the guard, the services, health and reflection.

The certificate that it shows and the authorities that it trusts can be replaced while it runs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mesh.addresses import join_address, split_address
from node.net.credentials import TlsMaterial, enrolment_server_credentials, server_credentials
from node.net.guard import Guard
from node.net.policy import REFLECTION, Policy
from node.net.settings import CALLS_MAX, server_options

Service = tuple[str, Callable[[grpc.aio.Server], None]]
"""A service's full name, and what adds it to a server:
("mesh.v1.Admin", lambda server: add_AdminServicer_to_server(servicer, server))."""


class ListenFailed(OSError):
    """The server does not listen; nothing was changed. The text names the address."""


class Server:
    """One listening port. `start` once, `stop` once."""

    def __init__(self) -> None:
        self._material: TlsMaterial | None = None
        self._server: grpc.aio.Server | None = None
        standard: Any = health  # the type stubs do not know its asyncio part
        self._health = standard.aio.HealthServicer()
        self.guard: Guard | None = None

    async def start(
        self, address: str, material: TlsMaterial, services: Sequence[Service], policy: Policy
    ) -> str:
        """Listens on HOST:PORT (port 0: any), and gives the address with the port that it got.

        Raises ListenFailed if the port is in use or the address is not this machine's.
        """
        self._material = material
        self.guard = Guard(policy)
        server = grpc.aio.server(
            interceptors=[self.guard], options=server_options(), maximum_concurrent_rpcs=CALLS_MAX
        )
        for _, add in services:
            add(server)
        names = sorted({name for name, _ in services})
        await self._add_standard_services(server, names, policy)
        port = self._listen(server, address, mutual=policy.check is not None)
        await server.start()
        self._server = server
        return join_address(split_address(address, port_zero=True)[0], port)

    def replace_material(self, material: TlsMaterial) -> None:
        """Shows and trusts something else from the next handshake on."""
        self._material = material

    def end_unwelcome(self) -> int:
        """Ends the streams of callers who are not welcome any more; how many. To be called when
        trust or revocations have changed."""
        return self.guard.end_unwelcome() if self.guard is not None else 0

    async def stop(self, grace_s: float) -> None:
        """Takes no new calls; those that run may go on for `grace_s`."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.enter_graceful_shutdown()
        await server.stop(grace_s)

    def _current(self) -> TlsMaterial:
        assert self._material is not None
        return self._material

    def _listen(self, server: grpc.aio.Server, address: str, *, mutual: bool) -> int:
        make = server_credentials if mutual else enrolment_server_credentials
        split_address(address, port_zero=True)
        try:
            return server.add_secure_port(address, make(self._current))
        except RuntimeError:
            raise ListenFailed(
                f"cannot listen on {address}: the port is in use, or the address is not this "
                "machine's. See who has it (ss -ltnp), or configure another address"
            ) from None

    async def _add_standard_services(
        self, server: grpc.aio.Server, names: list[str], policy: Policy
    ) -> None:
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if REFLECTION in policy.methods:
            shown = [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
            reflection.enable_server_reflection(shown, server)

"""The guard: who may call what, how often, and with which deadline, on real connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mesh.addresses import target
from mesh.heads.certificates import pem
from mesh.heads.identity import Identity
from node.net.credentials import client_credentials
from node.net.identity import PeerCheck, begin_call, calling_operator, current_call
from node.net.policy import ENROLMENT_METHODS, PEER_METHODS, Policy
from node.net.server import ListenFailed, Server
from node.net.settings import REQUEST_BYTES_MAX, control_options
from protos import admin_pb2 as pb
from protos.admin_pb2_grpc import AdminServicer, AdminStub, add_AdminServicer_to_server
from tests.node.net.peers import (
    MASTER,
    MESH,
    NODE_A,
    NODE_B,
    NODE_C,
    OPERATOR,
    Peer,
    certified,
    material,
    other_authority,
)
from tests.sim import identities

MakePeer = Callable[[Identity], Peer]
Code = grpc.StatusCode


@dataclass
class Admin(AdminServicer):
    """An Admin service of one call of each kind; it notes who called."""

    callers: list[str] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    serving: asyncio.Event = field(default_factory=asyncio.Event)

    async def Get(self, request: pb.GetRequest, context: Any) -> pb.GetReply:  # noqa: N802
        self.callers.append(current_call().caller.identity.uri)
        self.operators += [calling_operator(), await asyncio.to_thread(calling_operator)]
        self.serving.set()
        if request.kind == "wait":
            await self.more.wait()
        return pb.GetReply(documents=["{}"])

    async def Watch(  # noqa: N802
        self, request: pb.GetRequest, context: Any
    ) -> AsyncIterator[pb.GetReply]:
        yield pb.GetReply(documents=["1"])
        await self.more.wait()
        yield pb.GetReply(documents=["2"])

    async def PushChunks(self, parts: AsyncIterator[pb.PushChunk], context: Any) -> Any:  # noqa: N802
        got = [part.chunk async for part in parts]
        return pb.PushChunksReply(missing=got)


@dataclass
class Port:
    """A node's port with an Admin service, and channels to it."""

    peer: Peer
    address: str
    admin: Admin
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def channel(self, identity: Identity) -> grpc.aio.Channel:
        """A channel of a caller with that identity."""
        credentials = client_credentials(material(identity), certified(NODE_A).der)
        options = control_options(NODE_A.dns_name, wan=False, timeout_s=2.0)
        channel = grpc.aio.secure_channel(target(self.address), credentials, options=options)
        self.channels.append(channel)
        return channel

    def admin_of(self, identity: Identity) -> Any:
        """An Admin stub of a caller with that identity."""
        return AdminStub(self.channel(identity))


@pytest.fixture
async def port(make_peer: MakePeer) -> AsyncIterator[Port]:
    """A node that serves Admin beside links."""
    peer, admin = make_peer(NODE_A), Admin()
    add = ("mesh.v1.Admin", lambda server: add_AdminServicer_to_server(admin, server))
    one = Port(peer, await peer.listen(add), admin)
    yield one
    for channel in one.channels:
        await channel.close(None)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""


async def test_the_handler_knows_who_calls(port: Port) -> None:
    reply = await port.admin_of(OPERATOR).Get(pb.GetRequest(), timeout=5)
    assert list(reply.documents) == ["{}"]
    assert port.admin.callers == [OPERATOR.uri]
    assert port.admin.operators == [OPERATOR.name] * 2, "also in a thread that it waits for"


async def test_who_is_no_operator_or_nobody_is_not_named_as_one(make_peer: MakePeer) -> None:
    peer = make_peer(NODE_A)
    assert calling_operator() == ""
    begin_call(certified(NODE_B), peer.check)
    assert calling_operator() == ""


@pytest.mark.parametrize("who", [NODE_B, MASTER], ids=["a node", "a master"])
async def test_only_operators_steer(port: Port, who: Identity) -> None:
    code, text = await refused(port.admin_of(who).Get(pb.GetRequest(), timeout=5))
    assert code == Code.PERMISSION_DENIED
    assert f"{who.uri} may not call /mesh.v1.Admin/Get: only operator may" in text
    assert port.admin.callers == []
    assert port.peer.server.guard is not None
    assert port.peer.server.guard.refused == {Code.PERMISSION_DENIED: 1}


async def test_a_call_without_a_deadline_is_refused(port: Port) -> None:
    code, text = await refused(port.admin_of(OPERATOR).Get(pb.GetRequest()))
    assert code == Code.INVALID_ARGUMENT
    assert "without a deadline" in text


async def test_watching_needs_no_deadline_and_ends_with_a_revocation(port: Port) -> None:
    call = port.admin_of(OPERATOR).Watch(pb.GetRequest())
    assert list((await call.read()).documents) == ["1"]
    port.peer.revoked[certified(OPERATOR).tls_key] = "left the company"
    port.admin.more.set()
    code, text = await refused(call.read())
    assert code == Code.PERMISSION_DENIED
    assert "left the company" in text


async def test_silent_streams_end_with_a_revocation_and_those_of_others_go_on(port: Port) -> None:
    watch = port.admin_of(OPERATOR).Watch(pb.GetRequest())
    assert list((await watch.read()).documents) == ["1"]
    push = port.admin_of(OPERATOR).PushChunks(timeout=30)
    await push.write(pb.PushChunk(chunk=1))
    healths = [health_pb2_grpc.HealthStub(port.channel(who)) for who in (OPERATOR, NODE_B)]
    looks = [one.Watch(health_pb2.HealthCheckRequest()) for one in healths]
    for look in looks:
        assert (await look.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert port.peer.server.end_unwelcome() == 0
    port.peer.revoked[certified(OPERATOR).tls_key] = "left the company"
    assert port.peer.server.end_unwelcome() == 3
    for ended in (watch.read(), push, looks[0].read()):
        code, text = await refused(ended)
        assert (code, "left the company" in text) == (Code.PERMISSION_DENIED, True)
    assert port.peer.server.end_unwelcome() == 0
    assert not looks[1].done()
    looks[1].cancel()


async def test_a_revocation_holds_on_an_open_connection(port: Port) -> None:
    admin = port.admin_of(OPERATOR)
    await admin.Get(pb.GetRequest(), timeout=5)
    port.peer.revoked[certified(OPERATOR).tls_key] = ""
    code, text = await refused(admin.Get(pb.GetRequest(), timeout=5))
    assert code == Code.PERMISSION_DENIED
    assert "no reason was given" in text


async def test_an_authority_that_was_taken_out_lets_nobody_in(port: Port) -> None:
    admin = port.admin_of(OPERATOR)
    await admin.Get(pb.GetRequest(), timeout=5)
    port.peer.authorities = [other_authority(MESH)]
    code, text = await refused(admin.Get(pb.GetRequest(), timeout=5))
    assert code == Code.PERMISSION_DENIED
    assert "no authority of this mesh" in text


async def test_streams_of_requests_are_guarded_too(port: Port) -> None:
    parts = [pb.PushChunk(chunk=number) for number in range(3)]
    reply = await port.admin_of(OPERATOR).PushChunks(iter(parts), timeout=5)
    assert list(reply.missing) == [0, 1, 2]
    code, _ = await refused(port.admin_of(NODE_B).PushChunks(timeout=5))
    assert code == Code.PERMISSION_DENIED


async def test_a_method_that_nobody_serves(port: Port) -> None:
    call = port.channel(OPERATOR).unary_unary("/mesh.v1.Admin/Format")
    code, _ = await refused(call(b"", timeout=5))
    assert code == Code.UNIMPLEMENTED


async def test_a_method_that_is_in_no_table_is_not_for_callers(make_peer: MakePeer) -> None:
    peer, admin = make_peer(NODE_A), Admin()
    add = ("mesh.v1.Admin", lambda server: add_AdminServicer_to_server(admin, server))
    methods = {name: roles for name, roles in PEER_METHODS.items() if "Get" not in name}
    one = Port(peer, await peer.listen(add, policy=Policy(peer.check, methods)), admin)
    code, text = await refused(one.admin_of(OPERATOR).Get(pb.GetRequest(), timeout=5))
    assert (code, "is not for callers" in text) == (Code.PERMISSION_DENIED, True)
    await one.channels[0].close(None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xff", Code.INVALID_ARGUMENT),
        (b"\0" * REQUEST_BYTES_MAX * 2, Code.RESOURCE_EXHAUSTED),
    ],
    ids=["cannot be parsed", "too large"],
)
async def test_bad_requests_reach_no_handler(port: Port, data: bytes, code: Code) -> None:
    for name, kind in (("Get", "unary_unary"), ("Watch", "unary_stream")):
        call = getattr(port.channel(OPERATOR), kind)("/mesh.v1.Admin/" + name)(data, timeout=5)
        answer = call.read() if kind == "unary_stream" else call
        assert (await refused(answer))[0] == code
    assert port.admin.callers == []


async def test_a_flood_of_calls_is_refused_and_others_are_served(port: Port) -> None:
    guard = port.peer.server.guard
    assert guard is not None
    flooder = pem(certified(NODE_B).der)
    an_hour_on = time.monotonic() + 3600.0  # so that nothing is refilled in between
    while guard._budgets.take(flooder, an_hour_on):
        pass
    code, text = await refused(port.admin_of(NODE_B).Get(pb.GetRequest(), timeout=5))
    assert (code, "too many calls" in text) == (Code.RESOURCE_EXHAUSTED, True)
    await port.admin_of(OPERATOR).Get(pb.GetRequest(), timeout=5)


async def test_calls_in_flight_are_bounded(port: Port) -> None:
    stubs = [port.admin_of(OPERATOR) for _ in range(3)]  # 32 calls on each connection at most
    calls = [stubs[n % 3].Get(pb.GetRequest(kind="wait"), timeout=10) for n in range(64)]
    async with asyncio.timeout(5):
        while len(port.admin.callers) < 64:
            port.admin.serving.clear()
            await port.admin.serving.wait()
    code, text = await refused(port.admin_of(OPERATOR).Get(pb.GetRequest(), timeout=5))
    assert (code, "64 calls in flight" in text) == (Code.RESOURCE_EXHAUSTED, True)
    port.admin.more.set()
    await asyncio.gather(*calls)
    await port.admin_of(OPERATOR).Get(pb.GetRequest(), timeout=5)


async def test_health_and_reflection(port: Port) -> None:
    health = health_pb2_grpc.HealthStub(port.channel(NODE_B))
    for name in ("", "mesh.v1.Admin", "mesh.v1.Peer"):
        reply = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
    reflection = reflection_pb2_grpc.ServerReflectionStub(port.channel(OPERATOR))
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection.ServerReflectionInfo(iter([asked]))
    names = [one.name for one in (await call.read()).list_services_response.service]
    assert {"mesh.v1.Admin", "mesh.v1.Peer", "grpc.health.v1.Health"} < set(names)
    refusal = reflection.__class__(port.channel(NODE_B)).ServerReflectionInfo(iter([asked]))
    assert (await refused(refusal.read()))[0] == Code.PERMISSION_DENIED


async def test_without_a_certificate_there_is_no_way_in(make_peer: MakePeer) -> None:
    server, check = Server(), make_peer(NODE_B).check
    address = await server.start("127.0.0.1:0", material(NODE_A), [], Policy.enrolment())
    assert server.guard is not None
    server.guard._policy = Policy(check)  # TLS that asks for none, behind it a policy that does
    roots = grpc.ssl_channel_credentials(material(NODE_A).authorities_pem)
    options = control_options(NODE_A.dns_name, wan=False, timeout_s=2.0)
    async with grpc.aio.secure_channel(target(address), roots, options=options) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        code, text = await refused(health.Check(health_pb2.HealthCheckRequest(), timeout=5))
    assert (code, "showed no certificate" in text) == (Code.UNAUTHENTICATED, True)
    await server.stop(0)


async def test_a_port_in_use_is_named(port: Port) -> None:
    server = Server()
    with pytest.raises(ListenFailed, match=f"cannot listen on {port.address}: the port is in use"):
        await server.start(port.address, material(NODE_A), [], Policy(port.peer.check))
    await server.stop(0)


async def test_certificates_are_remembered_within_bounds() -> None:
    check = PeerCheck(MESH, lambda: [identities.authority()], lambda _: None)
    for number in range(4096):
        check._known[number.to_bytes(2, "big")] = ((), certified(NODE_C))
    assert check.check(certified(NODE_A).der) is check.check(certified(NODE_A).der)
    assert len(check._known) == 4096


def test_every_method_of_the_contracts_is_in_a_table() -> None:
    services = [pb.DESCRIPTOR.services_by_name["Admin"]]
    for service in services:
        for method in service.methods:
            assert f"/{service.full_name}/{method.name}" in PEER_METHODS
    assert set(ENROLMENT_METHODS) >= {"/mesh.v1.Enrolment/GetTrust", "/mesh.v1.Enrolment/Enrol"}

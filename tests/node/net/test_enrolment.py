"""Enrolment: anybody is asked for the trust root, the secret goes to the master alone."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from mesh.addresses import target
from mesh.heads.identity import Identity
from node.net.enrol_client import enrol, fetch_trust
from node.net.failures import DialFailed
from node.net.policy import Policy
from node.net.server import Server
from node.net.settings import STRANGER_CALLS_BURST, control_options
from protos.enrolment_pb2 import EnrolReply, EnrolRequest, GetTrustReply, GetTrustRequest
from protos.enrolment_pb2_grpc import (
    EnrolmentServicer,
    EnrolmentStub,
    add_EnrolmentServicer_to_server,
)
from tests.node.net.peers import (
    MASTER,
    MESH,
    NODE_A,
    Peer,
    foreign_material,
    material,
    other_authority,
    peer,
)
from tests.sim import identities

ROOT_KEY = b"r" * 32
REQUEST = EnrolRequest(token_id="t", secret="s3cret", node="a")
MakePeer = Callable[[Identity], Peer]


@dataclass
class Authority(EnrolmentServicer):
    """A master's enrolment service: it takes one secret."""

    secrets: list[str] = field(default_factory=list)

    async def GetTrust(self, request: GetTrustRequest, context: Any) -> GetTrustReply:  # noqa: N802
        return GetTrustReply(root_key=ROOT_KEY, trust=identities.trust_envelope())

    async def Enrol(self, request: EnrolRequest, context: Any) -> EnrolReply:  # noqa: N802
        self.secrets.append(request.secret)
        if request.secret != "s3cret":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the token was used already")
        return EnrolReply(node=request.node, mesh=MESH)


@dataclass
class Port:
    """An enrolment port."""

    address: str
    authority: Authority


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    """A master's enrolment port."""
    authority, server = Authority(), Server()
    add = ("mesh.v1.Enrolment", lambda s: add_EnrolmentServicer_to_server(authority, s))
    address = await server.start("127.0.0.1:0", material(MASTER), [add], Policy.enrolment())
    yield Port(address, authority)
    await server.stop(0)


async def test_a_machine_without_a_certificate_enrols(port: Port) -> None:
    fetched = await fetch_trust(port.address)
    assert fetched.root_key == ROOT_KEY
    assert fetched.envelope == identities.trust_envelope()
    assert fetched.master == MASTER
    reply = await enrol(port.address, fetched.master, [identities.authority()], REQUEST)
    assert reply.node == "a"
    assert port.authority.secrets == ["s3cret"]


async def ask_on(stub: Any) -> None:
    """Asks until it is refused."""
    while True:
        await stub.GetTrust(GetTrustRequest(), timeout=10)


async def test_a_source_that_asks_too_often_has_to_wait(port: Port) -> None:
    roots = grpc.ssl_channel_credentials(material(MASTER).authorities_pem)
    options = control_options(MASTER.dns_name, wan=True, timeout_s=2.0)
    async with grpc.aio.secure_channel(target(port.address), roots, options=options) as channel:
        stub = EnrolmentStub(channel)
        for _ in range(int(STRANGER_CALLS_BURST)):
            await stub.GetTrust(GetTrustRequest(), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask_on(stub)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "call less often" in (refused.value.details() or "")


async def test_the_masters_own_words_come_back(port: Port) -> None:
    request = EnrolRequest(token_id="t", secret="wrong")
    with pytest.raises(DialFailed, match="the token was used already") as failed:
        await enrol(port.address, MASTER, [identities.authority()], request)
    assert failed.value.kind == "refused"


async def test_no_secret_for_a_server_that_the_trust_root_does_not_name(port: Port) -> None:
    for master, authority in (
        (MASTER, other_authority(MESH)),
        (Identity(MESH, "master", "master-2"), identities.authority()),
    ):
        with pytest.raises(DialFailed, match="the secret was not sent") as failed:
            await enrol(port.address, master, [authority], REQUEST)
        assert failed.value.kind == "other_mesh"
    assert port.authority.secrets == []


async def test_only_a_master_is_asked_for_the_trust_root() -> None:
    server = Server()
    address = await server.start("127.0.0.1:0", material(NODE_A), [], Policy.enrolment())
    with pytest.raises(DialFailed, match="only masters enrol") as failed:
        await fetch_trust(address)
    assert failed.value.kind == "wrong_identity"
    await server.stop(0)


async def test_a_server_of_another_project_is_no_master() -> None:
    server = Server()
    foreign = foreign_material(Identity(MESH, "master", "master-1"))
    address = await server.start("127.0.0.1:0", foreign, [], Policy.enrolment())
    with pytest.raises(DialFailed, match="Method not found") as failed:
        await fetch_trust(address)
    assert failed.value.kind == "refused"
    await server.stop(0)


async def test_nobody_at_the_address(port: Port) -> None:
    with pytest.raises(DialFailed, match="Connect") as failed:
        await fetch_trust("127.0.0.1:1")
    assert failed.value.kind == "unreachable"
    with pytest.raises(DialFailed) as failed:
        await enrol("127.0.0.1:1", MASTER, [identities.authority()], REQUEST)
    assert failed.value.kind == "unreachable"


async def test_the_peer_port_enrols_nobody() -> None:
    one = peer(MASTER)
    address = await one.listen()
    with pytest.raises(DialFailed):
        await fetch_trust(address)
    await one.stop()

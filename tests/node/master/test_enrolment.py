"""The enrolment service over gRPC: what strangers get, and what they do not."""

from collections.abc import AsyncIterator

import grpc
import pytest

from mesh.heads.tokens import parse_token
from mesh.heads.trust import open_trust, pin
from node.master.authority import Authority
from node.master.enrolment import EnrolmentServicer
from node.master.store import SqliteStore
from protos.enrolment_pb2 import EnrolRequest, GetTrustRequest
from protos.enrolment_pb2_grpc import EnrolmentStub, add_EnrolmentServicer_to_server
from tests.node.master.fleet import Fleet, Machine

TIMEOUT_S = 10


@pytest.fixture
async def stub(fleet: Fleet) -> AsyncIterator[EnrolmentStub]:
    server = grpc.aio.server()
    servicer = EnrolmentServicer(fleet.authority, ["master-1@127.0.0.1:7400"])
    add_EnrolmentServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield EnrolmentStub(channel)
    await server.stop(None)


def request(token: str, node: str, machine: Machine) -> EnrolRequest:
    made = machine.request(token, node)
    return EnrolRequest(
        token_id=made.token_id,
        secret=made.secret,
        node=made.node,
        tls_request=made.tls_request,
        signing_key=made.signing_key,
        signing_proof=made.signing_proof,
    )


async def test_a_machine_joins(fleet: Fleet, stub: EnrolmentStub) -> None:
    token = fleet.authority.create_token("north").text
    trust = await stub.GetTrust(GetTrustRequest(), timeout=TIMEOUT_S)
    assert pin(trust.root_key) == parse_token(token).pin
    assert open_trust(trust.root_key, trust.trust).mesh == "acme"
    reply = await stub.Enrol(request(token, "node-1", Machine()), timeout=TIMEOUT_S)
    assert (reply.mesh, reply.site, reply.node) == ("acme", "north", "node-1")
    assert list(reply.masters) == ["master-1@127.0.0.1:7400"]
    assert reply.certificate == fleet.authority.content.nodes["node-1"].certificate


async def test_every_fault_of_a_token_has_one_code_and_its_own_text(
    fleet: Fleet, stub: EnrolmentStub
) -> None:
    used = fleet.authority.create_token("north").text
    await stub.Enrol(request(used, "node-1", Machine()), timeout=TIMEOUT_S)
    expired = fleet.authority.create_token("north", 1).text
    fleet.clock.now_ms += 5000
    unknown = request(used, "node-2", Machine())
    unknown.secret = "0" * 40
    texts = []
    for asked in (
        request(used, "node-2", Machine()),
        request(expired, "node-2", Machine()),
        unknown,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Enrol(asked, timeout=TIMEOUT_S)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        texts.append(refused.value.details() or "")
    assert [("used by" in text, "expired" in text, "no such" in text) for text in texts] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


async def test_what_is_too_large_is_refused(stub: EnrolmentStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Enrol(EnrolRequest(tls_request=bytes(20_000)), timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_whole_site_behind_one_address_enrols_at_once(stub: EnrolmentStub) -> None:
    for _ in range(2 * 200):
        await stub.GetTrust(GetTrustRequest(), timeout=TIMEOUT_S)


async def test_a_state_that_changed_in_between_is_no_fault_of_the_machine(
    fleet: Fleet, stub: EnrolmentStub
) -> None:
    token = fleet.authority.create_token("north").text
    asked = request(token, "node-1", Machine())
    other = Authority(SqliteStore(fleet.path, "acme"), fleet.keys, fleet.clock, str)
    other.release(fleet.manifest("bulk", "v1"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Enrol(asked, timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    await stub.Enrol(asked, timeout=TIMEOUT_S)

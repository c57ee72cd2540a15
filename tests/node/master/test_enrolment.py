"""The enrolment service over gRPC: what strangers get, and what they do not."""

from collections.abc import AsyncIterator

import grpc
import pytest

from mesh.heads.tokens import parse_token
from mesh.heads.trust import open_trust, pin
from node.master.authority import Authority
from node.master.enrolment import BURST, EnrolmentServicer
from node.master.rate import SOURCES_MAX, SourceRates
from node.master.store import SqliteStore
from protos.enrolment_pb2 import EnrolRequest, GetTrustRequest
from protos.enrolment_pb2_grpc import EnrolmentStub, add_EnrolmentServicer_to_server
from tests.node.master.fleet import Fleet, Machine

TIMEOUT_S = 10


class Ticks:
    """A monotonic clock that stands until it is moved."""

    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def stub(fleet: Fleet, ticks: Ticks) -> AsyncIterator[EnrolmentStub]:
    server = grpc.aio.server()
    servicer = EnrolmentServicer(fleet.authority, ticks, ["master-1@127.0.0.1:7400"])
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


async def test_a_source_that_asks_too_often_has_to_wait(stub: EnrolmentStub, ticks: Ticks) -> None:
    for _ in range(BURST):
        await stub.GetTrust(GetTrustRequest(), timeout=TIMEOUT_S)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetTrust(GetTrustRequest(), timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    ticks.now_ms += 1000
    await stub.GetTrust(GetTrustRequest(), timeout=TIMEOUT_S)


async def test_a_state_that_changed_in_between_is_no_fault_of_the_machine(
    fleet: Fleet, stub: EnrolmentStub
) -> None:
    token = fleet.authority.create_token("north").text
    asked = request(token, "node-1", Machine())
    other = Authority(SqliteStore(fleet.path, "acme"), fleet.keys, fleet.clock)
    other.release(fleet.manifest("bulk", "v1"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Enrol(asked, timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    await stub.Enrol(asked, timeout=TIMEOUT_S)


def test_sources_do_not_share_a_budget_and_are_bounded() -> None:
    rates = SourceRates(burst=1, refill_ms=1000)
    assert rates.allow("a", 0)
    assert not rates.allow("a", 999)
    assert rates.allow("b", 999)
    assert rates.allow("a", 1000)
    for number in range(SOURCES_MAX):
        assert rates.allow(f"{number}", 1001)
    assert rates.allow("a", 1002)

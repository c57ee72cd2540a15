"""Dialling: whoever is there by name, and every way in which it is not the right one."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from cryptography import x509

from mesh.heads.identity import Identity
from node.net.failures import DialFailed
from node.net.look import look
from tests.node.net.peers import (
    HELLO,
    MASTER,
    MESH,
    NODE_A,
    NODE_B,
    NODE_C,
    OPERATOR,
    STRANGER,
    Peer,
    certified,
    foreign_material,
    material,
)

MakePeer = Callable[[Identity], Peer]


async def failure(peer: Peer, address: str, expected: Identity) -> DialFailed:
    """How the dial fails."""
    with pytest.raises(DialFailed) as failed:
        await peer.dialler.dial(address, expected, wan=False, timeout_s=1.0)
    assert not len(peer.table)
    return failed.value


@pytest.fixture
async def silence() -> AsyncIterator[str]:
    """The address of something that takes connections and never says a word."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in taken:
        writer.transport.abort()


async def test_a_nodes_certificate_cannot_pose_as_a_master(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    failed = await failure(b, await a.listen(), MASTER)
    assert failed.kind == "wrong_identity"
    assert NODE_A.uri in failed.detail
    assert MASTER.uri in failed.detail
    assert a.links == []


async def test_another_node_than_the_expected_is_named(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    failed = await failure(b, await a.listen(), NODE_C)
    assert (failed.kind, NODE_A.uri in failed.detail) == ("wrong_identity", True)


async def test_a_server_of_another_mesh_is_refused_by_name(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    a.material = foreign_material(STRANGER)
    failed = await failure(b, await a.listen(), NODE_A)
    assert failed.kind == "other_mesh"
    assert "belongs to the mesh 'othermesh'" in failed.detail


async def test_a_server_with_a_forged_certificate_is_refused(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    a.material = foreign_material(NODE_A)
    failed = await failure(b, await a.listen(), NODE_A)
    assert failed.kind == "other_mesh"
    assert "issued by no authority of this mesh" in failed.detail


async def test_the_own_certificate_refused_is_not_a_dead_network(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    b.dialler.material = foreign_material(NODE_B)
    failed = await failure(b, await a.listen(), NODE_A)
    assert failed.kind == "own_certificate"
    assert "does not take this machine's certificate" in failed.detail
    assert a.links == []


async def test_a_peer_that_we_know_as_revoked_is_not_linked(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    b.revoked[certified(NODE_A).tls_key] = "stolen"
    failed = await failure(b, await a.listen(), NODE_A)
    assert failed.kind == "peer_revoked"
    assert "was revoked: stolen" in failed.detail


async def test_a_revoked_dialler_is_told_so(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    a.revoked[certified(NODE_B).tls_key] = "stolen"
    failed = await failure(b, await a.listen(), NODE_A)
    assert failed.kind == "refused"
    assert f"{NODE_B.uri} was revoked: stolen" in failed.detail
    assert a.links == []


async def test_an_operator_is_no_peer(make_peer: MakePeer) -> None:
    a, ann = make_peer(NODE_A), make_peer(OPERATOR)
    failed = await failure(ann, await a.listen(), NODE_A)
    assert failed.kind == "refused"
    assert "only master or node may" in failed.detail


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1:1", "refused|Connect call failed"),
        ("nobody.invalid:7400", "nobody.invalid"),
        ("unix:/run/x.sock", "is no address"),
    ],
    ids=["nobody listens", "no such host", "not an address"],
)
async def test_nobody_there(make_peer: MakePeer, address: str, text: str) -> None:
    failed = await failure(make_peer(NODE_B), address, NODE_A)
    assert failed.kind == "unreachable"
    assert failed.detail.startswith(address) or "is no address" in failed.detail


async def test_what_listens_speaks_no_tls(make_peer: MakePeer) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n" * 100)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    failed = await failure(make_peer(NODE_B), address, NODE_A)
    assert failed.kind == "unreachable"
    assert "no TLS 1.3" in failed.detail
    server.close()


async def test_something_that_says_nothing_costs_one_timeout(
    make_peer: MakePeer, silence: str
) -> None:
    b = make_peer(NODE_B)
    with pytest.raises(DialFailed, match=r"no answer within 0\.2 s") as failed:
        await b.dialler.dial(silence, NODE_A, wan=True, timeout_s=0.2)
    assert failed.value.kind == "unreachable"


async def test_a_peer_that_does_not_greet_is_given_up(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    a.greet = False
    address = await a.listen()
    with pytest.raises(DialFailed, match=r"nothing was heard within 0\.2 s") as failed:
        await b.dialler.dial(address, NODE_A, wan=False, timeout_s=0.2)
    assert failed.value.kind == "unreachable"
    await a.until(lambda: len(a.links) == 1 and not a.links[0].is_open)


async def test_a_peer_that_was_enrolled_again_is_reached_at_once(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    address = await a.listen()
    first = await b.dial(address, NODE_A)
    again = await b.dial(address, NODE_A)
    assert again.peer == first.peer
    b.dialler._known[(address, NODE_A.uri)] = certified(NODE_B).der  # as if it were another then
    third = await b.dial(address, NODE_A)
    assert third.peer == first.peer


async def test_a_peer_that_was_remembered_and_is_gone(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    address = await a.listen()
    link = await b.dial(address, NODE_A)
    await a.stop()
    await link.ended()
    assert (await failure(b, address, NODE_A)).kind == "unreachable"


async def test_what_is_remembered_is_bounded(make_peer: MakePeer) -> None:
    b = make_peer(NODE_B)
    for number in range(2000):
        b.dialler._remember((f"10.0.0.1:{number}", NODE_A.uri), b"")
    assert len(b.dialler._known) == 1024


async def test_tls_1_3_and_certificates_without_an_end(make_peer: MakePeer) -> None:
    shown = x509.load_der_x509_certificate(await look(await make_peer(NODE_A).listen(), 2.0))
    assert shown.not_valid_before_utc.year == 1970
    assert shown.not_valid_after_utc.year == 9999


async def test_a_renewed_certificate_needs_no_restart(make_peer: MakePeer) -> None:
    a = make_peer(NODE_A)
    address = await a.listen()
    a.server.replace_material(material(NODE_C))
    assert await look(address, 2.0) == certified(NODE_C).der
    a.server.replace_material(foreign_material(Identity(MESH, "node", "x", "north")))
    assert b"x.node.testmesh" in await look(address, 2.0)


async def test_a_link_over_the_wan_works_the_same(make_peer: MakePeer) -> None:
    master, c = make_peer(MASTER), make_peer(NODE_C)
    link = await c.dial(await master.listen(), MASTER, wan=True)
    await master.until(lambda: master.received == [HELLO])
    assert link.wan
    assert master.links[0].wan

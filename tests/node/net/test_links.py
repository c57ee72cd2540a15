"""Links between real peers: frames both ways, and how a link ends."""

from collections.abc import Callable

import grpc

from mesh.heads.identity import Identity
from tests.node.net.peers import HELLO, NODE_A, NODE_B, Peer, certified

MakePeer = Callable[[Identity], Peer]


async def test_frames_travel_both_ways_and_are_counted(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    link = await b.dial(await a.listen(), NODE_A)
    link.send(b"\x00one")
    await a.until(lambda: a.received == [HELLO, b"\x00one"])
    a.links[0].send(b"two")
    await b.until(lambda: b.received == [HELLO, b"two"])
    assert link.peer == certified(NODE_A)
    assert a.links[0].peer == certified(NODE_B)
    assert (link.sent_bytes, link.received_bytes) == (9, 8)
    assert (a.links[0].sent_bytes, a.links[0].received_bytes) == (8, 9)


async def test_a_closed_link_ends_at_both_ends_with_the_reason(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    link = await b.dial(await a.listen(), NODE_A)
    a.links[0].close("it was told to")
    assert await link.ended() == "it was told to"
    assert link.code == grpc.StatusCode.UNAVAILABLE
    assert not link.send(b"more")
    assert not len(a.table)
    assert not len(b.table)

"""Links between real peers: frames both ways, and how a link ends."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import grpc
import pytest

from mesh.addresses import split_address, target
from mesh.heads.identity import Identity
from node.net.credentials import client_credentials
from node.net.failures import DialFailed
from node.net.link_table import LinkServicer, LinkTable
from node.net.patience import in_time
from node.net.policy import LINK, Policy
from node.net.server import Server
from node.net.settings import (
    FRAME_BYTES_MAX,
    FRAMES_BURST,
    FRAMES_PER_S,
    HANDSHAKE_TIMEOUT_MS,
    INCOMING_BYTES_MAX,
    OUTGOING_BYTES_MAX,
    REQUEST_BYTES_MAX,
    control_options,
)
from tests.node.net.peers import HELLO, NODE_A, NODE_B, NODE_C, Peer, certified, material

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


async def hostile(address: str) -> AsyncIterator[Any]:
    """A link at its lowest level, of somebody who keeps to no rule."""
    credentials = client_credentials(material(NODE_B), certified(NODE_A).der)
    options = control_options(NODE_A.dns_name, wan=True, timeout_s=2.0)
    async with grpc.aio.secure_channel(target(address), credentials, options=options) as channel:
        yield channel.stream_stream(LINK)()


async def until_it_ends(call: Any) -> None:
    """Reads whatever comes, a greeting or not."""
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize(
    ("size", "text"),
    [(FRAME_BYTES_MAX + 1, "a frame of 262145 bytes"), (REQUEST_BYTES_MAX + 1, "larger than max")],
    ids=["above our limit", "above gRPC's"],
)
async def test_an_oversized_frame_ends_the_link(make_peer: MakePeer, size: int, text: str) -> None:
    a = make_peer(NODE_A)
    async with aclosing(hostile(await a.listen())) as links:
        call = await anext(links)
        await call.write(b"x" * size)
        with pytest.raises(grpc.aio.AioRpcError, match=text):
            await in_time(until_it_ends(call), 5.0)
        assert await a.links[0].ended()
    assert a.received == []


async def test_the_largest_frame_passes_and_the_caller_is_held_to_it(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    link = await b.dial(await a.listen(), NODE_A)
    link.send(b"x" * FRAME_BYTES_MAX)
    await a.until(lambda: len(a.received) == 2)
    for frame in (b"", b"x" * (FRAME_BYTES_MAX + 1)):
        with pytest.raises(ValueError, match="a frame has 1 to 262144 bytes"):
            link.send(frame)
    assert link.is_open


async def forever(call: Any) -> None:
    """Writes the largest frames without end."""
    while True:
        await call.write(b"x" * FRAME_BYTES_MAX)


async def test_a_flood_waits_at_the_sender(make_peer: MakePeer) -> None:
    a = make_peer(NODE_A)
    a.reads = False
    async with aclosing(hostile(await a.listen())) as links:
        call = await anext(links)
        with pytest.raises(TimeoutError):
            await in_time(forever(call), 0.5)
    assert a.links[0].received_bytes <= INCOMING_BYTES_MAX + 2 * FRAME_BYTES_MAX


async def test_a_peer_that_does_not_read_loses_its_link(make_peer: MakePeer) -> None:
    a = make_peer(NODE_A)
    async with aclosing(hostile(await a.listen())) as links:
        call = await anext(links)
        await call.write(b"x")
        await a.until(lambda: a.received == [b"x"])
        sent = 0
        while a.links[0].send(b"x" * FRAME_BYTES_MAX):
            sent += FRAME_BYTES_MAX
            await asyncio.sleep(0)  # the writer's turn
        assert "does not take what it is sent" in await a.links[0].ended()
        with pytest.raises(grpc.aio.AioRpcError, match="does not take what it is sent"):
            await in_time(until_it_ends(call), 5.0)
    # The frame that is refused is the one for which there is no room beside whatever else waits.
    assert sent + FRAME_BYTES_MAX >= OUTGOING_BYTES_MAX


async def test_many_small_frames_are_slowed_down(make_peer: MakePeer) -> None:
    a = make_peer(NODE_A)
    async with aclosing(hostile(await a.listen())) as links:
        call = await anext(links)
        started = asyncio.get_running_loop().time()
        for _ in range(int(FRAMES_BURST) + 200):
            await call.write(b"x")
        await a.until(lambda: len(a.received) >= FRAMES_BURST + 200)
        took = asyncio.get_running_loop().time() - started
    assert took >= 200 / FRAMES_PER_S - 0.05 or took > FRAMES_BURST / FRAMES_PER_S


async def test_who_opens_a_link_and_says_nothing_loses_it(make_peer: MakePeer) -> None:
    a = make_peer(NODE_A)
    async with aclosing(hostile(await a.listen())) as links:
        call = await anext(links)
        assert await call.read() == HELLO
        assert "said nothing" in await a.links[0].ended()


async def test_a_fifth_link_of_a_peer_ends_the_first(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    address = await a.listen()
    links = [await b.dial(address, NODE_A) for _ in range(5)]
    assert "another link" in await links[0].ended()
    assert [link.is_open for link in links] == [False, True, True, True, True]


async def test_a_revoked_peers_links_end_and_it_is_told(make_peer: MakePeer) -> None:
    a, b, c = make_peer(NODE_A), make_peer(NODE_B), make_peer(NODE_C)
    address = await a.listen()
    link, other = await b.dial(address, NODE_A), await c.dial(address, NODE_A, wan=True)
    a.revoked[certified(NODE_B).tls_key] = "stolen"
    assert a.table.close_unwelcome(a.check) == 1
    assert a.server.end_unwelcome() == 0  # links are the table's alone
    assert "was revoked: stolen" in await link.ended()
    assert link.code == grpc.StatusCode.PERMISSION_DENIED
    a.revoked[certified(NODE_C).tls_key] = "sold"
    assert a.table.close_unwelcome(a.check) == 1
    assert "was revoked: sold" in await other.ended()
    assert a.table.close_unwelcome(a.check) == 0


async def test_an_agent_that_fails_to_take_a_link_holds_none(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)

    def fail(_: object) -> None:
        raise RuntimeError("not ready")

    server, table = Server(), LinkTable()
    servicer = LinkServicer(NODE_A, table, fail)
    policy = Policy(a.check)
    address = await server.start("127.0.0.1:0", material(NODE_A), [servicer.service], policy)
    with pytest.raises(DialFailed):
        await b.dial(address, NODE_A)
    assert not len(table)
    await server.stop(0)


async def test_idle_sockets_do_not_keep_a_peer_out(make_peer: MakePeer) -> None:
    a, b = make_peer(NODE_A), make_peer(NODE_B)
    address = await a.listen()
    idle = [await asyncio.open_connection(*split_address(address)) for _ in range(300)]
    await b.dial(address, NODE_A)
    async with asyncio.timeout(HANDSHAKE_TIMEOUT_MS / 1000 + 5):
        assert await idle[-1][0].read() == b""  # the server hangs up on those who say nothing
    for _, writer in idle:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("how", "within_s"),
    [(signal.SIGKILL, 1.0), (signal.SIGSTOP, 10.0)],
    ids=["killed", "frozen"],
)
async def test_a_process_that_is_gone_is_noticed_at_both_kinds_of_link(
    make_peer: MakePeer, how: signal.Signals, within_s: float
) -> None:
    a = make_peer(NODE_A)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.node.net.frozen_peer", await a.listen()),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        address = (await child.stdout.readline()).decode().strip()
        await a.dial(address, NODE_B)
        await a.until(lambda: len(a.links) == 2)
        assert {link.dialled for link in a.links} == {True, False}
        await a.until(lambda: all(link.received_bytes for link in a.links))
        child.send_signal(how)
        async with asyncio.timeout(within_s):
            reasons = [await link.ended() for link in a.links]
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.communicate()
    assert all(reasons)

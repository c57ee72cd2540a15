"""The relay carries, counts, is cut and restored; as a class, and as the process of the demo."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node.admin.relay import main, parse_forward
from node.admin.tcp_relay import CONNECTIONS_MAX, Forward, Relay

DEADLINE_S = 10.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def target() -> AsyncIterator[tuple[str, int]]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()


@pytest.fixture
async def relay(target: tuple[str, int]) -> AsyncIterator[Relay]:
    relay = Relay([Forward(("127.0.0.1", 0), target)])
    await relay.start()
    yield relay
    await relay.stop()


@contextlib.asynccontextmanager
async def dialled(relay: Relay) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*relay.addresses()[0])
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def ask(streams: Streams, data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    async with asyncio.timeout(DEADLINE_S):
        return await reader.readexactly(len(data))


async def ended_by_reset(streams: Streams) -> bool:
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await streams[0].read() == b"never"
        except ConnectionResetError:
            return True


async def until(holds: Any) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_carries_and_counts_both_ways(relay: Relay) -> None:
    data = bytes(range(256)) * 4096
    async with dialled(relay) as streams:
        assert await ask(streams, data) == data
        streams[1].write_eof()
        assert await streams[0].read() == b"", "the far end's end of stream passes too"
    counters = relay.counters()[0]
    assert (counters.to_target_bytes, counters.from_target_bytes) == (len(data), len(data))
    assert counters.accepted == 1


async def test_cut_resets_what_is_open_and_swallows_what_comes(relay: Relay) -> None:
    async with dialled(relay) as before:
        assert await ask(before, b"hello") == b"hello"
        await relay.cut()
        assert await ended_by_reset(before)
    counters = relay.counters()[0]
    async with dialled(relay) as during:
        during[1].write(b"anyone?")
        await until(lambda: counters.swallowed_bytes == 7)
        assert counters.to_target_bytes == 5, "nothing passes"
        await relay.restore()
        assert await ended_by_reset(during), "its bytes are lost, so it cannot go on"
    async with dialled(relay) as after:
        assert await ask(after, b"again") == b"again"
    assert counters.swallowed == 1


async def test_a_swallowed_connection_that_ends_is_forgotten(relay: Relay) -> None:
    await relay.cut()
    counters = relay.counters()[0]
    async with dialled(relay) as streams:
        await until(lambda: counters.swallowed == 1)
        streams[1].write_eof()
        assert await ended_by_reset(streams)


async def test_resets_when_the_target_does_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = gone.getsockname()
    relay = Relay([Forward(("127.0.0.1", 0), target)])
    await relay.start()
    async with dialled(relay) as streams:
        assert await ended_by_reset(streams)
    assert relay.counters()[0].unreachable == 1
    await relay.stop()


async def test_resets_the_target_when_the_site_resets() -> None:
    ends: asyncio.Queue[BaseException | bytes] = asyncio.Queue()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            ends.put_nowait(await reader.read())
        except ConnectionError as error:
            ends.put_nowait(error)
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    relay = Relay([Forward(("127.0.0.1", 0), server.sockets[0].getsockname())])
    await relay.start()
    async with dialled(relay) as (_, writer):
        await until(lambda: relay.counters()[0].accepted == 1)
        writer.write(b"x")
        await until(lambda: relay.counters()[0].to_target_bytes == 1)
        writer.transport.abort()
        async with asyncio.timeout(DEADLINE_S):
            await ends.get()
    await relay.stop()
    server.close()


async def test_refuses_more_connections_than_its_limit(relay: Relay) -> None:
    await relay.cut()  # swallowed connections hold one socket each
    counters = relay.counters()[0]
    async with contextlib.AsyncExitStack() as open_ones:
        for _ in range(CONNECTIONS_MAX):
            await open_ones.enter_async_context(dialled(relay))
        async with dialled(relay) as one_more:
            assert await ended_by_reset(one_more)
    assert counters.refused == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("127.0.0.1:0", "''", id="no target"),
        pytest.param("localhost:0=127.0.0.1:1", "'localhost:0'", id="a name for an address"),
        pytest.param("127.0.0.1:x=127.0.0.1:1", "'127.0.0.1:x'", id="port is no number"),
        pytest.param("127.0.0.1:0=127.0.0.1:65536", "'127.0.0.1:65536'", id="port too high"),
    ],
)
def test_bad_addresses_are_named(text: str, part: str) -> None:
    with pytest.raises(ValueError, match="expected IPV4:PORT=IPV4:PORT") as refusal:
        parse_forward(text)
    assert part in str(refusal.value)


def test_bad_input_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--listen", "nonsense"])
    assert end.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--listen", f"127.0.0.1:{port}=127.0.0.1:1"]) == 1
    assert "Give another port" in capsys.readouterr().err


async def test_the_process_obeys_signals_and_tells_what_it_carried(
    target: tuple[str, int],
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node.admin.relay",
        "--listen", f"127.0.0.1:0={target[0]}:{target[1]}",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None

    async def line() -> dict[str, Any]:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            return dict(json.loads(await process.stdout.readline()))

    listening = await line()
    assert (listening["event"], listening["cut"]) == ("listening", False)
    host, port = listening["ports"][0]["listen"].split(":")
    streams = await asyncio.open_connection(host, int(port))
    assert await ask(streams, b"hello") == b"hello"
    process.stdin.write(b"counters\nnonsense\n")
    counted = await line()
    assert counted["ports"][0]["to_target_bytes"] == 5
    assert (await line())["event"] == "unknown command"
    process.send_signal(signal.SIGUSR1)
    assert (await line())["cut"] is True
    assert await ended_by_reset(streams)
    process.send_signal(signal.SIGUSR2)
    assert (await line())["event"] == "restored"
    process.terminate()
    async with asyncio.timeout(DEADLINE_S):
        assert await process.wait() == 0

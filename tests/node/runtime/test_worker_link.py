"""A worker that talks nonsense, stalls or goes, as its link sees it."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from node.runtime.limits import FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, SHARED_BYTES
from node.runtime.shared_memory import SharedMemory
from node.runtime.tensors import Tensor
from node.runtime.worker_link import WorkerGone, WorkerLink, WorkerStalled
from protos.runtime_pb2 import WorkerPing, WorkerReply, WorkerRequest, WorkerTensor

PING = WorkerRequest(ping=WorkerPing())


@pytest.fixture
async def pair() -> AsyncIterator[tuple[WorkerLink, socket.socket]]:
    """A link, and the worker's end in the hands of the test."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    memory = SharedMemory()
    link = WorkerLink(ours, memory)
    await link.open()
    with contextlib.closing(theirs):
        yield link, theirs
        await link.close()
    memory.close()


async def say(worker: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(worker, data)


def framed(reply: WorkerReply) -> bytes:
    payload = reply.SerializeToString()
    return len(payload).to_bytes(4, "little") + payload


async def test_a_reply_is_an_answer(pair: tuple[WorkerLink, socket.socket]) -> None:
    link, worker = pair
    asked = asyncio.create_task(link.ask(PING, 5.0))
    await asyncio.sleep(0)
    assert link.busy
    await say(worker, framed(WorkerReply(id=1)))
    assert (await asked).id == 1
    assert not link.busy


@pytest.mark.parametrize(
    "data",
    [
        (FRAME_BYTES_MAX + 1).to_bytes(4, "little"),
        b"\x02\0\0\0\xff\xff",
        framed(WorkerReply(id=99)),
    ],
    ids=["a frame too long", "no message", "an answer to nothing"],
)
async def test_nonsense_makes_it_gone(pair: tuple[WorkerLink, socket.socket], data: bytes) -> None:
    link, worker = pair
    asked = asyncio.create_task(link.ask(PING, 5.0))
    await say(worker, data)
    with pytest.raises(WorkerGone, match="talks nonsense"):
        await asked
    with pytest.raises(WorkerGone, match="talks nonsense"):
        await link.ask(PING, 5.0)


async def test_its_end_ends_the_question(pair: tuple[WorkerLink, socket.socket]) -> None:
    link, worker = pair
    asked = asyncio.create_task(link.ask(PING, 5.0))
    await asyncio.sleep(0)
    worker.close()
    with pytest.raises(WorkerGone, match="ended"):
        await asked


async def test_silence_is_a_stall(pair: tuple[WorkerLink, socket.socket]) -> None:
    link, _ = pair
    with pytest.raises(WorkerStalled, match="no progress"):
        await link.ask(PING, 0.01)
    assert link.gone.done()


async def test_outputs_outside_the_memory_are_nonsense(
    pair: tuple[WorkerLink, socket.socket],
) -> None:
    link, worker = pair
    asked = asyncio.create_task(link.infer([], [], 5.0))
    outside = WorkerTensor(name="y", offset=SHARED_BYTES - 1, length=2)
    await say(worker, framed(WorkerReply(id=1, outputs=[outside])))
    with pytest.raises(WorkerGone, match="outside"):
        await asked


async def test_waiting_for_rest_has_an_end(pair: tuple[WorkerLink, socket.socket]) -> None:
    link, worker = pair
    asked = asyncio.create_task(link.ask(PING, 5.0))
    await asyncio.sleep(0)
    await link.idle(0.01)
    assert link.busy
    await say(worker, framed(WorkerReply(id=1)))
    await link.idle(5.0)
    assert (await asked).id == 1


def test_a_worker_can_neither_shrink_nor_grow_the_memory() -> None:
    memory = SharedMemory()
    for size in (0, SHARED_BYTES * 2):
        with pytest.raises(PermissionError):
            os.ftruncate(memory.descriptor, size)
    with pytest.raises(ValueError, match="larger than 64 MiB"):
        memory.write(MESSAGE_BYTES_MAX, b"x")
    memory.close()


async def test_a_link_that_was_never_opened_asks_nothing() -> None:
    ours, theirs = socket.socketpair()
    memory = SharedMemory()
    link = WorkerLink(ours, memory)
    with pytest.raises(WorkerGone, match="not started"):
        await link.infer([Tensor("x", "UINT8", (1,), b"x")], [], 1.0)
    await link.close()
    ours.close()
    theirs.close()
    memory.close()

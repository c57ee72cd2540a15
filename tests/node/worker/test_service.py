"""The worker's loop, and the whole worker as a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from node.worker import frames
from node.worker.limits import FRAME_BYTES_MAX
from node.worker.service import Worker
from node.worker.tensors import SharedMemory
from protos.runtime_pb2 import (
    WorkerInfer,
    WorkerLoad,
    WorkerPing,
    WorkerReply,
    WorkerRequest,
    WorkerTensor,
)
from tests.node.worker.models import ONES, Built, adder, build


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        yield ours, theirs


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, 1 << 20)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build(tmp_path / "built", adder(tmp_path / "saved"))


def infer() -> WorkerRequest:
    tensor = WorkerTensor(name="x", datatype="FP32", shape=[1, 4], data=ONES.tobytes())
    return WorkerRequest(id=2, infer=WorkerInfer(inputs=[tensor]))


def test_load_infer_and_ping(
    pair: tuple[socket.socket, socket.socket], memory: int, built: Built
) -> None:
    worker = Worker(pair[0], SharedMemory(memory))

    def ask(request: WorkerRequest) -> WorkerReply:
        return worker.answer(request.SerializeToString())

    assert ask(infer()).error_kind == "failed"
    load = WorkerRequest(id=1, load=WorkerLoad(replica=built.spec))
    assert ask(load).loaded.golden_checked == 1
    assert ask(load).error_kind == "invalid"
    reply = ask(infer())
    assert reply.id == 2
    assert np.frombuffer(reply.outputs[0].data, np.float32).tolist() == [2.0] * 4
    assert ask(WorkerRequest(ping=WorkerPing())).error == ""
    assert ask(WorkerRequest()).error_kind == "invalid"
    assert worker.answer(b"\xff\xff").error_kind == "invalid"
    infer_badly = infer()
    infer_badly.infer.inputs[0].name = "z"
    assert ask(infer_badly).error_kind == "invalid"


def test_a_model_that_is_not_there_may_come_yet(
    pair: tuple[socket.socket, socket.socket], memory: int, built: Built
) -> None:
    worker = Worker(pair[0], SharedMemory(memory))
    built.manifest.unlink()
    load = WorkerRequest(load=WorkerLoad(replica=built.spec))
    assert worker.answer(load.SerializeToString()).error_kind == "failed"


def test_a_frame_that_is_too_long_is_not_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].sendall((FRAME_BYTES_MAX + 1).to_bytes(4, "little"))
    with pytest.raises(ValueError, match="at most"):
        frames.receive(pair[1])
    with pytest.raises(ValueError, match="at most"):
        frames.send(pair[1], bytes(FRAME_BYTES_MAX + 1))


def test_the_end_in_the_middle_of_a_frame_is_an_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].sendall((10).to_bytes(4, "little") + b"half")
    pair[0].shutdown(socket.SHUT_WR)
    assert frames.receive(pair[1]) is None


@pytest.mark.parametrize("how", ["the runtime hangs up", "SIGTERM"])
def test_the_process_ends_in_good_order(
    pair: tuple[socket.socket, socket.socket], memory: int, built: Built, how: str
) -> None:
    ours, theirs = pair
    descriptors = (theirs.fileno(), memory)
    numbers = ["--socket-fd", str(descriptors[0]), "--memory-fd", str(descriptors[1])]
    process = subprocess.Popen(
        [sys.executable, "-m", "node.worker", *numbers], pass_fds=descriptors
    )
    try:
        theirs.close()
        load = WorkerRequest(id=1, load=WorkerLoad(replica=built.spec))
        frames.send(ours, load.SerializeToString())
        reply = frames.receive(ours)
        assert reply is not None
        assert WorkerReply.FromString(reply).loaded.golden_checked == 1
        frames.send(ours, infer().SerializeToString())
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            ours.shutdown(socket.SHUT_WR)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()

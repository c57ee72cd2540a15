"""Clients that ask every node of the lab for as long as something is done to it."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import grpc

from tests.node.agent.lab import Lab, infer_at, wait_for

RATE_HZ = 20
DEADLINE_S = 2.0


class Requests:
    """A client that asks a node twenty times a second, each request in time or failed."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._ended = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(4)]

    def _ask(self, place: int) -> None:
        due = time.monotonic() + place / RATE_HZ
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += len(self._threads) / RATE_HZ
            try:
                assert infer_at(self._address, DEADLINE_S) == [2.0] * 4
                self.answered += 1
            except grpc.RpcError as error:
                self.failed.append(f"{error.code()} {error.details()}")

    def __enter__(self) -> "Requests":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def asked_everywhere(lab: Lab) -> Iterator[list[Requests]]:
    """Clients of every node; no request of theirs may fail."""
    clients = [Requests(lab.inference_address(name)) for name in lab.nodes]
    with ExitStack() as asking:
        for client in clients:
            asking.enter_context(client)
        wait_for("all are asked", lambda: all(client.answered > RATE_HZ for client in clients))
        yield clients
    assert not [failure for client in clients for failure in client.failed]

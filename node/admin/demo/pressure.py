"""More requests than a service takes at once: what waits shows in its queue delay.

Callers of each node that ask again once they are answered (a closed loop): one more of them as long
as answers come soon, one less while they come late. So a slow machine, or one that is busy with
other things, gets few callers, and a fast one more; the queue has the same length in time, and
others, who stand in it too, wait no longer than these do.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import grpc

from node.admin.load_sender import METHOD

SOON_S, LATE_S = 0.2, 0.4
"""An answer within the first is soon, after the second late: more than the queue delay from which
the service scales, and a fifth of what others have for an answer."""
CHANGE_EVERY_S = 0.1
"""At most one caller of a node more or less in this time."""
CALLERS_MAX = 128
"""Of one node; its runtime lets 192 requests wait."""
DEADLINE_S = 30.0
"""Of each request: far longer than so many take."""


@dataclass
class Callers:
    """Of one node: how many there are, and since when so many."""

    since_s: float
    count: int = 1

    def change(self, took_s: float, now_s: float) -> int:
        """How many come (1) or go (-1) after an answer that took so long."""
        by = int(took_s < SOON_S and self.count < CALLERS_MAX)
        by -= int(took_s > LATE_S and self.count > 1)
        if not by or now_s - self.since_s < CHANGE_EVERY_S:
            return 0
        self.count, self.since_s = self.count + by, now_s
        return by


@dataclass(frozen=True)
class Asked:
    """A request that was sent: when, of which node."""

    at_s: float
    node: int


class Pressure:
    """Callers of nodes with `body`, until told to end. `fault`: what is wrong with an answer."""

    def __init__(
        self, addresses: Sequence[str], body: bytes, fault: Callable[[bytes], str | None]
    ) -> None:
        self._body, self._fault = body, fault
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.insecure_channel(one, options) for one in addresses]
        self._answers: SimpleQueue[tuple[Asked, grpc.Future[bytes]]] = SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._callers = [Callers(time.monotonic()) for _ in addresses]
        self._out = 0
        self.most_callers = len(addresses)
        self.answered = 0
        self.failures: Counter[str] = Counter()

    def start(self) -> None:
        """Begins, with one caller of each node."""
        self._thread.start()

    def end(self) -> None:
        """Sends no more; returns when all that was sent has been answered or has failed."""
        self._ended.set()
        self._thread.join()
        for channel in self._channels:
            channel.close()

    def _run(self) -> None:
        for node in range(len(self._channels)):
            self._ask(node)
        while self._out:
            asked, call = self._answers.get()
            self._out -= 1
            if not self._is_wrong(call) and not self._ended.is_set():
                now_s = time.monotonic()
                change = self._callers[asked.node].change(now_s - asked.at_s, now_s)
                for _ in range(1 + change):
                    self._ask(asked.node)
                self.most_callers = max(self.most_callers, self._out)

    def _ask(self, node: int) -> None:
        asked = Asked(time.monotonic(), node)
        call = self._channels[node].unary_unary(METHOD, None, None).future
        self._out += 1
        call(self._body, timeout=DEADLINE_S).add_done_callback(
            lambda done: self._answers.put((asked, done))
        )

    def _is_wrong(self, call: "grpc.Future[bytes]") -> bool:
        try:
            fault = self._fault(call.result())
        except grpc.RpcError as error:
            fault = f"{error.code().name}: {error.details()}"
        except Exception as error:  # of the judge: what it cannot judge is no good answer
            fault = f"{type(error).__name__}: {error}"
        self.answered += 1
        if fault:
            self.failures[fault] += 1
        return bool(fault)

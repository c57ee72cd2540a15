"""Neighbours that serve what this node does not, or has no room for: best first, one hop at most.

The one that owes this node the fewest answers is asked first: who is slow gets less, without
anybody saying so. A neighbour that did not answer comes last for a short time. While there is
another to ask, one may use only a share of the time left, so that a frozen box does not cost the
request. Inference has no state, so asking twice does no harm.
"""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from node.runtime.deadline import Deadline
from node.runtime.errors import RequestFailed, exhausted, unavailable
from node.runtime.limits import AVOID_S, CHANNELS_MAX, ROUTE_SHARE
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import Route

log = logging.getLogger(__name__)

HOP_KEY = "mesh-hop"
HOP = ((HOP_KEY, "1"),)
"""Says that a request was forwarded once already, and is not to be forwarded again."""

TRY_NEXT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.NOT_FOUND,
    }
)
"""Answers that are the neighbour's fault, not the request's: the next one is asked."""

_Key = tuple[str, str, bytes]
"""Of a channel: the address, the DNS name that is expected there, the certificate if a certain one
must be shown."""

Answer = TypeVar("Answer", bound=Message)
Call = Callable[[GRPCInferenceServiceStub, float], Awaitable[Answer]]
"""Makes one call to a neighbour, with a time limit in seconds."""


class Dialler(Protocol):
    """Opens channels to neighbours; says which addresses it would not dial."""

    def refusal(self, address: str) -> str: ...

    def dial(self, address: str, dns_name: str, shows: bytes) -> grpc.aio.Channel: ...


class Neighbours:
    """Routes to neighbours, and the channels to them, kept open between requests.

    `refused` is told once of each route that leads to no neighbour, and why.
    """

    def __init__(self, dialler: Dialler, refused: Callable[[Route, str], None]) -> None:
        self._dialler = dialler
        self._tell_refused = refused
        self._refused: set[tuple[str, str]] = set()
        self._routes: dict[str, list[Route]] = {}
        self._channels: dict[_Key, grpc.aio.Channel] = {}
        self._avoided_until: dict[str, float] = {}
        self._owed: Counter[str] = Counter()
        self._asked: dict[str, int] = {}
        self._turns = itertools.count(1)

    async def replace(self, routes: list[Route]) -> None:
        """Takes the routes of a new spec; channels that no route needs any more are closed. Who
        serves something anew is avoided no more: it was heard just now."""
        before = {(one.workload, one.node) for known in self._routes.values() for one in known}
        self._routes = {}
        routes = self._usable(routes)
        for route in routes:
            if (route.workload, route.node) not in before:
                self._avoided_until.pop(route.node, None)
        for route in routes:
            self._routes.setdefault(route.workload, []).append(route)
        nodes = {route.node for route in routes}
        self._asked = {node: turn for node, turn in self._asked.items() if node in nodes}
        needed = {_key(route) for route in routes}
        for key in [key for key in self._channels if key not in needed]:
            await self._channels.pop(key).close(AVOID_S)

    def _usable(self, routes: list[Route]) -> list[Route]:
        """The routes that may be dialled: their addresses are what others say of themselves."""
        reasons = [(route, self._dialler.refusal(route.address)) for route in routes]
        refused = {(route.workload, route.node): (route, why) for route, why in reasons if why}
        for key in refused.keys() - self._refused:
            self._tell_refused(*refused[key])
        self._refused = set(refused)
        return [route for route, why in reasons if not why]

    async def dial_anew(self) -> None:
        """Closes all channels, because other authorities are trusted; the routes stay."""
        while self._channels:
            _, channel = self._channels.popitem()
            await channel.close(AVOID_S)

    async def close(self) -> None:
        """Closes all channels."""
        await self.replace([])

    def routes(self, workload: str) -> list[Route]:
        """The neighbours that serve `workload`: the fewest answers owed first, then the shortest
        queue, then the one not asked for longest; those to avoid last."""
        now = time.monotonic()

        def order(route: Route) -> tuple[bool, int, int, int]:
            node = route.node
            avoided = self._avoided_until.get(node, 0.0) > now
            return avoided, self._owed[node], route.queue_delay_ms, self._asked.get(node, 0)

        return sorted(self._routes.get(workload, []), key=order)

    def reachable(self, workload: str) -> bool:
        """Whether some neighbour that answered lately, or was not asked, serves `workload`."""
        now = time.monotonic()
        known = self._routes.get(workload, [])
        return any(self._avoided_until.get(route.node, 0.0) <= now for route in known)

    async def ask(self, workload: str, call: Call[Answer], deadline: Deadline) -> Answer:
        """The first good answer. Raises RequestFailed: the neighbours' last word on it, which is
        that one is full, if one is: the others are away, and to wait for them mends nothing."""
        routes = self.routes(workload)
        last = unavailable(f"no node of this site serves {workload!r} at the moment")
        for number, route in enumerate(routes, start=1):
            left = deadline.left()
            limit = left if number == len(routes) else left * ROUTE_SHARE
            try:
                return await self._call(route, call, limit)
            except grpc.aio.AioRpcError as error:
                failure = self._judge(route, error, last=number == len(routes))
                if last.code != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    last = failure
        raise last

    async def _call(self, route: Route, call: Call[Answer], limit_s: float) -> Answer:
        self._asked[route.node] = next(self._turns)
        self._owed[route.node] += 1
        try:
            return await call(self._stub(route), limit_s)
        finally:
            self._owed[route.node] -= 1
            if not self._owed[route.node]:
                del self._owed[route.node]

    def _judge(self, route: Route, error: grpc.aio.AioRpcError, *, last: bool) -> RequestFailed:
        """What to raise in the end if no other answers; raises at once what no other would mend."""
        code, text = error.code(), error.details() or ""
        too_late = code == grpc.StatusCode.DEADLINE_EXCEEDED
        if code not in TRY_NEXT and (last or not too_late):
            raise RequestFailed(code, text) from None
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return exhausted(text)
        self._avoided_until[route.node] = time.monotonic() + AVOID_S
        log.warning("neighbour %s did not answer: %s %s", route.node, code.name, text)
        return unavailable(f"neighbour {route.node} did not answer: {text}")

    def _stub(self, route: Route) -> GRPCInferenceServiceStub:
        key = _key(route)
        if key not in self._channels:
            if len(self._channels) >= CHANNELS_MAX:
                raise exhausted(f"{CHANNELS_MAX} channels to neighbours are open already")
            self._channels[key] = self._dialler.dial(*key)
        return GRPCInferenceServiceStub(self._channels[key])


def _key(route: Route) -> _Key:
    return (route.address, route.dns_name, route.certificate)

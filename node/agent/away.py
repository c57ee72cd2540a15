"""Neighbours whose agents restart as planned: whether their runtimes go on serving meanwhile.

Their silence is no sign while they are away (mesh/registers/liveness.py), so somebody has to look:
a machine that is switched off says goodbye as well.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mesh.addresses import AddressRefused, split_address
from mesh.core.messages import NeighbourSilent
from mesh.core.node import NodeCore
from node.agent.edge import now_ms

LOOK_S = 1.0
"""Between two looks. A connection is opened and closed, so a site of 50 costs a runtime 50 a second
for as long as its agent is away."""
ANSWER_S = 1.0
MISSES_MAX = 2
"""In a row, before it is not waited for any longer: 2 s where its port is closed, 4 s where the
machine is gone."""


class AwayWatch:
    """Looks after the runtimes of the neighbours that are away."""

    def __init__(self, core: NodeCore, feed: Callable[[Any], None]) -> None:
        self._core = core
        self._feed = feed
        self._misses: Counter[str] = Counter()

    async def run(self) -> None:
        """Looks now and then. Cancel to end."""
        while True:
            await self.look(self._core.membership.away(now_ms()))
            await asyncio.sleep(LOOK_S)

    async def look(self, away: dict[str, str]) -> None:
        """Looks once: node to the address of its runtime."""
        answers = await asyncio.gather(*(_answers(away[node]) for node in away))
        misses = {
            node: self._misses[node] + 1 for node, ok in zip(away, answers, strict=True) if not ok
        }
        self._misses = Counter(misses)
        for node in [node for node, count in misses.items() if count >= MISSES_MAX]:
            del self._misses[node]
            self._feed(NeighbourSilent(node))


async def _answers(address: str) -> bool:
    """Whether something listens there."""
    with suppress(OSError, AddressRefused):
        async with asyncio.timeout(ANSWER_S):
            host, port = split_address(address)
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False

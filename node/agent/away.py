"""Neighbours whose agents restart as planned: whether their runtimes go on serving meanwhile.

Their silence is no sign while they are away (mesh/registers/liveness.py), so somebody has to look:
a machine that is switched off says goodbye as well.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import structlog

from mesh.addresses import refusal, split_address
from mesh.core.messages import NeighbourSilent

LOOK_S = 1.0
"""Between two looks. A connection is opened and closed, so a site of 50 costs a runtime 50 a second
for as long as its agent is away."""
ANSWER_S = 1.0
MISSES_MAX = 2
"""In a row, before it is not waited for any longer: 2 s where its port is closed, 4 s where the
machine is gone."""

log = structlog.get_logger(__name__)


class AwayWatch:
    """Looks after the runtimes of the neighbours that are away.

    `away` gives them, each with the address of its runtime, as it wrote it itself; `own` gives
    where neighbours reach this node's runtime; `feed` takes what the core is to know.
    """

    def __init__(
        self,
        away: Callable[[], dict[str, str]],
        own: Callable[[], str],
        feed: Callable[[NeighbourSilent], None],
    ) -> None:
        self._away = away
        self._own = own
        self._feed = feed
        self._misses: Counter[str] = Counter()

    async def run(self) -> None:
        """Looks now and then. Cancel to end."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Looks once. Who has come back meanwhile is not told."""
        away = self._away()
        answers = await asyncio.gather(*(_answers(away[node], self._own()) for node in away))
        misses = {
            node: self._misses[node] + 1 for node, ok in zip(away, answers, strict=True) if not ok
        }
        self._misses = Counter(misses)
        still = self._away()
        for node in [node for node, count in misses.items() if count >= MISSES_MAX]:
            del self._misses[node]
            if node in still:
                self._feed(NeighbourSilent(node))


async def _answers(address: str, own: str) -> bool:
    """Whether something listens there; nobody knocks where no neighbour can be."""
    if why := refusal(address, own):
        log.warning("a neighbour's runtime is not looked at", reason=why)
        return False
    with suppress(OSError):
        async with asyncio.timeout(ANSWER_S):
            host, port = split_address(address)
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False

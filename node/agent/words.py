"""The first and the last words of an agent: that it started and what its disk had lost, that it
stops, and that its runtime serves on meanwhile."""

import asyncio
import os
from collections.abc import Callable, Sequence

import structlog

from mesh.core.messages import Leaving, Trouble
from node.agent.journal import OwnJournal

GOODBYE_S = 0.2
"""For what was said last to leave."""

log = structlog.get_logger(__name__)


def say_hello(
    journal: OwnJournal,
    feed: Callable[[Trouble], None],
    node: str,
    boot: int,
    damaged: Sequence[str],
) -> None:
    """The node started, for the `boot`-th time; these documents on its disk were `damaged`."""
    fields = {"pid": str(os.getpid()), "boot": str(boot)}
    journal.write("record", "node.started", node, "", fields)
    for damage in damaged:
        journal.write("record", "disk.damaged", node, damage, {})
    if damaged:
        feed(Trouble("Damaged", "documents", "; ".join(damaged), "critical"))


async def say_goodbye(
    journal: OwnJournal, feed: Callable[[Leaving], None], node: str, cause: str
) -> None:
    """The agent ends. A core that a fault ended takes no words any more: that fault is to be seen,
    and not what comes of saying goodbye."""
    journal.write("record", "node.stopped", node, cause, {})
    try:
        feed(Leaving())
        await journal.flush()
    except Exception as error:
        log.error("the agent ends without a goodbye", error=repr(error))
        return
    await asyncio.sleep(GOODBYE_S)

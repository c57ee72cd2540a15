"""What an agent says first and last, also where its core takes no words any more."""

from typing import Any

import pytest
import structlog

from mesh.core.messages import Leaving, Trouble
from node.agent.words import say_goodbye, say_hello
from tests.node.agent.test_journal import Disk


class CoreFault(Exception):
    """What a core raises that is broken."""


def broken(_: Any) -> None:
    raise CoreFault


async def test_what_a_disk_has_lost_is_among_the_first_words() -> None:
    disk, fed = Disk(), []
    journal = disk.journal()
    say_hello(journal, fed.append, "a", 3, [])
    assert fed == []
    say_hello(journal, fed.append, "a", 4, ["state-seen: it is damaged", "ran: it is damaged"])
    await journal.flush()
    assert disk.events("record") == ["node.started", "node.started", *["disk.damaged"] * 2]
    text = "state-seen: it is damaged; ran: it is damaged"
    assert fed == [Trouble("Damaged", "documents", text, "critical")]


async def test_neighbours_and_the_journal_hear_that_it_leaves() -> None:
    disk, fed = Disk(), []
    await say_goodbye(disk.journal(), fed.append, "a", "asked to stop")
    assert fed == [Leaving()]
    assert [entry.cause for entry in disk.batches[0].entries] == ["asked to stop"]


@pytest.mark.parametrize("step", ["leaving", "flush"])
async def test_the_fault_that_ended_the_core_is_not_hidden_by_its_goodbye(step: str) -> None:
    disk, fed = Disk(), []
    journal = disk.journal()
    journal._feed = broken  # what was written is told to the core
    feed = broken if step == "leaving" else fed.append
    with structlog.testing.capture_logs() as entries:
        await say_goodbye(journal, feed, "a", "a fault")
    assert [(e["event"], e["error"]) for e in entries] == [
        ("the agent ends without a goodbye", "CoreFault()")
    ]

"""A node's own journal: order, a disk that refuses, what is dropped is counted."""

import asyncio
from pathlib import Path
from typing import Any

from mesh.events import BatchSaved
from mesh.journals.batches import Batch, open_batch
from mesh.journals.keys import LogKey
from node.agent.journal import PENDING_MAX, OwnJournal
from node.disk.errors import DiskFull
from protos.documents_pb2 import Boot
from tests.node.agent.waiting import until
from tests.sim import identities

BOOT = Boot(counter=3, nonce=b"nonce---")


class Disk:
    """Keeps batches, or refuses."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.full = False
        self.refused = 0
        self.fed: list[Any] = []
        self.troubles: list[str] = []

    async def save(self, batches: list[Batch]) -> None:
        await asyncio.sleep(0)
        if self.full:
            self.refused += 1
            raise DiskFull(Path("journals"), "no room")
        self.batches += batches

    def journal(self) -> OwnJournal:
        """A journal on this disk."""
        signer = identities.signer("a")
        return OwnJournal(
            "a", BOOT, signer, self.save, self.fed.append, self.troubles.append, retry_s=0.01
        )

    def events(self, kind: str) -> list[str]:
        """What was written, in order."""
        return [e.event for b in self.batches if b.key.kind == kind for e in b.entries]


def write(journal: OwnJournal, kind: str, *events: str) -> None:
    for event in events:
        journal.write(kind, event, "subject", "cause", {"a": "b"})


async def test_records_come_before_data_each_in_order_and_signed() -> None:
    disk = Disk()
    journal = disk.journal()
    write(journal, "data", "d1", "d2")
    write(journal, "record", "r1", "r2")
    assert journal.records == 2
    assert await journal.flush()
    write(journal, "record", "r3")
    assert await journal.flush()
    assert disk.events("record") == ["r1", "r2", "r3"]
    assert disk.events("data") == ["d1", "d2"]
    assert disk.batches[0].key == LogKey("a", 3, b"nonce---", "record")
    assert disk.fed == [BatchSaved(batch) for batch in disk.batches]
    assert journal.records == 3
    for batch in disk.batches:
        assert open_batch(batch.envelope, lambda _: [identities.signer("a").public_key]) == batch


async def test_running_it_writes_records_at_once_and_data_soon() -> None:
    disk = Disk()
    journal = disk.journal()
    task = asyncio.create_task(journal.run())
    write(journal, "data", "d1")
    await until(lambda: disk.events("data"))
    write(journal, "record", "r1")
    await until(lambda: disk.events("record"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_a_full_disk_refuses_is_written_later_in_order_and_said() -> None:
    disk = Disk()
    disk.full = True
    journal = disk.journal()
    write(journal, "record", "r1")
    write(journal, "data", "d1")
    assert not await journal.flush()
    write(journal, "record", "r2")
    assert not await journal.flush()
    assert disk.batches == []
    assert disk.troubles == ["journals: no room"] * 2
    disk.full = False
    assert await journal.flush()
    assert await journal.flush()
    assert disk.events("record") == ["r1", "r2"]
    assert disk.events("data") == ["d1"]
    assert disk.troubles[-1] == ""
    records = [batch for batch in disk.batches if batch.key.kind == "record"]
    assert records[1].previous == records[0].digest


async def test_two_flushes_at_once_do_not_mix() -> None:
    disk = Disk()
    journal = disk.journal()
    write(journal, "record", "r1")
    first = asyncio.create_task(journal.flush())
    await asyncio.sleep(0)
    write(journal, "record", "r2")
    assert await asyncio.gather(first, journal.flush()) == [True, True]
    assert disk.events("record") == ["r1", "r2"]


async def test_running_it_goes_on_when_the_disk_does() -> None:
    disk = Disk()
    disk.full = True
    journal = disk.journal()
    task = asyncio.create_task(journal.run())
    write(journal, "record", "r1")
    await until(lambda: disk.refused >= 2)
    disk.full = False
    await until(lambda: disk.events("record") == ["r1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_came_while_the_disk_refused_waits_for_no_other_entry() -> None:
    disk = Disk()
    disk.full = True
    journal = disk.journal()
    task = asyncio.create_task(journal.run())
    write(journal, "record", "r1")
    await until(lambda: disk.refused >= 1)
    write(journal, "record", "r2")
    write(journal, "data", "d1")
    await until(lambda: disk.refused >= 3)
    disk.full = False
    await until(lambda: disk.events("record") == ["r1", "r2"])
    await until(lambda: disk.events("data") == ["d1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_flush_writes_all_that_waits() -> None:
    disk = Disk()
    disk.full = True
    journal = disk.journal()
    write(journal, "record", "r1")
    assert not await journal.flush()
    write(journal, "record", "r2")
    disk.full = False
    assert await journal.flush()
    assert disk.events("record") == ["r1", "r2"]


async def test_dropped_data_is_counted_in_the_log_itself() -> None:
    disk = Disk()
    journal = disk.journal()
    write(journal, "data", *(f"d{n}" for n in range(PENDING_MAX["data"] + 3)))
    assert await journal.flush()
    data = [batch for batch in disk.batches if batch.key.kind == "data"]
    assert data[0].dropped == 3
    assert data[0].first == 4
    assert len(disk.events("data")) == PENDING_MAX["data"]


async def test_dropped_records_are_counted_in_a_record() -> None:
    disk = Disk()
    journal = disk.journal()
    write(journal, "record", *("r" for _ in range(PENDING_MAX["record"] + 2)))
    assert await journal.flush()
    last = disk.batches[-1].entries[-1]
    assert (last.event, dict(last.fields)) == ("journal.lost", {"records": "2"})
    assert all(batch.dropped == 0 for batch in disk.batches)


async def test_an_entry_without_a_name_does_not_cost_its_batch() -> None:
    disk = Disk()
    journal = disk.journal()
    write(journal, "record", "")
    assert await journal.flush()
    assert disk.events("record") == ["unnamed"]

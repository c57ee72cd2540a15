"""The edge: what goes at once, what waits for the disk, and what if the disk refuses."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mesh.core.messages import Run
from mesh.events import (
    BatchesSent,
    BatchLost,
    BatchSaved,
    Drop,
    SaveBatch,
    SaveBlob,
    SaveDocument,
    Send,
    SendBatches,
    SendBlobs,
    Tick,
    WriteJournal,
)
from mesh.exchange.frames import parse_frame
from mesh.hashing import sha256
from node.agent import disk_work
from node.agent.edge import Edge
from tests.node.agent.stores import StubbornDisk, Writer, make_stores
from tests.node.agent.waiting import until


class Core:
    """Answers an event of a name with instructions, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ticked = asyncio.Event()

    def handle(self, event: Any, now_ms: int) -> Sequence[Any]:
        if isinstance(event, Tick):
            assert event.wall_ms > 0
            self.ticked.set()
            return []
        self.heard.append(event)
        return []


class Rig:
    """An edge with a disk that can refuse, and everything that it did, in order."""

    def __init__(self, folder: Path) -> None:
        self.disk = StubbornDisk()
        self.stores = make_stores(folder, self.disk)
        self.core = Core()
        self.did: list[Any] = []
        self.troubles: list[str] = []
        others = {kind: self.did.append for kind in (WriteJournal, Run)}
        self.edge = Edge(self.core, self.stores, self, others, self.troubles.append)
        self.edge.disk._retry_s = 0.02

    def send(self, peer: str, data: bytes) -> None:
        self.did.append((peer, data))

    def drop(self, peer: str, cause: str) -> None:
        self.did.append((peer, cause))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Rig]:
    rig = Rig(folder)
    task = asyncio.create_task(rig.edge.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(name: str) -> Run:
    return Run((), (), (), (), name)


async def test_a_send_before_a_save_goes_at_once_and_one_after_it_waits(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.edge.carry([Send("p", b"1"), SaveDocument("d", b"data"), Send("p", b"2")])
        assert rig.did == [("p", b"1")]
        assert rig.stores.documents.get("d") is None
        await until(lambda: len(rig.did) == 2)
        assert rig.stores.documents.get("d") == b"data"
        assert rig.troubles == []


async def test_everything_is_saved_in_order_and_the_core_ticks(tmp_path: Path) -> None:
    batch = Writer().batch("one")
    async with running(tmp_path) as rig:
        await rig.core.ticked.wait()
        rig.edge.carry(
            [SaveBlob(b"blob"), SaveBatch(batch), SaveDocument("d", b"1"), Drop("p", "")]
        )
        await until(lambda: rig.did == [("p", "")])
        assert rig.stores.blobs.get(sha256(b"blob")) == b"blob"
        assert rig.stores.journals.tails()[batch.key].sequence == 1
        assert rig.core.heard == [BatchSaved(batch)]


async def test_a_document_that_is_refused_is_tried_again_and_what_follows_waits(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        rig.disk.refuse = {"documents"}
        rig.edge.carry([SaveDocument("d", b"1"), Send("p", b"1"), SaveDocument("e", b"2")])
        rig.edge.carry([SaveDocument("f", b"3"), Send("p", b"2")])
        await until(lambda: rig.disk.refused >= 3)
        assert rig.did == []
        assert rig.edge.disk.refuses
        assert "free space or raise the quota" in rig.troubles[0]
        rig.disk.refuse = set()
        await until(lambda: len(rig.did) == 2)
        assert rig.did == [("p", b"1"), ("p", b"2")]
        found = [rig.stores.documents.get(name) for name in ("d", "e", "f")]
        assert found == [b"1", b"2", b"3"]
        assert rig.troubles[-1] == ""
        assert not rig.edge.disk.refuses


async def test_a_stubborn_document_does_not_stop_journals_or_the_rest(tmp_path: Path) -> None:
    batch = Writer().batch("one")
    async with running(tmp_path) as rig:
        rig.disk.refuse = {"documents"}
        rig.edge.carry([SaveDocument("d", b"1"), Send("p", b"1")])
        rig.edge.carry([SaveBatch(batch), Send("p", b"2")])
        await until(lambda: rig.did)
        assert rig.did == [("p", b"2")]
        assert rig.core.heard == [BatchSaved(batch)]
        assert rig.troubles[-1] != ""


async def test_a_batch_that_is_refused_takes_the_later_ones_of_its_log_with_it(
    tmp_path: Path,
) -> None:
    writer, other = Writer("b"), Writer("c")
    first, second, third = writer.batch("one"), writer.batch("two"), writer.batch("three")
    async with running(tmp_path) as rig:
        rig.disk.refuse = {"/b/"}
        rig.edge.carry([SaveBatch(first), SaveBatch(second), Send("p", b"1")])
        rig.edge.carry([SaveBatch(third)])
        rig.edge.carry([SaveBatch(other.batch("one"))])
        await until(lambda: len(rig.core.heard) == 2)
        assert rig.core.heard[0] == BatchLost(writer.key, "the disk refused")
        assert isinstance(rig.core.heard[1], BatchSaved)
        assert rig.did == [("p", b"1")]
        assert writer.key not in rig.stores.journals.tails()  # no hole: nothing after the first
        rig.disk.refuse = set()
        rig.edge.carry([SaveBatch(first), SaveBatch(second), SaveBatch(third)])
        await until(lambda: len(rig.core.heard) == 5)
        assert rig.stores.journals.tails()[writer.key].sequence == 3
        await until(lambda: rig.troubles[-1] == "")


async def test_a_disk_that_works_again_is_told_though_there_is_nothing_more_to_write(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        rig.disk.refuse = {"/b/", "documents"}
        rig.edge.carry([SaveBatch(Writer("b").batch("one"))])
        await until(lambda: rig.disk.refused >= 3)
        assert rig.troubles[-1] != ""
        rig.disk.refuse = set()
        await until(lambda: rig.troubles[-1] == "")
        assert not rig.edge.disk.refuses


async def test_a_disk_that_refuses_a_second_time_is_not_taken_for_one_that_works(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        for node in ("b", "c"):
            refused = rig.disk.refused
            rig.disk.refuse = {f"/{node}/", "documents"}
            rig.edge.carry([SaveBatch(Writer(node).batch("one"))])
            # The batch, and what looks whether the disk works again.
            await until(lambda before=refused: rig.disk.refused >= before + 3)
            assert rig.troubles[-1] != ""
            rig.disk.refuse = set()
            await until(lambda: rig.troubles[-1] == "")


async def test_an_older_run_that_waited_does_not_come_after_a_newer_one(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.edge.carry([SaveDocument("d", b"1"), run("old"), Send("p", b"1")])
        rig.edge.carry([run("new")])
        await until(lambda: len(rig.did) == 2)
        assert rig.did == [run("new"), ("p", b"1")]
        rig.edge.carry([SaveDocument("d", b"2"), run("newest")])
        await until(lambda: rig.did[-1] == run("newest"))


async def test_what_waits_for_too_long_is_given_up_oldest_first(tmp_path: Path) -> None:
    entry = WriteJournal("record", "e", "s", "c")
    async with running(tmp_path) as rig:
        rig.disk.refuse = {"documents"}
        rig.edge.carry([SaveDocument("first", b"1"), Send("p", b"1"), entry])
        for number in range(disk_work.WAITING_MAX):
            rig.edge.carry([SaveDocument(f"d{number}", b"1")])
        await until(lambda: rig.did)
        assert rig.did == [entry]  # the send rested on what is not on disk
        rig.disk.refuse = set()
        last = f"d{disk_work.WAITING_MAX - 1}"
        await until(lambda: rig.stores.documents.get(last) is not None)
        assert rig.stores.documents.get("first") is None


async def test_it_is_settled_when_all_that_was_asked_for_is_done(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        for done in (20, 40):  # it is idle in between
            for number in range(done - 20, done):
                rig.edge.carry([SaveDocument(f"d{number}", b"1"), Send("p", b"1")])
            await rig.edge.disk.settled()
            assert len(rig.did) == done
            assert rig.stores.documents.get(f"d{done - 1}") == b"1"


async def test_it_is_settled_when_what_is_left_waits_for_a_disk_that_refuses(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        rig.disk.refuse = {"documents"}
        rig.edge.carry([SaveDocument("d", b"1"), Send("p", b"1")])
        await rig.edge.disk.settled()
        assert rig.disk.refused
        assert rig.did == []


async def test_work_that_has_ended_settles_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.core.ticked.wait()
        waiting = asyncio.create_task(rig.edge.disk.settled())
    rig.edge.carry([SaveDocument("d", b"1")])
    await rig.edge.disk.settled()
    await waiting
    assert rig.stores.documents.get("d") is None


async def test_a_disk_that_hangs_holds_up_the_end_for_a_while_only(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.edge.disk._settle_s = 0.02
        rig.disk.well.clear()
        rig.edge.carry([SaveDocument("d", b"1"), Send("p", b"1")])
        await rig.edge.disk.settled()
        assert rig.did == []
        rig.disk.well.set()


async def test_data_is_durable_when_it_is_said_to_be(tmp_path: Path) -> None:
    batch = Writer(kind="data").batch("one")
    async with running(tmp_path) as rig:
        rig.edge.carry([SaveBatch(batch)])
        await until(lambda: rig.core.heard)
        assert rig.stores.journals.flush() == []


async def test_small_blobs_are_sent_and_those_that_are_not_here_are_named(tmp_path: Path) -> None:
    blobs = [bytes([number]) * 200_000 for number in range(2)]
    async with running(tmp_path) as rig:
        for blob in blobs:
            rig.stores.blobs.put(blob)
        digests = (*map(sha256, blobs), sha256(b"other"))
        rig.edge.carry([SendBlobs("p", digests)])
        await until(lambda: len(rig.did) == 2)
        frames = [parse_frame(data).documents for _, data in rig.did]
        assert [list(frame.blobs) for frame in frames] == [[blobs[0]], [blobs[1]]]
        assert list(frames[1].missing_blobs) == [sha256(b"other")]


async def test_a_blob_that_the_disk_cannot_read_is_missing(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        digest = rig.stores.blobs.put(b"blob")
        path = tmp_path / "blobs" / "small" / digest.hex()
        path.unlink()
        path.mkdir()  # reading a folder is an I/O error
        rig.edge.carry([SendBlobs("p", (digest,))])
        await until(lambda: rig.did)
        assert list(parse_frame(rig.did[0][1]).documents.missing_blobs) == [digest]


async def test_journals_are_read_and_sent(tmp_path: Path) -> None:
    writer = Writer()
    batches = [writer.batch("one"), writer.batch("two", "three")]
    async with running(tmp_path) as rig:
        rig.stores.journals.append(batches)
        rig.edge.carry([SendBatches("p", writer.key, 1), SendBatches("p", writer.key, 3)])
        await until(lambda: len(rig.core.heard) == 2)
        assert rig.core.heard == [
            BatchesSent("p", writer.key, 3),
            BatchesSent("p", writer.key, 3),  # nothing was found after 3
        ]
        (sent,) = rig.did
        assert list(parse_frame(sent[1]).journal_batches.batches) == [batches[1].envelope]


async def test_an_instruction_that_nobody_knows_is_a_fault_of_ours(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(AssertionError, match="nobody carries out object"):
        rig.edge.carry([object()])

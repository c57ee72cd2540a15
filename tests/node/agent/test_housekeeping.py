"""Damage is told, what was acknowledged long ago is trimmed, acknowledgements are kept."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mesh.core.messages import DiskRoom, Trouble
from mesh.journals.acknowledgements import acknowledge
from mesh.journals.limits import COPY_BYTES_A_NODE_MAX, KEPT_AFTER_ACKNOWLEDGEMENT_MS
from mesh.journals.logs import Logs
from node.agent import housekeeping
from node.agent.edge import now_ms
from node.agent.housekeeping import ACKNOWLEDGEMENTS, Housekeeping, recall, remember
from node.disk.errors import DiskFailed
from node.disk.files import Disk
from node.disk.journals import JournalStore
from tests.node.agent.stores import Writer
from tests.node.agent.waiting import until
from tests.sim import identities

ACKS = identities.signer("acks")


class UnsyncedDisk(Disk):
    """A real disk that syncs no copy of the node b's."""

    def sync(self, path: Path, handle: int) -> None:
        if path.parent.parent.name == "b":
            raise DiskFailed(path, "Input/output error")
        super().sync(path, handle)


class Rig:
    """Housekeeping over a folder of journals."""

    def __init__(self, folder: Path, quota: int = 1 << 20, disk: Disk | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.store = JournalStore(folder, quota, "a", disk=disk or Disk())
        self.logs = Logs(self.store.tails(), own="a", sizes=self.store.segments())
        self.saved: list[tuple[str, bytes]] = []
        self.wrote: list[tuple[str, ...]] = []
        self.fed: list[Any] = []
        self.takes = True
        self.short = False
        self.keeper = Housekeeping(
            self.store,
            self.logs,
            asyncio.to_thread,
            self.save,
            self.write,
            self.fed.append,
            lambda: self.short,
        )

    def save(self, name: str, data: bytes) -> bool:
        if self.takes:
            self.saved.append((name, data))
        return self.takes

    def write(self, *entry: Any) -> None:
        self.wrote.append(entry)


async def test_a_disk_that_is_short_of_room_is_told_again_and_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j")
    await rig.keeper.look()
    assert rig.fed == []
    rig.short = True
    await rig.keeper.look()
    await rig.keeper.look()
    rig.short = False
    await rig.keeper.look()
    await rig.keeper.look()
    assert rig.fed == [DiskRoom(True), DiskRoom(True), DiskRoom(False)]


async def test_room_that_cannot_be_asked_for_ends_nothing(tmp_path: Path) -> None:
    def fails() -> bool:
        raise DiskFailed(tmp_path, "Input/output error")

    rig = Rig(tmp_path / "j")
    rig.keeper._is_short = fails
    await rig.keeper.look()
    assert rig.fed == []


async def test_a_record_that_flipped_is_told_and_an_alarm(tmp_path: Path) -> None:
    writer = Writer("b")
    rig = Rig(tmp_path / "j")
    rig.store.append([writer.batch("one"), writer.batch("two"), writer.batch("three")])
    path = next(p for p in (tmp_path / "j" / "b").rglob("*") if p.is_file())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    rig = Rig(tmp_path / "j")
    await rig.keeper.tell()
    ((kind, event, subject, _, fields),) = rig.wrote
    assert (kind, event, subject, fields) == (
        "record",
        "journal.damaged",
        str(writer.key),
        {"after": "1"},
    )
    (trouble,) = rig.fed
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.subject) == ("Damaged", str(writer.key))
    assert "they come again from who has a copy" in trouble.message
    await rig.keeper.tell()
    assert len(rig.wrote) == 1  # once


async def test_a_write_that_was_cut_short_is_no_alarm(tmp_path: Path) -> None:
    writer = Writer("b")
    rig = Rig(tmp_path / "j")
    rig.store.append([writer.batch("one"), writer.batch("two")])
    path = next(p for p in (tmp_path / "j" / "b").rglob("*") if p.is_file())
    path.write_bytes(path.read_bytes()[:-3])
    rig = Rig(tmp_path / "j")
    await rig.keeper.tell()
    assert [entry[1] for entry in rig.wrote] == ["journal.torn"]
    assert rig.fed == []


async def test_data_beyond_the_quota_is_counted(tmp_path: Path) -> None:
    writer = Writer("b", "data")
    rig = Rig(tmp_path / "j", quota=1000)
    for _ in range(20):
        batch = writer.batch("one")
        rig.store.append([batch])
        rig.logs.stored(batch)
    await rig.keeper.tell()
    assert {entry[1] for entry in rig.wrote} == {"journal.dropped"}
    assert rig.wrote[0][4]["first"] == "1"
    (trouble,) = rig.fed
    assert (trouble.kind, trouble.severity) == ("Journal", "warning")
    lost = sum(int(fields["last"]) - int(fields["first"]) + 1 for *_, fields in rig.wrote)
    assert trouble.message.startswith(f"{lost} data entries were lost under the quota")
    await rig.keeper.tell()
    assert len(rig.fed) == 1, "told once"


async def test_what_was_acknowledged_seven_days_ago_is_removed(tmp_path: Path) -> None:
    writer = Writer("b")
    rig = Rig(tmp_path / "j")
    batch = writer.batch("one", "two")
    rig.store.append([batch])
    rig.logs.stored(batch)
    envelope = acknowledge(writer.key, 2, identities.MASTER, ACKS)
    rig.logs.acknowledge(envelope, [ACKS.public_key], now_ms() - KEPT_AFTER_ACKNOWLEDGEMENT_MS - 1)
    await rig.keeper.trim()
    assert rig.store.tails() == {}
    assert rig.logs.held(writer.key) is None
    assert rig.logs.acknowledged(writer.key) == 2  # so nobody fetches it again


async def test_copies_that_a_master_has_go_at_once_where_they_are_many(tmp_path: Path) -> None:
    writer, own = Writer("b"), Writer("a")
    Rig(tmp_path / "j").store.append([writer.batch("one"), own.batch("one")])
    rig = Rig(tmp_path / "j")
    for key in (writer.key, own.key):
        envelope = acknowledge(key, 1, identities.MASTER, ACKS)
        rig.logs.acknowledge(envelope, [ACKS.public_key], now_ms())
    await rig.keeper.relieve()
    assert set(rig.store.tails()) == {writer.key, own.key}
    rig.logs.copies.stored(Writer("b", counter=2).key, 1, COPY_BYTES_A_NODE_MAX)
    assert rig.logs.copies.full() == ["b"]
    await rig.keeper.relieve()
    assert set(rig.store.tails()) == {own.key}
    assert rig.logs.acknowledged(writer.key) == 1


async def test_room_that_trimming_did_not_make_is_not_counted(tmp_path: Path) -> None:
    writer, later = Writer("b"), Writer("b", counter=2)
    Rig(tmp_path / "j").store.append([writer.batch(f"event {number}") for number in range(4)])
    rig = Rig(tmp_path / "j")
    lying = sum(size for _, size in rig.store.segments()[writer.key])
    rig.logs.copies.accepted(later.key, COPY_BYTES_A_NODE_MAX - lying)
    rig.logs.acknowledge(acknowledge(writer.key, 3, identities.MASTER, ACKS), [ACKS.public_key], 0)
    await rig.keeper.relieve()
    assert set(rig.store.tails()) == {writer.key}, "its one segment has an entry that no master has"
    assert not rig.logs.copies.fits(later.key, 1)
    rig.logs.acknowledge(acknowledge(writer.key, 4, identities.MASTER, ACKS), [ACKS.public_key], 0)
    await rig.keeper.relieve()
    assert rig.store.tails() == {}
    assert rig.logs.copies.fits(later.key, lying)


async def test_a_copy_that_cannot_be_synced_is_told_and_an_alarm(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j", disk=UnsyncedDisk())
    copy, own = Writer("b", "data"), Writer("a", "data")
    rig.store.append([copy.batch("one"), own.batch("one")])
    rig.store.flush([own.key])
    await rig.keeper.tell()
    ((kind, event, subject, _, _),) = rig.wrote
    assert (kind, event, subject) == ("record", "journal.unsynced", str(copy.key))
    (trouble,) = rig.fed
    assert isinstance(trouble, Trouble)
    assert "restart the daemon" in trouble.message


async def test_acknowledgements_are_kept_when_they_are_new(tmp_path: Path) -> None:
    writer = Writer("b")
    rig = Rig(tmp_path / "j")
    envelope = acknowledge(writer.key, 2, identities.MASTER, ACKS)
    rig.logs.acknowledge(envelope, [ACKS.public_key], now_ms())
    rig.takes = False
    await rig.keeper.keep()
    rig.takes = True
    await rig.keeper.keep()
    await rig.keeper.keep()
    ((name, data),) = rig.saved
    assert name == ACKNOWLEDGEMENTS
    again = Logs({}, own="a")
    recall(data, again, [identities.signer("other").public_key])
    assert again.acknowledged(writer.key) == 0  # a key that may not acknowledge any more
    recall(data, again, [ACKS.public_key])
    assert again.acknowledged(writer.key) == 2
    recall(None, again, [])


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs({}, own="a")
    for counter in (1, 2):
        key = Writer("b", counter=counter).key
        envelope = acknowledge(key, 2, identities.MASTER, ACKS)
        logs.acknowledge(envelope, [ACKS.public_key], 0)
    monkeypatch.setattr(housekeeping, "KEPT_BYTES_MAX", len(envelope) + 20)
    assert len(remember(logs)) < 2 * len(envelope)


async def test_running_it_tells_and_trims_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "j", quota=1000)
    writer = Writer("b", "data")
    for _ in range(20):
        rig.store.append([writer.batch("one")])
    task = asyncio.create_task(rig.keeper.run())
    await until(lambda: rig.wrote)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""What is wrong at a master itself is an alarm there, until it is over."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mesh.core.alarms import CONTINUES_MS
from mesh.core.troubles import TROUBLES
from mesh.events import Notice
from mesh.journals.keys import LogKey
from mesh.registers.store import Clone
from node.agent.config import Config, EnrolmentSection, PeerSection
from node.agent.drops import QUIET_S, Drops
from node.agent.edge import now_ms
from node.agent.master_alarms import MasterAlarms
from node.agent.master_daemon import MasterDaemon
from node.disk.authority_folder import initialise
from node.disk.authority_keys import MasterKeys
from node.disk.errors import DiskFailed
from node.disk.folder import DataFolder
from node.disk.journals import Dropped, Unsynced
from node.disk.recovery import Damage
from protos.documents_pb2 import Boot
from protos.troubles_pb2 import KeptTroubles
from tests.node.agent.waiting import until

LOG = LogKey("a", 1, b"n" * 8, "data")


class Rig:
    """A master's alarms over a disk that says what it is told to say."""

    def __init__(self, kept: bytes = b"") -> None:
        self.reports: list[Any] = []
        self.short = False
        self.broken = False
        self.kept = kept
        self.master = MasterAlarms(self.told, self.is_short, self.in_thread, kept, self.carry)

    async def in_thread(self, function: Any) -> Any:
        return function()

    def carry(self, instructions: Sequence[Any]) -> None:
        for saved in instructions:
            assert saved.name == TROUBLES
            self.kept = saved.data

    def told(self) -> list[Any]:
        told, self.reports = self.reports, []
        return told

    def is_short(self) -> bool:
        if self.broken:
            raise DiskFailed("blobs", "Input/output error")
        return self.short

    def look(self, *reports: Any, short: bool = False, broken: bool = False) -> list[str]:
        self.reports, self.short, self.broken = list(reports), short, broken
        asyncio.run(self.master.look())
        return [f"{one.kind} {one.subject}" for one in self.master.alarms.states()]


def test_a_disk_that_is_short_of_room_or_cannot_say() -> None:
    rig = Rig()
    assert rig.look() == []
    assert rig.look(short=True) == ["Disk reserve"]
    assert rig.look(broken=True) == ["Disk reserve"]
    assert "Input/output error" in rig.master.alarms.states()[0].message
    assert rig.look() == []
    rig.master.disk("no room")
    assert rig.look() == ["DataFolder state"]
    rig.master.disk("")
    assert rig.look() == []


def test_what_was_dropped_damaged_or_not_synced() -> None:
    rig = Rig()
    assert rig.look(Dropped(LOG, 1, 10, gone=False)) == ["Journal data"]
    assert rig.look(Dropped(LOG, 11, 12, gone=True)) == ["Journal data"]
    assert rig.master.alarms.states()[0].message.startswith("12 data entries were lost")
    assert f"DataFolder {LOG}" in rig.look(Unsynced(LOG, "the disk refused"))
    assert len(rig.look(Damage(LOG, 5, torn=True))) == 2
    assert f"Damaged {LOG}" in rig.look(Damage(LOG, 5, torn=False))


def test_peers_that_contradict_each_other() -> None:
    rig = Rig()
    clone = Clone("a", Boot(counter=3), Boot(counter=3))
    rig.master.noticed(Notice("clone", "a", "from b", clone))
    rig.master.noticed(Notice("fork", "b", "from a"))
    assert rig.look() == ["Clone a", "JournalFork b"]


def test_a_box_that_is_not_taken_in() -> None:
    rig = Rig()
    rig.master.box("north/d (1)", "another node has this ID")
    assert rig.look() == ["Admission north/d (1)"]
    rig.master.box("north/d (1)", "")
    assert rig.look() == []


def test_what_is_still_so_after_a_restart_is_the_same_alarm() -> None:
    rig = Rig()
    for refused in ("in use", "", "in use"):
        rig.master.box("north/d (1)", refused)
    rig.look(short=True)
    before = rig.master.alarms.states()
    again = Rig(rig.kept)
    again.master.box("north/d (1)", "in use")
    assert again.look(short=True) == ["Admission north/d (1)", "Disk reserve"]
    assert again.master.alarms.states() == before
    assert before[0].count == 2


def test_what_is_over_is_counted_from_where_it_was() -> None:
    rig = Rig()
    rig.look(short=True)
    rig.look()
    again = Rig(rig.kept)
    again.look(short=True)
    assert again.master.alarms.states()[0].count == 2


def test_a_master_that_ends_as_planned_keeps_what_it_knows_at_once() -> None:
    rig = Rig()
    rig.master.box("north/d (1)", "in use")
    rig.master.ends()
    (kept,) = KeptTroubles.FromString(rig.kept).active
    assert kept.subject == "north/d (1)"


def test_what_did_not_come_again_is_over_two_minutes_after_the_start() -> None:
    rig = Rig()
    rig.master.box("north/d (1)", "in use")
    rig.look()
    again = Rig(rig.kept)
    again.look()
    assert KeptTroubles.FromString(again.kept).active
    again.master.tick(now_ms() + CONTINUES_MS)
    assert not KeptTroubles.FromString(again.kept).active


def test_a_masters_alarms_are_on_its_disk_when_it_has_ended(tmp_path: Path) -> None:
    paths = initialise(tmp_path / "mesh", "acme", "master-1", "ada")
    keys, local = MasterKeys.load(paths.master), "127.0.0.1:0"
    config = Config(peer=PeerSection(listen=local), enrolment=EnrolmentSection(listen=local))

    async def story() -> None:
        with DataFolder(paths.master) as folder:
            daemon, stop = MasterDaemon(config, folder, keys), asyncio.Event()
            daemon.alarms.box("north/d (1)", "in use")
            running = asyncio.create_task(daemon.run(stop))
            await until(lambda: folder.documents.get(TROUBLES))
            daemon.alarms.box("north/e (2)", "in use")
            stop.set()
            await running
            assert b"north/e" in (folder.documents.get(TROUBLES) or b"")
            again = MasterDaemon(config, folder, keys)
            again.alarms.box("north/d (1)", "in use")
            (kept,) = again.alarms.alarms.states()
            (was, _) = daemon.alarms.alarms.states()
            assert kept == was
            again.store.close()

    asyncio.run(story())


def test_what_a_master_has_is_no_loss_and_after_a_while_the_alarm_ends() -> None:
    drops = Drops("")
    drops.heard(Dropped(LOG, 1, 10, gone=False), 10, 0.0)
    assert drops.message(0.0) == ""
    drops.heard(Dropped(LOG, 11, 20, gone=False), 15, 1.0)
    assert drops.entries == 5
    assert drops.message(QUIET_S + 0.9) != ""
    assert drops.message(QUIET_S + 1.0) == ""
    drops.heard(Dropped(LOG, 21, 21, gone=False), 15, 2 * QUIET_S)
    assert drops.message(2 * QUIET_S).startswith("6 data entries")

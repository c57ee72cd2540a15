"""What a master makes of the certificates that registers show: takes in, tries again, leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.core.admissions import REPEATED_MAX
from mesh.hashing import sha256
from mesh.heads.certificates import read_certificate
from mesh.registers.store import NodeKeys, Record
from node.agent import boxes as boxes_module
from node.agent.boxes import Boxes
from node.disk.authority_folder import initialise
from node.master.store import StoreRefused
from protos.documents_pb2 import StableRegister
from tests.node.agent.waiting import until
from tests.node.master.fleet import Fleet, Machine
from tests.node.master.test_delegating import Operator


def subject(box: bytes) -> str:
    """What the alarm of a box is about."""
    certified = read_certificate(box)
    name, number = certified.identity.name, certified.serial
    return f"north/{name} ({number}, {sha256(box).hex()[:8]})"


class Hearing:
    """A master that hears registers of north, whose authority may refuse to write."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet(initialise(folder / "mesh", "acme", "master-1", "ann"), folder)
        self.fleet.join("a", "north")
        self.operator = Operator(self.fleet, count=9)
        self.operator.ask()
        self.alarms: dict[str, str] = {}
        self.tried = 0
        self.boxes = Boxes(self.fleet.authority, self._announce, self._alarm, retry_s=0.01)
        self.taking = asyncio.create_task(self.boxes.run())
        self.asked: list[bytes] = []
        self.wrong: list[Exception] = []
        self._take_in = self.fleet.authority.take_in
        self.fleet.authority.take_in = self._asked  # type: ignore[method-assign]

    async def _announce(self) -> None:
        """Nobody has a link. All that waited was tried."""
        self.tried += 1

    def _alarm(self, name: str, message: str) -> None:
        self.alarms.pop(name, None)
        self.alarms |= {name: message} if message else {}

    def _asked(self, der: bytes) -> int:
        self.asked.append(der)
        if self.wrong:
            raise self.wrong.pop()
        return self._take_in(der)

    def hear(self, *certificates: bytes) -> None:
        *repeated, own = certificates
        body = StableRegister(certificate=own, admissions=repeated)
        self.boxes.heard(Record(body, b"", b"", NodeKeys("d", "north", b"", b"")))

    def nodes(self) -> set[str]:
        return set(self.fleet.authority.content.nodes)


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Hearing]:
    hearing = Hearing(tmp_path)
    yield hearing
    hearing.taking.cancel()
    await asyncio.gather(hearing.taking, return_exceptions=True)
    hearing.fleet.store.close()


async def test_a_box_that_could_not_be_written_is_taken_in_once_it_can(master: Hearing) -> None:
    master.wrong = [StoreRefused("the disk is full")] * 2
    master.hear(master.operator.box(1, "d"))
    await until(lambda: "d" in master.nodes())
    assert len(master.asked) == 3
    master.hear(master.operator.box(2, "e"), master.operator.box(3, "f"))
    await until(lambda: {"e", "f"} <= master.nodes())
    assert len(master.asked) == 5


async def test_what_no_delegation_that_stands_has_issued_is_not_looked_at_again(
    master: Hearing,
) -> None:
    forged = [Operator(master.fleet).box(number, "x") for number in (1, 2)]
    enrolled = master.fleet.authority.content.nodes["a"].certificate
    master.hear(*forged, b"rubbish", enrolled)
    master.hear(master.operator.box(9, "a"))  # genuine, and its ID is taken
    master.hear(master.operator.box(1, "d"))
    await until(lambda: "d" in master.nodes())
    await asyncio.sleep(0.05)
    assert len(master.asked) == 2


async def test_a_register_repeats_so_many_and_so_many_wait(
    master: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [master.operator.box(number, f"n{number}") for number in range(1, REPEATED_MAX + 3)]
    master.hear(*boxes)
    await until(lambda: master.tried == 1)
    assert f"n{REPEATED_MAX + 2}" in master.nodes()
    assert f"n{REPEATED_MAX + 1}" not in master.nodes()
    monkeypatch.setattr(boxes_module, "WAITING_MAX", 1)
    master.hear(master.operator.box(7, "e"), master.operator.box(8, "f"))
    await until(lambda: "e" in master.nodes())
    await asyncio.sleep(0.05)
    assert "f" not in master.nodes()


async def test_a_box_that_is_refused_for_good_is_an_alarm_until_it_is_admitted_anew(
    master: Hearing,
) -> None:
    machine = Machine()
    box = master.operator.box(9, "a", machine)
    master.hear(box)
    await until(lambda: list(master.alarms) == [subject(box)])
    assert subject(box).startswith("north/a (9, ")
    assert "admit the box under another ID" in master.alarms[subject(box)]
    assert "meshctl delegate --end" in master.alarms[subject(box)]
    master.hear(box)
    master.hear(master.operator.box(8, "d", machine))
    await until(lambda: "d" in master.nodes() and not master.alarms)
    tried = len(master.asked)
    master.hear(box, master.operator.box(7, "e"))
    await until(lambda: "e" in master.nodes())
    assert len(master.asked) == tried + 1, "its machine is a node"


async def test_two_boxes_of_one_name_and_number_are_two_alarms(master: Hearing) -> None:
    machines = Machine(), Machine()
    one, other = (master.operator.box(9, "a", machine) for machine in machines)
    master.hear(one, other)
    await until(lambda: set(master.alarms) == {subject(one), subject(other)})
    master.hear(master.operator.box(8, "d", machines[0]))
    await until(lambda: list(master.alarms) == [subject(other)])


async def test_a_box_with_the_signing_key_of_another_node_is_an_alarm_and_waits_no_more(
    master: Hearing,
) -> None:
    machine, other = Machine(), Machine()
    other.signing_key = machine.signing_key
    master.hear(master.operator.box(1, "d", machine))
    await until(lambda: "d" in master.nodes())
    box = master.operator.box(2, "e", other)
    master.hear(box)
    await until(lambda: list(master.alarms) == [subject(box)])
    assert "has keys of 'd'" in master.alarms[subject(box)]
    await until(lambda: master.tried > 5)
    assert len(master.asked) == 2, "it is refused for good"
    master.fleet.authority.revoke("d", "stolen")
    await until(lambda: "were revoked" in master.alarms[subject(box)])
    assert len(master.asked) == 2


async def test_a_refused_box_is_taken_in_once_no_rule_is_against_it(master: Hearing) -> None:
    master.hear(master.operator.box(9, "a"))
    await until(lambda: bool(master.alarms))
    master.fleet.authority.revoke("a", "it is gone for good")
    await until(lambda: not master.alarms)
    await until(lambda: master.fleet.authority.content.nodes["a"].admitted != "")


async def test_who_ends_the_delegation_wants_no_alarm_of_its_boxes(master: Hearing) -> None:
    authority, delegation = master.fleet.authority, master.operator.ask().record.id
    master.hear(master.operator.box(1, "d"))
    await until(lambda: "d" in master.nodes())  # so it stands on
    master.hear(master.operator.box(9, "a"))
    await until(lambda: bool(master.alarms))
    authority.delegating(lambda d: d.end(delegation, "the key was lost"))
    await until(lambda: not master.alarms)
    other = Operator(master.fleet)
    other.ask()
    master.hear(master.operator.box(8, "a"), other.box(1, "e"))
    await until(lambda: "e" in master.nodes())
    assert len(master.asked) == 4
    assert not master.alarms


async def test_a_delegation_that_stands_no_more_takes_its_alarms_along(master: Hearing) -> None:
    master.hear(master.operator.box(9, "a"))
    await until(lambda: bool(master.alarms))
    delegation = master.operator.ask().record.id
    master.fleet.authority.delegating(lambda d: d.end(delegation, "it was lost"))
    await until(lambda: not master.alarms)


async def test_of_many_that_are_refused_so_many_are_alarms(
    master: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes_module, "REFUSED_MAX", 1)
    boxes = [master.operator.box(number, "a") for number in (9, 8)]
    master.hear(*boxes, master.operator.box(1, "d"))
    await until(lambda: "d" in master.nodes())
    assert list(master.alarms) == [subject(boxes[0])]

"""`meshctl delegate` and `meshctl admit` against real servers: whom they believe, and what they say
of a delegation of which they heard no end."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mesh.heads.snapshot import branches_of
from mesh.heads.trust import pin
from node.admin import client
from node.admin.backend import DelegationMade, NotFound, Refused
from node.admin.documents import Document
from node.agent.join_admitted import ask
from node.disk.delegation_folder import DelegationFolder
from protos.documents_pb2 import SiteSnapshot
from tests.node.admin.support import MemoryBackend, World, master_at, serving
from tests.node.master.fleet import Fleet

DAY_MS = 86_400_000
BAD_INPUT, UNREACHABLE, REFUSED = 2, 3, 4


def snapshot_of(fleet: Fleet) -> SiteSnapshot:
    """What holds at the site by what this authority says."""
    authority = fleet.authority
    found = [authority.branch(name) for name in branches_of("north")]
    return SiteSnapshot(
        root_key=authority.trust.root_key,
        trust=authority.trust.envelope,
        state=authority.state(),
        branches=[branch for branch, _ in filter(None, found)],
        blobs=[blob for _, blob in filter(None, found)],
    )


def fleet_of(world: World) -> Fleet:
    """An authority, whose site `north` has the nodes `a` and `c`."""
    fleet = Fleet(world.paths, world.folder)
    fleet.clock.now_ms = int(time.time() * 1000)
    for node in ("a", "c"):
        fleet.join(node, "north")
    return fleet


@dataclass
class Delegating(MemoryBackend):
    """A daemon that delegates by a real authority, and shows `shown` of the site."""

    fleet: Fleet | None = None
    shown: SiteSnapshot | None = None
    refuses: str = ""
    hangs: asyncio.Event | None = None
    made: list[str] = field(default_factory=list)

    async def delegate(
        self, site: str, count: int, valid_ms: int, authority: bytes
    ) -> DelegationMade:
        if self.refuses == "delegate":
            raise Refused("the site is closed")
        assert self.fleet is not None
        if site not in self.fleet.authority.content.rosters():
            raise NotFound(f"there is no site {site!r}")
        self.fleet.authority.delegating(lambda d: d.delegate(site, count, valid_ms, authority, "x"))
        (one,) = self.fleet.authority.content.delegations.values()
        self.made.append(one.id)
        if self.hangs is not None:
            await self.hangs.wait()
        return DelegationMade(one.id, one.until_unix_ms, 4)

    async def snapshot(self, site: str) -> SiteSnapshot:
        if self.refuses == "snapshot":
            raise Refused("not now")
        assert self.fleet is not None
        return self.shown or snapshot_of(self.fleet)


@dataclass
class Place:
    """A mesh, its master's backend, and where files go."""

    world: World
    fleet: Fleet
    master: Delegating

    @property
    def key(self) -> Path:
        return self.world.folder / "key"

    def folder(self) -> DelegationFolder:
        return DelegationFolder.load(self.key)

    async def delegate(self):
        out = ["--out", str(self.key)]
        return await self.world.run("delegate", "--site", "north", "--count", "2", *out)

    async def admit(self, name: str, *more: str):
        request = self.world.folder / f"{name}.request"
        if not request.exists():
            request.write_text(ask("north", self.world.folder / f"data-{name}", name))
        return await self.admit_file(request, *more)

    async def admit_file(self, request: Path, *more: str):
        out = ["--with", str(self.key), "--out", str(self.admission)]
        return await self.world.run("admit", str(request), *out, *more)

    @property
    def admission(self) -> Path:
        return self.world.folder / "admission"

    @asynccontextmanager
    async def node(
        self, shown: SiteSnapshot, nodes: Sequence[Document] = ()
    ) -> AsyncIterator[list[str]]:
        """The node `a`, with keys of its own, which shows this: options that name it."""
        documents = {"nodes": list(nodes)}
        backend = Delegating(is_node=True, fleet=self.fleet, shown=shown, documents=documents)
        async with serving(backend, self.world.node_tls("a")) as address:
            yield ["--address", address]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    world = World.make(tmp_path, "acme")
    fleet = fleet_of(world)
    backend = Delegating(fleet=fleet)
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        yield Place(world, fleet, backend)
    fleet.store.close()


@pytest.fixture
def thief(tmp_path: Path) -> Iterator[Fleet]:
    """An authority of the same names under a root of its own."""
    (tmp_path / "thief").mkdir()
    fleet = fleet_of(World.make(tmp_path / "thief", "acme"))
    yield fleet
    fleet.store.close()


async def test_a_box_is_admitted_by_what_a_node_knows_and_the_pin_is_said(place: Place) -> None:
    assert (await place.delegate()).exit_code == 0
    place.fleet.join("b", "north")
    now = snapshot_of(place.fleet)
    async with place.node(now) as at:
        done = await place.admit("d", "--replaces", "c", *at)
    assert done.exit_code == 0, done.output
    assert f"trust root has the pin {pin(now.root_key)}" in done.stdout
    assert place.folder().snapshot() == now


async def test_a_node_that_lives_is_replaced_only_by_who_asks_nobody(place: Place) -> None:
    await place.delegate()
    lives = [{"node": "a", "site": "north", "live": "live"}]
    async with place.node(snapshot_of(place.fleet), lives) as at:
        done = await place.admit("d", "--replaces", "a", *at)
        assert (done.exit_code, "a lives" in done.stderr) == (REFUSED, True), done.output
        assert not place.admission.exists()
        assert (await place.admit("d", "--replaces", "c", *at)).exit_code == 0
    assert (await place.admit("e", "--replaces", "a")).exit_code == 0


async def test_an_admission_is_written_whole_or_not_at_all(place: Place) -> None:
    await place.delegate()
    place.admission.write_bytes(b"another box's")
    before = place.world.folder / "before"
    before.hardlink_to(place.admission)
    assert (await place.admit("d")).exit_code == 0
    assert before.read_bytes() == b"another box's", "it was written over, byte by byte"
    assert place.admission.stat().st_mode & 0o777 == 0o644, "the box's agent may be another user"
    assert not place.admission.with_name("admission.new").exists()


async def test_an_admission_that_cannot_be_written_is_the_same_the_next_time(place: Place) -> None:
    await place.delegate()
    place.admission.mkdir()
    done = await place.admit("d")
    assert (done.exit_code, "the box gets the same again" in done.stderr) == (1, True), done.output
    (given,) = place.folder().admitted()
    place.admission.rmdir()
    assert (await place.admit("d")).exit_code == 0
    assert list(place.folder().admitted()) == [given]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_stolen_node_cannot_put_a_box_under_a_root_of_its_own(
    place: Place, thief: Fleet, kept: bool
) -> None:
    await place.delegate()
    before = place.folder().snapshot()
    if not kept:
        (place.key / "snapshot").unlink()
    authority = place.folder().authority
    thief.authority.delegating(lambda d: d.delegate("north", 2, DAY_MS, authority, "x"))
    async with place.node(snapshot_of(thief)) as at:
        done = await place.admit("d", "--replaces", "c", *at)
    assert (done.exit_code, "another trust root" in done.stderr) == (REFUSED, True), done.output
    assert place.folder().snapshot() == (before if kept else SiteSnapshot())
    assert not place.admission.exists()
    assert place.folder().admitted() == {}


async def test_a_folder_of_another_root_than_the_operators_keys_is_not_mixed(
    place: Place, thief: Fleet
) -> None:
    await place.delegate()
    place.folder().keep_snapshot(snapshot_of(thief))
    async with place.node(snapshot_of(place.fleet)) as at:
        done = await place.admit("d", *at)
    assert (done.exit_code, "another trust root" in done.stderr) == (REFUSED, True), done.output


async def test_what_a_node_shows_does_not_put_the_folder_back(place: Place) -> None:
    await place.delegate()
    older = snapshot_of(place.fleet)
    place.fleet.authority.revoke("c", "stolen")
    newer = snapshot_of(place.fleet)
    place.folder().keep_snapshot(newer)
    async with place.node(older) as at:
        done = await place.admit("d", *at)
    assert (done.exit_code, "older than" in done.stderr) == (REFUSED, True), done.output
    assert place.folder().snapshot() == newer
    assert (await place.admit("d")).exit_code == 0  # the way out that it names


async def test_a_damaged_snapshot_is_mended_by_a_node(place: Place) -> None:
    await place.delegate()
    for damaged in (b"\xff", b""):
        (place.key / "snapshot").write_bytes(damaged)
        async with place.node(snapshot_of(place.fleet)) as at:
            done = await place.admit("d", *at)
        assert done.exit_code == 0, done.output


async def test_damaged_input_is_told_by_name_and_no_traceback(place: Place) -> None:
    await place.delegate()
    request = place.world.folder / "bad"
    request.write_bytes("R1.é".encode("latin-1"))
    done = await place.admit_file(request)
    assert (done.exit_code, "truncated" in done.stderr) == (BAD_INPUT, True), done.output
    place.folder().keep_admitted(1, b"rubbish")
    done = await place.admit("d")
    assert (done.exit_code, "1.der" in done.stderr) == (BAD_INPUT, True), done.output


async def test_a_delegation_that_was_refused_leaves_a_key_of_no_use(place: Place) -> None:
    place.master.refuses = "delegate"
    done = await place.delegate()
    assert (done.exit_code, "no master knows of" in done.stderr) == (REFUSED, True), done.output


async def test_a_delegation_for_a_site_that_is_not_there_does_not_stand(place: Place) -> None:
    out = str(place.world.folder / "key")
    done = await place.world.run("delegate", "--site", "moon", "--out", out)
    assert (done.exit_code, "no site 'moon'" in done.stderr) == (1, True), done.output
    assert "no master knows of" in done.stderr
    assert "may stand" not in done.stderr


async def test_a_delegation_whose_answer_is_lost_may_stand(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CALL_TIMEOUT_S", 2.0)
    place.master.hangs = asyncio.Event()
    done = await place.delegate()
    place.master.hangs.set()
    (name,) = place.master.made
    assert done.exit_code == UNREACHABLE, done.output
    assert f"the delegation {name} may stand" in done.stderr
    assert "meshctl get delegations" in done.stderr
    assert "of no use" not in done.stderr
    async with place.node(snapshot_of(place.fleet)) as at:
        done = await place.admit("d", *at)
    assert done.exit_code == 0, done.output  # it stood


async def test_a_delegation_stands_without_a_snapshot(place: Place) -> None:
    place.master.refuses = "snapshot"
    done = await place.delegate()
    assert done.exit_code == 0, done.output
    assert "the delegation stands" in done.stderr
    assert "holds the key that admits boxes" in done.stdout
    done = await place.admit("d")
    assert (done.exit_code, "--address" in done.stderr) == (BAD_INPUT, True), done.output

"""From a box's request to its keys, with no network: what a folder admits, and refuses."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.heads.admission_request import Asked, open_request
from mesh.heads.certificates import read_certificate
from mesh.heads.snapshot import SnapshotRefused, branches_of
from node.admin.admission import Admitted, Desk
from node.admin.failures import Failure
from node.agent.book import admitted_neighbours, enrolled_masters
from node.agent.join import JoinRefused
from node.agent.join_admitted import ask, join_admitted
from node.disk.authority_folder import FolderRefused, initialise
from node.disk.authority_keys import NodeKeys
from node.disk.delegation_folder import DelegationFolder
from protos.documents_pb2 import AdmissionBundle, SiteSnapshot
from tests.node.master.fleet import START_MS, Fleet

DAY_MS = 86_400_000


class SiteDesk:
    """A mesh whose site `north` has the nodes `a` and `c`; an operator may admit two boxes."""

    def __init__(self, folder: Path) -> None:
        paths = initialise(folder / "mesh", "acme", "master-1", "ann")
        self.path = folder
        self.fleet = Fleet(paths, folder)
        for node in ("a", "c"):
            self.fleet.join(node, "north")
        self.folder = DelegationFolder.make(folder / "key", "acme", "north")
        asked = ("north", 2, DAY_MS, self.folder.authority, "bob")
        self.fleet.authority.delegating(lambda d: d.delegate(*asked))
        self.keep()

    def keep(self, *admitted: bytes) -> SiteSnapshot:
        """The folder knows what holds now, and which boxes the site has admitted."""
        authority = self.fleet.authority
        found = [authority.branch(name) for name in branches_of("north")]
        snapshot = SiteSnapshot(
            root_key=authority.trust.root_key,
            trust=authority.trust.envelope,
            state=authority.state(),
            branches=[branch for branch, _ in filter(None, found)],
            blobs=[blob for _, blob in filter(None, found)],
            masters=["master-1@10.0.0.1:7400", "no address"],
            neighbours=["a@10.0.0.11:7400", "b@10.0.0.12", "c@unix:/run/x", "d e@10.0.0.1:7400"],
            admitted=admitted,
        )
        self.folder.keep_snapshot(snapshot)
        return snapshot

    def box(self, name: str, site: str = "north") -> Path:
        """A box that has asked."""
        data = self.path / f"data-{name}"
        (self.path / f"{name}.request").write_text(ask(site, data, name))
        return data

    def asked(self, name: str) -> Asked:
        return open_request((self.path / f"{name}.request").read_text())

    def admit(
        self, name: str, number: int = 0, replaces: str = "", unix_ms: int = START_MS
    ) -> Admitted:
        """Admits it, as `meshctl admit` does, and writes what is for the box."""
        held = DelegationFolder.load(self.folder.path)
        done = Desk(held, held.snapshot(), unix_ms).admit(self.asked(name), number, replaces)
        self.bundle(name).write_bytes(done.bundle.SerializeToString())
        return done

    def bundle(self, name: str) -> Path:
        return self.path / f"{name}.admission"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SiteDesk]:
    made = SiteDesk(tmp_path)
    yield made
    made.fleet.store.close()


def test_a_box_that_was_admitted_has_its_keys_and_what_holds_at_its_site(desk: SiteDesk) -> None:
    data = desk.box("d")
    done = desk.admit("d", replaces="c")
    assert (done.number, done.count) == (1, 2)
    joined = join_admitted(desk.bundle("d"), data)
    assert (joined.identity.name, joined.identity.site) == ("d", "north")
    keys = NodeKeys.load(data)
    assert keys.certified.tls_key == desk.asked("d").tls_key
    assert keys.certified.replaces == desk.fleet.authority.content.nodes["c"].tls_key
    assert enrolled_masters(data) == ["master-1@10.0.0.1:7400"]
    assert admitted_neighbours(data) == ["a@10.0.0.11:7400"]
    assert admitted_neighbours(desk.path) == []
    for again in (lambda: join_admitted(desk.bundle("d"), data), lambda: ask("north", data, "d")):
        with pytest.raises(JoinRefused, match="already holds a node's keys"):
            again()
    assert desk.fleet.authority.check_box(keys.certified.der).identity.name == "d"


def test_the_same_box_gets_the_same_again_and_others_the_next_number(desk: SiteDesk) -> None:
    for name in ("d", "e", "f"):
        desk.box(name)
    first = desk.admit("d")
    assert desk.admit("d").certificate == first.certificate
    assert desk.admit("e").number == 2
    with pytest.raises(Failure, match="is used up"):
        desk.admit("f")
    with pytest.raises(Failure, match="was given to another box"):
        desk.admit("f", number=1)
    with pytest.raises(Failure, match="counts 2"):
        desk.admit("f", number=3)


def test_a_box_that_was_admitted_replaces_nobody_else_in_silence(desk: SiteDesk) -> None:
    desk.box("d")
    first = desk.admit("d")
    with pytest.raises(Failure, match=r"in the place of nobody.*--number") as refused:
        desk.admit("d", replaces="c")
    assert refused.value.exit_code == 4
    assert desk.admit("d").certificate == first.certificate
    second = desk.admit("d", number=2, replaces="c")  # the way out, for a box that has not joined
    assert second.number == 2
    assert read_certificate(second.certificate).replaces
    for again in (desk.admit("d"), desk.admit("d", replaces="c"), desk.admit("d", number=2)):
        assert again.certificate == second.certificate
    desk.keep(second.certificate)
    assert desk.admit("d", replaces="c").certificate == second.certificate
    assert desk.admit("d", number=1).certificate == first.certificate
    with pytest.raises(Failure, match="in the place of c"):
        desk.admit("d", replaces="a")


def test_what_another_copy_of_the_folder_admitted_is_known_from_the_site(desk: SiteDesk) -> None:
    desk.box("d")
    desk.box("e")
    first = desk.admit("d").certificate
    (desk.folder.path / "admitted" / "1.der").unlink()  # as in another copy of the folder
    desk.keep(first, b"rubbish")
    assert desk.admit("e").number == 2
    with pytest.raises(Failure, match="showed it first"):
        desk.admit("e", number=1)


def _another_site(desk: SiteDesk) -> None:
    desk.box("d", site="south")
    desk.admit("d")


def _no_such_node(desk: SiteDesk) -> None:
    desk.box("d")
    desk.admit("d", replaces="nobody")


def _an_id_in_use(desk: SiteDesk) -> None:
    desk.box("c")
    desk.admit("c")


def _an_id_whose_node_was_replaced(desk: SiteDesk) -> None:
    desk.box("d")
    desk.keep(desk.admit("d", replaces="c").certificate)
    desk.box("c")
    desk.admit("c")


def _too_late(desk: SiteDesk) -> None:
    desk.box("d")
    desk.admit("d", unix_ms=START_MS + DAY_MS)


def _ended(desk: SiteDesk) -> None:
    desk.box("d")
    desk.fleet.authority.take_in(desk.admit("d").certificate)
    desk.fleet.authority.delegating(lambda d: d.end(desk.folder.id, "over"))
    desk.keep()
    desk.box("e")
    desk.admit("e")


def _unknown(desk: SiteDesk) -> None:
    desk.fleet.authority.delegating(lambda d: d.end(desk.folder.id, "over"))
    desk.keep()
    desk.box("d")
    desk.admit("d")


@pytest.mark.parametrize(
    ("wrong", "says", "code"),
    [
        (_another_site, "this delegation is for 'north'", 4),
        (_no_such_node, "has no such node; it has a, c", 2),
        (_an_id_in_use, "another node has this ID", 4),
        (_an_id_whose_node_was_replaced, "another node has this ID", 4),
        (_too_late, "is over", 4),
        (_ended, "was ended at a master", 4),
        (_unknown, "knows no delegation", 4),
    ],
)
def test_what_no_rule_allows_is_refused_and_nothing_is_written(
    desk: SiteDesk, wrong: Callable[[SiteDesk], None], says: str, code: int
) -> None:
    before = len(desk.folder.admitted())
    with pytest.raises(Failure, match=says) as refused:
        wrong(desk)
    assert refused.value.exit_code == code
    admits_one_first = wrong in (_ended, _an_id_whose_node_was_replaced)
    assert len(desk.folder.admitted()) == before + admits_one_first


def test_an_admission_is_for_the_box_that_asked_and_for_no_other(desk: SiteDesk) -> None:
    data, other = desk.box("d"), desk.box("e")
    desk.admit("d")
    with pytest.raises(JoinRefused, match="keys of another box"):
        join_admitted(desk.bundle("d"), other)
    with pytest.raises(JoinRefused, match="holds no keys"):
        join_admitted(desk.bundle("d"), desk.path / "fresh")
    for rubbish in (b"\xff\xff", b"\x00" * (5 << 20)):
        (desk.path / "rubbish").write_bytes(rubbish)
        with pytest.raises(JoinRefused, match="is no admission"):
            join_admitted(desk.path / "rubbish", data)
    bundle = AdmissionBundle.FromString(desk.bundle("d").read_bytes())
    bundle.snapshot.blobs[0] = b"another"
    desk.bundle("d").write_bytes(bundle.SerializeToString())
    with pytest.raises(SnapshotRefused, match="not what the state names"):
        join_admitted(desk.bundle("d"), data)
    assert not (data / "keys").exists()


def test_a_folder_that_is_none_or_damaged_is_refused_by_name(desk: SiteDesk) -> None:
    path = desk.folder.path
    with pytest.raises(FolderRefused, match="exists"):
        DelegationFolder.make(path, "acme", "north")
    with pytest.raises(FolderRefused, match="does not exist"):
        DelegationFolder.make(desk.path / "no" / "folder", "acme", "north")
    (path / "snapshot").write_bytes(b"\xff")
    with pytest.raises(FolderRefused, match="snapshot is damaged"):
        desk.folder.snapshot()
    (path / "snapshot").unlink()
    assert desk.folder.snapshot() == SiteSnapshot()
    other = DelegationFolder.make(desk.path / "other", "acme", "north")
    (path / "authority.der").write_bytes(other.authority)
    with pytest.raises(FolderRefused, match="not the key of"):
        DelegationFolder.load(path)
    (path / "authority.der").write_bytes(b"rubbish")
    with pytest.raises(FolderRefused, match="cannot be read"):
        DelegationFolder.load(path)
    (path / "authority.der").write_bytes(b"x" * 5000)
    with pytest.raises(FolderRefused, match="larger than"):
        DelegationFolder.load(path)
    with pytest.raises(FolderRefused, match="No such file"):
        DelegationFolder.load(desk.path / "nothing")


def test_a_damaged_certificate_in_the_folder_is_refused_by_name(desk: SiteDesk) -> None:
    desk.box("d")
    desk.admit("d")
    (desk.folder.path / "admitted" / "1.der").write_bytes(b"rubbish")
    with pytest.raises(FolderRefused, match=r"1\.der cannot be read"):
        desk.admit("d")


def test_a_key_that_admits_is_for_its_owner_alone(desk: SiteDesk) -> None:
    assert (desk.folder.path / "authority-key.pem").stat().st_mode & 0o077 == 0
    assert read_certificate(desk.fleet.authority.content.nodes["a"].certificate).replaces == b""

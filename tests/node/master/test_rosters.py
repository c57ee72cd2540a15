"""What a master says of the rosters that a site had: nodes that were enrolled while the site was
split have to know which ones the others may still go by."""

from mesh.heads.branches import open_site_branch
from mesh.heads.certificates import tls_key_digest
from mesh.heads.limits import FORMER_MAX
from mesh.site.leases import Member
from mesh.site.rosters import members, rosters_before
from node.master.content import put_node, put_revocation
from node.master.records import NodeRecord, RevocationRecord
from protos.documents_pb2 import SiteBranch
from tests.node.master.fleet import Fleet, Machine
from tests.node.master.test_delegating import Operator


def branch_of(fleet: Fleet, site: str = "north") -> SiteBranch:
    branch = fleet.authority.branch(f"site/{site}")
    assert branch is not None
    return open_site_branch(branch[1], site)


class Watch:
    """Notes each roster of the site north, and the state that replaced it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.now: tuple[Member, ...] = ()
        self.before: list[tuple[tuple[Member, ...], int]] = []

    def look(self) -> None:
        """What the master says now is what was so."""
        counter, branch = self.fleet.authority.counter, branch_of(self.fleet)
        if self.now and members(branch) != self.now:
            self.before.append((self.now, counter))
        self.now = members(branch)
        assert [(o.nodes, o.until) for o in rosters_before(branch, counter)] == self.before


def test_each_roster_of_a_site_is_told_for_good(fleet: Fleet) -> None:
    watch = Watch(fleet)
    machine = fleet.join("a", "north")
    watch.look()
    fleet.join("x", "south")
    for node in "bc":
        fleet.join(node, "north")
        watch.look()
    fleet.join("a", "north", machine)
    watch.look()
    fleet.authority.revoke("x", "of another site")
    fleet.authority.revoke("b", "burnt")
    watch.look()
    fleet.join("b", "north", Machine())
    watch.look()
    fleet.reopen()
    watch.look()
    fleet.authority.raise_above(100)
    fleet.authority.revoke("b", "burnt again")
    watch.look()
    assert [len(nodes) for nodes, _ in watch.before] == [1, 2, 3, 2, 3]


def test_where_a_store_of_a_backup_went_on_above_the_states_of_its_sites_is_told(
    fleet: Fleet,
) -> None:
    fleet.join("a", "north")
    assert branch_of(fleet).continued == 0
    fleet.store.close()
    yesterday = fleet.path.read_bytes()
    fleet.open()
    for number in range(9):
        fleet.authority.release(fleet.manifest("bulk", f"v{number}"))
    seen = fleet.authority.counter
    fleet.store.close()
    fleet.path.write_bytes(yesterday)
    fleet.open()
    fleet.join("b", "north")
    fleet.authority.raise_above(seen, b"x" * 32)
    assert branch_of(fleet).continued == seen + 1
    fleet.reopen()
    fleet.join("c", "north")
    assert branch_of(fleet).continued == seen + 1 < fleet.authority.counter


def test_a_box_that_is_taken_in_and_whom_it_replaces_are_told_too(fleet: Fleet) -> None:
    watch, operator = Watch(fleet), Operator(fleet)
    for node in "ac":
        fleet.join(node, "north")
        watch.look()
    operator.ask()
    old = fleet.authority.content.nodes["c"].tls_key
    first, second = Machine(), Machine()
    key = tls_key_digest(first.tls_key.public_key())
    later = operator.box(2, "e", second, replaces=key)
    fleet.authority.take_in(operator.box(1, "d", first, replaces=old))
    watch.look()
    fleet.authority.take_in(later)
    watch.look()
    assert [[one.node for one in nodes] for nodes, _ in watch.before] == [
        ["a"],
        ["a", "c"],
        ["a", "d"],
    ]


def test_a_box_that_was_replaced_before_it_was_heard_of_was_in_no_roster(fleet: Fleet) -> None:
    watch, operator = Watch(fleet), Operator(fleet)
    fleet.join("a", "north")
    watch.look()
    operator.ask()
    first = Machine()
    key = tls_key_digest(first.tls_key.public_key())
    fleet.authority.take_in(operator.box(2, "e", replaces=key))
    watch.look()
    fleet.authority.take_in(operator.box(1, "d", first))
    assert fleet.authority.content.nodes["d"].revoked
    before = members(branch_of(fleet))
    assert before == watch.now
    assert not branch_of(fleet).former


def test_of_nodes_that_were_taken_out_long_ago_a_state_tells_nothing(fleet: Fleet) -> None:
    fleet.join("a", "north")
    gone = [
        RevocationRecord(
            f"spiffe://acme/site/north/node/n{n}", bytes([n]) * 32, bytes([n]) * 32, "", 0, n, n + 9
        )
        for n in range(FORMER_MAX + 2)
    ]
    fleet.store.commit([put_revocation(one) for one in gone])
    fleet.reopen()
    fleet.authority.raise_above(200)
    branch = branch_of(fleet)
    assert [one.until for one in branch.former] == [n + 9 for n in range(2, FORMER_MAX + 2)]
    assert branch.rosters_from == 10
    assert rosters_before(branch, fleet.authority.counter)[0].until == 11


def test_of_what_an_older_release_wrote_down_nothing_is_told(fleet: Fleet) -> None:
    key = bytes(32)
    fleet.store.commit([put_node(NodeRecord("a", "north", b"", key, key, 0))])
    fleet.store.commit(
        [put_revocation(RevocationRecord("spiffe://acme/site/north/node/z", key, key, "", 0))]
    )
    fleet.reopen()
    fleet.join("b", "north")
    counter = fleet.authority.counter
    assert [o.until for o in rosters_before(branch_of(fleet), counter)] == [counter]
    assert not branch_of(fleet).former

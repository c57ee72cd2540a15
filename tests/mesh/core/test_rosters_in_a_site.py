"""Rosters that change while a simulated site is split: an exclusive pipeline runs on in one part,
and never in two; once the parts have heard of it, by the new roster alone."""

from collections.abc import Collection

from mesh.heads.certificates import Certified, issue, read_certificate
from mesh.signed import Signer
from mesh.site.leases import FREE_MS, LEASE_MS
from tests.mesh.core.test_leases_in_a_site import (
    DOOR,
    SOON_MS,
    alarms,
    assert_never_twice,
    join,
    owner_of,
    part,
    runners,
    site_with,
)
from tests.sim import identities
from tests.sim.disk import Disk
from tests.sim.nodes import SimNode
from tests.sim.site import Site
from tests.sim.transcripts.twins import COPY, TwinWorld


class Renewed(SimNode):
    """Another machine that a master enrolled under an ID that one had before."""

    def identity(self) -> tuple[Certified, Signer]:
        identity = identities.node_identity(self.site, self.id)
        keys = f"renewed {identity.uri}"
        der = issue(
            identities.tls_key("authority"),
            identities.authority(),
            identity,
            identities.tls_key(keys).public_key(),
            identities.signer(keys).public_key,
            identities.SERIAL,
        )
        return read_certificate(der), identities.signer(keys)


def cut_wan_of(site: Site, names: Collection[str]) -> None:
    for name in names:
        site.world.cut_off(name, identities.MASTER)


def enrol(site: Site, numbers: Collection[int], away_from: Collection[str] = ()) -> list[SimNode]:
    """New nodes that a master enrolled, linked with none of `away_from`."""
    new = [SimNode(site.world, "south", f"south-{number}", ("camera",)) for number in numbers]
    for node in new:
        site.nodes.append(node)
        for name in away_from:
            site.world.cut_off(node.name, name)
        node.boot()
    return new


def publish(site: Site, **more: object) -> None:
    site.publish(replicas=1, pipelines=(DOOR,), **more)  # type: ignore[arg-type]


def merge(site: Site) -> None:
    """All is well again, and one node runs it by the new roster alone."""
    site.mend_wan()
    join(site)
    site.world.run(SOON_MS + 2 * LEASE_MS + FREE_MS)
    assert len(runners(site)) == 1
    assert all(node.core.leases.rosters.earlier == () for node in site.nodes)
    assert all("door" not in alarms(node) for node in site.nodes)
    assert_never_twice(site)


def test_where_a_site_more_than_doubles_in_a_split_the_new_nodes_do_not_decide_alone() -> None:
    site = site_with(3)
    owner = owner_of(site)
    other, third = (node for node in site.nodes if node is not owner)
    old = {owner.name, other.name}
    part(site, old)
    cut_wan_of(site, old)
    new = enrol(site, range(4, 8), away_from=old)
    publish(site)
    site.world.run(SOON_MS + LEASE_MS + FREE_MS)
    assert runners(site) == [owner]
    assert all(len(one.core.leases.rosters.counting()) == 2 for one in [third, *new])
    texts = [alarms(node)["door"] for node in [third, *new] if "door" in alarms(node)]
    assert texts
    for text in texts:
        assert f"of the 3 nodes of the roster before state {site.master.counter}" in text
        assert f"see to {', '.join(sorted(old))} and the network between" in text
    for node in [third, *new]:
        node.restart_agent()
    site.world.run(SOON_MS + LEASE_MS + FREE_MS)
    assert runners(site) == [owner]
    merge(site)


def test_nodes_that_never_met_an_older_one_do_not_decide_either_until_those_are_revoked() -> None:
    site = site_with(2)
    owner = owner_of(site)
    old = {node.name for node in site.nodes}
    cut_wan_of(site, old)
    new = enrol(site, range(3, 8), away_from=old)
    publish(site)
    site.world.run(SOON_MS + LEASE_MS + FREE_MS)
    assert runners(site) == [owner]
    for node in site.nodes[:2]:
        node.power_off()  # for good, says a person
    site.nodes = new
    publish(site, revoked=dict.fromkeys(old, "burnt"))
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS + LEASE_MS, "a new one runs it")
    assert_never_twice(site)


def test_a_node_that_is_dead_for_good_does_not_stop_it_when_another_is_enrolled() -> None:
    site = site_with(3)
    dead = next(node for node in site.nodes if node is not owner_of(site))
    dead.power_off()
    (new,) = enrol(site, [4])
    site.world.run(FREE_MS)
    publish(site)
    site.world.run(SOON_MS + FREE_MS)
    assert len(runners(site)) == 1
    assert new.core.leases.rosters.earlier == ()
    site.nodes.remove(dead)
    publish(site, revoked={dead.name: "burnt"})
    site.world.run(SOON_MS + FREE_MS)
    assert len(runners(site)) == 1
    assert all(node.core.leases.rosters.earlier == () for node in site.nodes)
    publish(site, revoked={dead.name: "burnt"})
    assert all(node.core.leases.rosters.earlier == () for node in site.nodes)
    assert_never_twice(site)


def test_what_one_found_to_be_over_counts_no_more_though_new_nodes_cannot_find_it_over() -> None:
    """Enrolled one by one; the first died and is not revoked; after a power cut nobody has its
    register any more, so that nodes which are enrolled then never hear that it knew of them."""
    site = site_with(1)
    for number in (2, 3):
        enrol(site, [number])
        publish(site)
        site.world.run(3_000)
    site.world.run(SOON_MS + FREE_MS)
    dead, *alive = site.nodes
    for node in site.nodes:
        node.power_off()
    site.master.restart(site.master.disk)
    publish(site)
    for node in alive:
        node.boot()
    new = enrol(site, [4, 5])
    site.world.run(1_000)
    publish(site)
    site.world.run_until(lambda: len(runners(site)) == 1, 6 * SOON_MS, "it runs")
    assert owner_of(site) in alive
    assert all(len(node.core.leases.rosters.earlier) >= 2 for node in new)
    assert dead.name not in {one.name for one in runners(site)}
    assert_never_twice(site)


def test_where_a_master_from_a_backup_enrols_before_it_hears_of_its_site_it_runs_once() -> None:
    """It signs the new nodes into a state whose counter the old ones passed long ago."""
    site = site_with(3)
    backup = site.master.counter
    for _ in range(9):
        publish(site)
    site.world.run(SOON_MS)
    owner = owner_of(site)
    other, third = (node for node in site.nodes if node is not owner)
    names = {node.name for node in site.nodes}
    cut_wan_of(site, names)
    part(site, {owner.name, other.name})
    site.world.run(3_000)
    site.master.restart(Disk())
    site.master.counter = backup
    new = enrol(site, range(4, 8), away_from=names)
    publish(site)
    site.world.run(5_000)
    for node in new:
        site.world.mend(third.name, node.name)
    site.world.mend(third.name, identities.MASTER)
    site.master.counter = third.core.in_force.counter
    site.continued = site.master.counter + 1
    publish(site)
    site.world.run(SOON_MS + LEASE_MS + FREE_MS)
    assert {n.core.in_force.counter for n in (third, *new)} == {site.continued}
    assert runners(site) == [owner]
    merge(site)


def test_an_id_that_was_given_anew_does_not_vote_for_both_machines() -> None:
    """The machine that had the ID before is cut off together with another one; the part with the
    new machine knows that it alone counts, the other part does not."""
    site = site_with(3, world=TwinWorld())
    owner = owner_of(site)
    before, other = (node for node in site.nodes if node is not owner)
    old = {owner.name, before.name}
    part(site, old)
    cut_wan_of(site, old)
    renewed = Renewed(site.world, "south", before.id, ("camera",))
    renewed.name, site.world.hosts[before.id] = COPY, before
    site.world.hosts[COPY] = renewed
    site.world.cut_off(COPY, owner.name)
    site.nodes[site.nodes.index(before)] = renewed
    publish(site, revoked={before.id: "replaced"})
    renewed.boot()
    site.world.run(SOON_MS + LEASE_MS + FREE_MS)
    assert "door" in owner.pipelines
    assert runners(site) == [owner]
    for node in (renewed, other):
        assert node.core.leases.barred(node.core) == ""
    site.world.mend(COPY, owner.name)
    merge(site)
    assert "door" not in before.pipelines

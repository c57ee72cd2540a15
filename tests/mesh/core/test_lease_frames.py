"""Asks and grants of leases as they come in: who may say what; rosters that change in a split."""

import pytest

from mesh.core import lease_members
from mesh.core.leases import Lease
from mesh.core.rosters import EARLIER_MAX, MEMBERS_MAX
from mesh.events import Received, Send
from mesh.exchange.frames import encode
from mesh.site.leases import FREE_MS, LEASE_MS, Earlier, Member
from protos.documents_pb2 import Boot, EarlierRoster
from protos.peer_pb2 import Frame, LeaseAsk, LeaseGrant
from tests.mesh.core.test_leases_in_a_site import (
    DOOR,
    SOON_MS,
    assert_never_twice,
    owner_of,
    part,
    runners,
    site_with,
)
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def said(node: SimNode, frame: bytes, peer: str) -> list[LeaseGrant]:
    """What a node answers to a frame of a peer."""
    outputs = node.core.handle(Received(peer, frame), node.clock_ms())
    frames = [Frame.FromString(o.data) for o in outputs if isinstance(o, Send)]
    return [f.lease_grant for f in frames if f.WhichOneof("kind") == "lease_grant"]


def free(site: Site) -> tuple[SimNode, SimNode]:
    """A node that granted the door to nobody, and one that asks; the third had it."""
    owner = owner_of(site)
    granter, asker = (node for node in site.nodes if node is not owner)
    owner.power_off()
    for _ in range(FREE_MS // 100):  # the other would take it over as soon as it is free
        site.world.run(100)
        granter.core.leases.grants._given.clear()
    return granter, asker


def ask_of(node: SimNode, **more: object) -> LeaseAsk:
    ask = LeaseAsk(workload="door", number=10**6, state=node.core.in_force.counter)
    ask.boot.CopyFrom(node.core.peer.config.boot)
    for name, value in more.items():
        if isinstance(value, Boot):
            ask.boot.CopyFrom(value)
        else:
            setattr(ask, name, value)
    return ask


OTHER = Member("x", b"key")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"workload": "window"}, "no such pipeline"),
        ({"boot": Boot(counter=9, nonce=b"12345678")}, "knows another start"),
        ({"state": 0}, "an earlier roster"),
    ],
)
def test_an_ask_that_cannot_be_is_refused_with_the_reason(
    more: dict[str, object], why: str
) -> None:
    granter, asker = free(site_with(3))
    (grant,) = said(granter, encode(lease_ask=ask_of(asker, **more)), asker.name)
    assert not grant.granted
    assert why in grant.reason


def test_who_goes_by_a_state_of_an_earlier_trust_generation_is_refused() -> None:
    granter, asker = free(site_with(3))
    granter.core.leases.rosters.generation = 2
    ask = ask_of(asker, state=10**6, trust_generation=asker.core.in_force.generation)
    (grant,) = said(granter, encode(lease_ask=ask), asker.name)
    assert "an earlier roster" in grant.reason
    ask = ask_of(asker, number=10**6 + 1, trust_generation=2)
    (grant,) = said(granter, encode(lease_ask=ask), asker.name)
    assert grant.granted


def test_who_is_not_in_the_roster_or_is_a_clone_is_refused() -> None:
    granter, asker = free(site_with(3))
    own = lease_members.own(granter.core)
    granter.core.leases.rosters.nodes = (own,)
    (grant,) = said(granter, encode(lease_ask=ask_of(asker)), asker.name)
    assert "not in the roster" in grant.reason
    granter.core.leases.rosters.nodes = (own, Member(asker.name, b"other key"))
    (grant,) = said(granter, encode(lease_ask=ask_of(asker)), asker.name)
    assert "not in the roster" in grant.reason
    granter.core.leases.rosters.nodes = (own, lease_members.own(asker.core))
    granter.core.conflicts._clones[asker.name] = 1
    (grant,) = said(granter, encode(lease_ask=ask_of(asker)), asker.name)
    assert "two machines hold the disk" in grant.reason


@pytest.mark.parametrize(
    ("bar", "why"),
    [
        (lambda core: core.conflicts._clones.update({core.name: 1}), "two machines hold its disk"),
        (lambda core: setattr(core.conflicts, "_floor", 9), "its disk is an old copy"),
        (lambda core: setattr(core.leases.rosters, "nodes", (OTHER,)), "not in the roster"),
        (
            lambda core: setattr(
                core.leases.rosters, "earlier", (Earlier((OTHER,), 1),) * (EARLIER_MAX + 1)
            ),
            "changed too often",
        ),
        (
            lambda core: setattr(
                core.leases.rosters, "earlier", (Earlier((OTHER,) * (MEMBERS_MAX + 1), 1),)
            ),
            "changed too often",
        ),
    ],
)
def test_who_may_not_take_part_neither_grants_nor_holds(bar: object, why: str) -> None:
    site = site_with(3)
    owner = owner_of(site)
    bar(owner.core)  # type: ignore[operator]
    assert why in owner.core.leases.barred(owner.core)
    other = next(node for node in site.nodes if node is not owner)
    (grant,) = said(owner, encode(lease_ask=ask_of(other)), other.name)
    assert not grant.granted
    owner.core.leases.tick(owner.core, owner.clock_ms())
    assert owner.core.leases.held == {}


def test_a_grant_counts_only_as_an_answer_of_a_node_of_the_roster_in_its_present_start() -> None:
    site = site_with(3)
    owner = owner_of(site)
    leases, now = owner.core.leases, owner.clock_ms()
    lease = leases.lease("door")
    assert lease is not None
    other = next(node for node in site.nodes if node is not owner)
    good = LeaseGrant(
        workload="door", boot=owner.core_boot, number=max(lease.asked), granted=True,
        granter=other.core_boot,
    )  # fmt: skip

    def changed(**more: object) -> LeaseGrant:
        grant = LeaseGrant()
        grant.CopyFrom(good)
        for name, value in more.items():
            if isinstance(value, Boot):
                getattr(grant, name).CopyFrom(value)
            else:
                setattr(grant, name, value)
        return grant

    lease.acknowledged.clear()
    wrong = Boot(counter=1, nonce=b"87654321")
    for grant, peer in (
        (changed(workload="window"), other.name),
        (changed(boot=wrong), other.name),
        (changed(number=10**9), other.name),
        (changed(granter=wrong), other.name),
        (good, "stranger"),
        (changed(granted=False, reason="no" * 500), other.name),
        (LeaseGrant(earlier=[EarlierRoster()] * (EARLIER_MAX + 1)), other.name),
        (LeaseGrant(earlier=[EarlierRoster(nodes=["x"] * (MEMBERS_MAX + 1))]), other.name),
    ):
        if grant.earlier:
            grant.MergeFrom(good)
        said(owner, encode(lease_grant=grant), peer)
        leases.granted(owner.core, grant, peer, now)
        assert lease.acknowledged == {}
    assert len(lease.refused[other.name]) == 200
    leases.granted(owner.core, good, other.name, now)
    assert set(lease.acknowledged) == {lease_members.own(other.core)}
    assert lease.refused == {}


def test_a_refusal_names_no_rosters_and_is_heard_whatever_it_names() -> None:
    site = site_with(3)
    owner = owner_of(site)
    new, lease = next(n for n in site.nodes if n is not owner), owner.core.leases.lease("door")
    assert lease is not None
    new.core.leases.rosters.earlier = (Earlier((OTHER,) * MEMBERS_MAX, 1),) * 2
    (grant,) = said(new, encode(lease_ask=ask_of(owner)), owner.name)
    assert not grant.granted
    assert not grant.earlier
    old = LeaseGrant(
        workload="door", boot=owner.core_boot, number=max(lease.asked), granter=new.core_boot,
        reason="as of an older release", earlier=[EarlierRoster()] * (EARLIER_MAX + 1),
    )  # fmt: skip
    owner.core.leases.granted(owner.core, old, new.name, owner.clock_ms())
    assert lease.refused[new.name] == "as of an older release"


def test_one_that_claims_rosters_of_old_is_not_counted_where_others_suffice() -> None:
    site = site_with(5)
    owner = owner_of(site)
    lease = owner.core.leases.lease("door")
    assert lease is not None
    liar = next(node for node in site.nodes if node is not owner)
    me = lease_members.own(liar.core)
    liar.core.leases.rosters.earlier = (Earlier((me, OTHER), until=10**6),)
    site.world.run(30_000)
    assert OTHER in lease.earlier[me][0].nodes
    assert runners(site) == [owner]


def test_what_a_roster_was_counts_until_its_nodes_know_the_next() -> None:
    """Two of three are cut off, boxes are added on the other side: who is left with them does not
    decide until the two have heard of it."""
    site = site_with(3)
    owner = owner_of(site)
    alone = next(node for node in site.nodes if node is not owner)
    part(site, {alone.name})
    for node in site.nodes:
        if node is not alone:
            site.world.cut_off(node.name, "master-1")
    site.world.run(20_000)
    assert runners(site) == [owner]
    for name in ("south-4", "south-5"):
        added = SimNode(site.world, "south", name, ("camera",))
        site.nodes.append(added)
        added.boot()
    part(site, {n.name for n in site.nodes if n is alone or n.name in ("south-4", "south-5")})
    for node in site.nodes[3:]:
        site.world.mend(node.name, alone.name)
        site.world.mend(node.name, "south-4")
    site.publish(replicas=1, pipelines=(DOOR,))
    site.world.run(60_000)
    assert runners(site) == [owner]
    for node in site.nodes:
        for other in site.nodes:
            site.world.mend(node.name, other.name)
        site.world.mend(node.name, "master-1")
    site.world.run(SOON_MS + 2 * LEASE_MS + FREE_MS)
    assert len(runners(site)) == 1
    assert all(node.core.leases.rosters.earlier == () for node in site.nodes)
    assert_never_twice(site)


def test_of_a_round_of_grants_those_are_counted_by_which_the_lease_lasts_longer() -> None:
    """Counting takes long where many rosters count."""
    site = site_with(5)
    leases = owner_of(site).core.leases
    counted, base = [], leases._base

    def counting(core: object, name: str, lease: Lease) -> int | None:
        counted.append(lease.asked_ms)
        return base(core, name, lease)  # type: ignore[arg-type]

    leases._base = counting  # type: ignore[method-assign, assignment]
    site.world.run(30_000)
    assert len(counted) == len(set(counted)) > 8


def test_an_ask_that_comes_twice_is_answered_once() -> None:
    granter, asker = free(site_with(3))
    ask = encode(lease_ask=ask_of(asker))
    (grant,) = said(granter, ask, asker.name)
    assert grant.granted
    assert said(granter, ask, asker.name) == []


def test_a_grant_of_what_is_wanted_no_more_is_not_used() -> None:
    site = site_with(3)
    owner = owner_of(site)
    other = next(node for node in site.nodes if node is not owner)
    lease = owner.core.leases.lease("door")
    assert lease is not None
    until_ms, number = lease.until_ms, 10**6
    lease.wanted, lease.asked[number] = False, owner.clock_ms()
    grant = LeaseGrant(
        workload="door", boot=owner.core_boot, number=number, granted=True,
        granter=other.core_boot,
    )  # fmt: skip
    assert owner.core.leases.granted(owner.core, grant, other.name, owner.clock_ms()) == []
    assert lease.until_ms == until_ms


def test_what_is_given_back_is_free_at_once() -> None:
    site = site_with(3)
    owner = owner_of(site)
    other = next(node for node in site.nodes if node is not owner)
    release = ask_of(owner, release=True)
    assert said(other, encode(lease_ask=release), owner.name) == []
    assert other.core.leases.grants.holder("door", other.clock_ms()) is None

"""Who asks for a lease and who lets others have it: no node that cannot get one keeps it from those
that can."""

import random

import pytest

from mesh.core import lease_members
from mesh.core.lease_candidates import RETRY_MS, has_holder
from mesh.core.leases import PATIENCE_MS
from mesh.core.messages import RuntimeReported
from mesh.core.view import register_content
from mesh.events import Send
from mesh.hashing import first, ranked
from mesh.site.leases import FREE_MS, LEASE_MS, MARGIN_MS, Earlier, Member
from protos.peer_pb2 import Frame
from protos.runtime_pb2 import RuntimeState
from tests.mesh.core.test_leases_in_a_site import (
    DOOR,
    SOON_MS,
    alarms,
    assert_never_twice,
    owner_of,
    part,
    runners,
    site_with,
)
from tests.sim import identities
from tests.sim.boxes import FIRST, SimBox, admit, delegation
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def lose_runtime(node: SimNode) -> None:
    """The node's runtime goes and does not come back."""
    node.pipelines = {}
    node._report = lambda: None  # type: ignore[method-assign]
    node.do_Run = lambda instruction: None  # type: ignore[method-assign]
    node.do_Renew = lambda instruction: None  # type: ignore[method-assign]
    node.feed(RuntimeReported(None))


@pytest.mark.parametrize("seed", range(4))
def test_two_that_are_not_linked_do_not_keep_half_of_the_grants_each_for_ever(seed: int) -> None:
    site = Site(5, seed=seed)
    order = ranked("pipeline door", [node.name for node in site.nodes])
    for node in site.nodes:
        node.sources = ("camera",) if node.name in order[:2] else ()
    site.boot()
    site.publish(replicas=1, pipelines=(DOOR,))
    site.world.run(15_000)
    site.cut_wan()
    site.world.cut_off(order[0], order[1])
    for node in site.nodes:
        node.power_off()
    site.world.run(2_000)
    pauses = random.Random(seed)
    for name in order[:4]:
        site.node(name).boot()
        site.world.run(pauses.randint(100, 900))
    site.world.run(2 * SOON_MS)
    assert len(runners(site)) == 1
    assert_never_twice(site)


def test_who_is_not_in_the_roster_keeps_it_from_nobody() -> None:
    site = Site(3)
    site.delegations = [delegation()]
    names = [node.name for node in site.nodes]
    for node in site.nodes:
        node.sources = ("camera",)
    name = next(
        one
        for one in (f"south-{number}" for number in range(9, 99))
        if first("pipeline door", [*names, one]) == one
    )
    site.boot()
    site.publish(replicas=1, pipelines=(DOOR,))
    site.world.run_until(lambda: len(runners(site)) == 1, 2 * SOON_MS, "the door runs")
    owner = owner_of(site)
    site.cut_wan()
    lost = next(node for node in site.nodes if node is not owner)
    lost.power_off()
    site.world.run(SOON_MS)
    box = SimBox(site.world, admit(name, FIRST, lost.me.tls_key, ""), owner, ("camera",))
    site.nodes.append(box)
    site.world.cut_off(box.name, identities.MASTER)
    box.boot()
    site.world.run(2 * SOON_MS)
    assert runners(site) == [owner]


def test_another_runs_it_while_a_runtime_is_gone_for_long() -> None:
    site = site_with(3)
    owner = owner_of(site)
    lose_runtime(owner)
    site.world.run(LEASE_MS + FREE_MS + MARGIN_MS)
    assert owner_of(site) is not owner
    assert list(owner.core.register.cannot_lease) == ["door"]
    assert owner.core.leases.held == {}


def test_an_old_runtime_is_one_that_cannot_run_it() -> None:
    site = site_with(3)
    owner = owner_of(site)
    owner.feed(RuntimeReported(RuntimeState(peer_inference_address="x:1")))
    unable, now_ms = owner.core.leases.unable, owner.clock_ms()
    unable.look(owner.core, now_ms)
    unable.look(owner.core, now_ms + LEASE_MS - 1)
    assert unable.names == set()
    unable.look(owner.core, now_ms + LEASE_MS)
    assert unable.names == {"door"}
    owner.core.runtime.state.keeps_deadlines = True
    unable.look(owner.core, now_ms + LEASE_MS)
    assert unable.names == set()


def test_the_first_that_hears_of_too_few_lets_another_have_it_and_takes_it_once_it_can() -> None:
    site = site_with(5)
    site.cut_wan()
    order = ranked("pipeline door", [node.name for node in site.nodes])
    before = site.node(order[0])
    assert runners(site) == [before]
    for name in order[2:]:
        site.world.cut_off(before.name, name)
    site.world.run(LEASE_MS + PATIENCE_MS + FREE_MS)
    assert runners(site) == [site.node(order[1])]
    site.world.run(2 * RETRY_MS)
    assert runners(site) == [site.node(order[1])]
    for name in order[2:]:
        site.world.mend(before.name, name)
    site.world.run_until(lambda: runners(site) == [before], SOON_MS, "it runs where it did")
    assert before.core.leases.unable.names == set()
    assert_never_twice(site)


def test_who_got_no_quorum_tries_again_after_a_while_only_where_nobody_runs_it() -> None:
    site = site_with(3)
    owner = owner_of(site)
    other = next(node for node in site.nodes if node is not owner)
    for node, retries in ((other, False), (owner, True)):
        unable, now_ms = node.core.leases.unable, node.clock_ms()
        assert has_holder(node.core, "door") is not retries
        unable.give_up(node.core, "door", "none", now_ms)
        unable.look(node.core, now_ms + RETRY_MS - 1)
        assert unable.names == {"door"}
        unable.look(node.core, now_ms + RETRY_MS)
        assert unable.names == (set() if retries else {"door"})
    unable = other.core.leases.unable
    other.core.facts = type(other.core.facts)(
        **{**vars(other.core.facts), "sources": ()},
    )
    unable.look(other.core, other.clock_ms())
    assert (unable.names, unable.tries_ms) == (set(), {})


def test_where_nobody_can_get_it_the_first_says_why() -> None:
    site = site_with(3)
    owner = owner_of(site)
    for node in site.nodes:
        part(site, {node.name})
    site.world.run(LEASE_MS + PATIENCE_MS + FREE_MS)
    assert all("door" in node.core.leases.unable.names for node in site.nodes)
    assert "1 of the 3 nodes of the roster acknowledge" in alarms(owner)["door"]


def test_a_runtime_that_knows_nothing_of_it_does_not_free_what_the_one_before_ran() -> None:
    site = site_with(3)
    owner = owner_of(site)
    owner.do_Run = lambda instruction: None  # type: ignore[method-assign]
    owner.do_Renew = lambda instruction: None  # type: ignore[method-assign]
    owner._report = lambda: None  # type: ignore[method-assign]
    acts_until = owner.deadlines["door"]  # the runtime dies before it has ended the process
    owner.hold_back(draining=True)
    site.world.run(300)
    owner.feed(RuntimeReported(None))
    site.world.run(300)
    owner.feed(RuntimeReported(RuntimeState(keeps_deadlines=True)))
    while owner.clock_ms() < acts_until:
        assert all("door" not in node.pipelines for node in site.nodes if node is not owner)
        site.world.run(100)
    site.world.run(2 * FREE_MS)
    assert any("door" in node.pipelines for node in site.nodes if node is not owner)


def test_what_was_granted_is_not_given_back_while_something_may_act_by_it() -> None:
    site = site_with(3)
    owner = owner_of(site)
    leases, now_ms = owner.core.leases, owner.clock_ms()
    lease = leases.lease("door")
    assert lease is not None
    assert leases._yield(owner.core, "door", lease, now_ms) == []
    lease.taken = True
    assert leases._yield(owner.core, "door", lease, now_ms) == []
    lease.until_ms = 0
    assert leases._yield(owner.core, "door", lease, lease.acts_ms + MARGIN_MS - 1) == []
    lease.rank = 1
    outputs = leases._yield(owner.core, "door", lease, lease.acts_ms + MARGIN_MS)
    frames = [Frame.FromString(one.data) for one in outputs if isinstance(one, Send)]
    assert [frame.lease_ask.release for frame in frames] == [True, True]
    assert lease.asked == lease.acknowledged == {}
    assert not leases._is_due(lease, lease.again_ms - 1)
    assert leases._is_due(lease, lease.again_ms)


def test_what_the_others_say_is_told_where_all_are_linked_and_none_grants() -> None:
    site = site_with(3)
    owner = owner_of(site)
    for node in site.nodes:
        if node is not owner:
            node.core.leases.rosters.nodes = (Member("x", b"key"),)
    site.world.run(LEASE_MS + PATIENCE_MS + FREE_MS)
    assert runners(site) == []
    assert "the others say: south-" in alarms(owner)["door"]


@pytest.mark.parametrize("counter", [0, 7])
def test_a_node_says_which_state_is_in_force_there_not_which_it_has(counter: int) -> None:
    site = site_with(1)
    (node,) = site.nodes
    applied = node.core.register.applied_counter
    assert node.core.register.in_force_counter == applied > 0
    node.core.in_force.counter = counter  # it refused what later ones say of its site
    content = register_content(node.core)
    assert (content.applied_counter, content.in_force_counter) == (applied, counter)
    rosters = node.core.leases.rosters
    rosters.earlier = (Earlier((lease_members.own(node.core),), until=applied),)
    node.core.publish(node.clock_ms())
    node.core.leases.tick(node.core, node.clock_ms() + FREE_MS)
    node.core.leases.tick(node.core, node.clock_ms() + 3 * FREE_MS)
    assert (rosters.earlier == ()) is (counter >= applied)


def test_what_nobody_gets_is_an_alarm_for_as_long_as_that_is_so() -> None:
    """Each gives up in its turn, and lets the next one try."""
    site = site_with(5)
    rosters = [node.core.leases.rosters for node in site.nodes]
    since = rosters[0].since
    for one in rosters:
        one.since = 10**6  # which all others seem to be behind
    site.world.run(LEASE_MS + 2 * PATIENCE_MS)
    assert runners(site) == []
    for _ in range(60):
        site.world.run(1_000)
        assert any(
            "goes by an earlier roster" in alarms(node).get("door", "") for node in site.nodes
        )
    for one in rosters:
        one.since = since
    site.world.run_until(lambda: len(runners(site)) == 1, RETRY_MS + SOON_MS, "one runs it")
    site.world.run(2_000)
    assert all("door" not in alarms(node) for node in site.nodes)


def test_counters_count_among_those_who_go_by_one_trust_generation() -> None:
    site = site_with(3)
    one, other, third = site.nodes
    core, me = one.core, lease_members.own(one.core)
    assert one.core.register.in_force_generation == 1
    record = core.membership.registers.get(other.name)
    assert record is not None
    record.body.in_force_generation = 0  # as of an older release
    assert len(lease_members.applied(core)) == 3
    record.body.in_force_generation = 2
    assert set(lease_members.applied(core)) == {me, lease_members.own(third.core)}
    core.in_force.generation = 2
    assert set(lease_members.applied(core)) == {me, lease_members.own(other.core)}

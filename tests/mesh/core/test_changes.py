"""Local changes in a simulated site: they reach all, outlive what fails, and end by themselves."""

import pytest

from mesh.core.changes import HELD_MAX, LOCAL_CHANGES, REFUSED_KEPT, SEEN_MAX, LocalChanges
from mesh.events import WriteJournal
from mesh.heads.trust import Trust
from mesh.site.changes import CHANGES_MAX, Change, ChangeRefused
from protos.documents_pb2 import LocalChange
from tests.mesh.core.changing import ALLOWED, HOUR, events, held, settled, submit
from tests.sim.identities import signer
from tests.sim.nodes import SimNode
from tests.sim.operators import local_change
from tests.sim.site import Site


def fresh(node: SimNode, document: bytes = b"") -> LocalChanges:
    """What a node would know of local changes with nothing but this document."""
    core, trust = node.core, node.core.peer.heads.trust
    return LocalChanges("south", trust, core.in_force, core.artifacts.known, document)


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_a_change_made_at_one_node_counts_at_all(nodes: int) -> None:
    site = settled(nodes)
    site.cut_wan()
    submit(site.nodes[0], local_change(site.nodes[0], value="2"))
    site.world.run_until(lambda: site.serving() == 2, 10_000, "two serve")
    assert all(held(node) == ["scale=2"] for node in site.nodes)
    assert all(("change.began", "a queue at the door") in events(node) for node in site.nodes)


def test_it_outlives_the_node_that_took_it_a_restart_and_the_outage() -> None:
    site = settled(3)
    site.cut_wan()
    submit(site.nodes[0], local_change(site.nodes[0], value="2"))
    site.world.run_until(lambda: site.serving() == 2, 10_000, "two serve")
    site.nodes[0].crash()
    site.nodes[1].crash()
    site.world.run(8_000)
    site.nodes[1].boot()
    site.nodes[0].boot()
    site.mend_wan()
    site.world.run(12_000)
    assert all(held(node) == ["scale=2"] for node in site.nodes)
    assert site.serving() == 2


def test_it_ends_by_itself_and_all_is_as_planned() -> None:
    site = settled(3)
    node = site.nodes[0]
    submit(node, local_change(node, until_unix_ms=node.core.unix_ms() + 20_000))
    site.world.run_until(lambda: site.serving() == 3, 10_000, "three serve")
    site.world.run(20_000)
    assert site.serving() > 1  # scaling steps down by its hysteresis, not at once
    site.world.run_until(lambda: site.serving() == 1, 25_000, "as planned")
    assert all(held(n) == [] for n in site.nodes)
    assert all(("change.ended", "its time is over") in events(n) for n in site.nodes)


def test_a_plan_that_names_the_workload_ends_it_and_one_that_does_not_leaves_it() -> None:
    site = settled(3)
    submit(site.nodes[0], local_change(site.nodes[0]))
    site.world.run_until(lambda: site.serving() == 3, 10_000, "three serve")
    site.publish(replicas=1, most=4, autonomy=ALLOWED)  # another state, the same service
    site.world.run(5_000)
    assert site.serving() == 3
    site.publish(replicas=2, most=4, autonomy=ALLOWED)
    site.world.run_until(lambda: site.serving() == 2, 15_000, "two serve")
    assert all(held(n) == [] for n in site.nodes)


def test_who_was_away_while_a_plan_ended_it_hears_so_from_a_later_one_that_says_the_same() -> None:
    site = settled(4)
    away = next(node for node in site.nodes[1:] if not node.serving("faces"))
    submit(site.nodes[0], local_change(site.nodes[0], value="2"))
    site.world.run_until(lambda: site.serving() == 2, 10_000, "two serve")
    assert held(away) == ["scale=2"]
    away.power_off()
    site.world.run(5_000)
    site.publish(replicas=3, most=4, autonomy=ALLOWED)
    site.world.run(5_000)
    site.publish(replicas=1, most=4, autonomy=ALLOWED)  # what the change was made of
    site.world.run(5_000)
    away.boot()
    site.world.run(15_000)
    assert {tuple(held(node)) for node in site.nodes} == {()}


def test_a_plan_that_allows_it_no_more_ends_it() -> None:
    site = settled(2)
    submit(site.nodes[0], local_change(site.nodes[0], value="2"))
    site.world.run_until(lambda: site.serving() == 2, 10_000, "two serve")
    site.publish(replicas=1, most=4)
    site.world.run_until(lambda: site.serving() == 1, 15_000, "one serves")
    (cause,) = [cause for event, cause in events(site.nodes[1]) if event == "change.ended"]
    assert "allows this site nothing, not scale" in cause


def test_the_later_of_two_counts_and_an_empty_value_is_as_planned() -> None:
    site = settled(3)
    one, other = site.nodes[:2]
    submit(one, local_change(one, value="2"))
    submit(other, local_change(other, value="3", counter=2))
    site.world.run(8_000)
    assert all(held(n) == ["scale=3"] for n in site.nodes)
    with pytest.raises(ChangeRefused, match="made after it counts"):
        one.core.changes.check(local_change(one, value="2"), one.core.unix_ms())
    submit(one, local_change(one, value="", counter=3))
    site.world.run_until(lambda: site.serving() == 1, 25_000, "as planned")


def test_lies_in_a_register_count_nowhere_and_are_told_once() -> None:
    site = settled(2)
    liar, victim = site.nodes
    lies = [local_change(liar, by="a thief"), local_change(liar, site="north"), b"\x00" * 2000]
    now = victim.core.unix_ms()
    told = victim.core.changes.heard(lies, liar.name, now)
    assert [type(one).__name__ for one in told] == ["Notice"] * 3
    assert victim.core.changes.heard(lies, liar.name, now) == []
    many = [local_change(liar, by="a thief", counter=n + 2) for n in range(REFUSED_KEPT)]
    for one in many:
        assert len(victim.core.changes.heard([one], liar.name, now)) == 1
    assert victim.core.changes.heard(many[:1], liar.name, now) == []
    # What does not fit into the memory is checked, and told, again.
    assert len(victim.core.changes.heard(many[-1:], liar.name, now)) == 1
    assert (
        victim.core.changes.heard([local_change(liar, until_unix_ms=now + 1)], liar.name, now + 2)
        == []
    )
    assert held(victim) == []


def test_no_more_of_a_register_is_looked_at_than_can_count() -> None:
    site = settled(2)
    liar, victim = site.nodes
    lies = [local_change(liar, by="a thief", counter=n + 1) for n in range(60)]
    told = victim.core.changes.heard(lies, liar.name, victim.core.unix_ms())
    assert len(told) == HELD_MAX


def test_what_was_refused_may_count_under_another_plan() -> None:
    site = Site(2)
    site.boot()
    site.world.run(2_000)
    site.publish(replicas=1, most=4)
    site.world.run_until(lambda: site.serving() == 1, 15_000, "one serves")
    node = site.nodes[0]
    envelope = local_change(node, value="2")
    submit(node, envelope)
    site.world.run(2_000)
    assert held(node) == []
    site.publish(replicas=1, most=4, autonomy=ALLOWED)
    site.world.run(3_000)
    submit(node, envelope)
    site.world.run_until(lambda: site.serving() == 2, 10_000, "two serve")


def test_there_is_a_limit_to_how_many_count() -> None:
    site = settled(1)
    node = site.nodes[0]
    core = node.core
    for number in range(CHANGES_MAX):
        submit(node, local_change(node, workload=f"other-{number}"))
    assert len(core.changes.held) == CHANGES_MAX
    with pytest.raises(ChangeRefused, match=f"{CHANGES_MAX} changes count here already"):
        core.changes.check(local_change(node), core.unix_ms())
    # Two halves of a split may each have had as many; above that nothing is taken.
    for number in range(2 * HELD_MAX):
        submit(node, local_change(node, workload=f"more-{number}"))
    assert len(core.changes.held) == HELD_MAX


def many(node: SimNode, count: int, **fields: object) -> list[bytes]:
    return [local_change(node, workload=f"w-{n:02}", **fields) for n in range(count)]


def test_which_ones_count_does_not_depend_on_the_order_in_which_they_came() -> None:
    site = settled(1)
    (node,) = site.nodes
    envelopes = many(node, 2 * HELD_MAX)
    kept = []
    for order in (envelopes, envelopes[::-1]):
        node.core.changes = changes = fresh(node)
        for envelope in order:
            changes.heard([envelope], "south-2", node.core.unix_ms())
        kept.append(changes.envelopes())
        assert fresh(node, changes.document()).envelopes() == kept[-1], "nor on a restart"
    assert kept[0] == kept[1]
    assert len(kept[0]) == HELD_MAX
    more = changes._open(next(one for one in envelopes if one not in kept[0]))
    assert fresh(node, changes.document(more)).envelopes() == kept[0]


def test_what_came_after_too_many_counts_once_one_has_ended() -> None:
    site = settled(1)
    (node,) = site.nodes
    now = node.core.unix_ms()
    short = many(node, HELD_MAX, counter=2, until_unix_ms=now + 1_000)
    low = [local_change(node, workload=f"low-{n}", value=str(n + 1)) for n in range(2)]
    changes = fresh(node)
    began = [changes.heard([one], "south-2", now) for one in [*low, *short]]
    ended = [e for done in began for e in done if isinstance(e, WriteJournal)]
    causes = {e.subject: e.cause for e in ended if e.event == "change.ended"}
    assert set(causes) == {"low-0", "low-1"}
    assert all("were made later" in cause for cause in causes.values())
    assert changes.envelopes() == short
    assert changes.heard(low, "south-2", now) == []
    assert sorted(changes.counter_after((f"low-{n}", "scale")) for n in range(2)) == [2, 2]
    changes.look(now + 1_001)
    assert changes.envelopes() == low, "all others ended"
    assert changes.look(now + 1_001) == []


def test_what_waits_for_room_counts_only_if_it_still_would() -> None:
    site = settled(1)
    (node,) = site.nodes
    now = node.core.unix_ms()
    over = local_change(node, workload="over", until_unix_ms=now + 500)
    stolen = local_change(node, workload="stolen", by="a thief")
    changes = fresh(node)
    high = many(node, HELD_MAX, counter=2, until_unix_ms=now + 1_000)
    changes.heard(high, "south-2", now)
    changes.heard([over], "south-2", now)
    assert changes._waiting.keys() == {("over", "scale")}
    lie = Change(stolen, b"", LocalChange(workload="stolen", field="scale"))
    changes._waiting[lie.key] = lie
    changes.look(now + 1_001)
    assert changes.envelopes() == []
    assert not changes._waiting


def test_only_so_many_wait_for_room_and_the_later_of_two_is_the_one() -> None:
    site = settled(1)
    (node,) = site.nodes
    now = node.core.unix_ms()
    changes = fresh(node)
    changes.heard(many(node, HELD_MAX, counter=9), "south-2", now)
    for counter in (1, 3, 2):
        changes.heard([local_change(node, workload="x", counter=counter)], "south-2", now)
    assert changes._waiting["x", "scale"].body.counter == 3
    for number in range(SEEN_MAX + 3):
        changes.heard([local_change(node, workload=f"y-{number}")], "south-2", now)
    assert len(changes._waiting) == HELD_MAX
    assert ("x", "scale") in changes._waiting, "the highest wait"
    changes.heard([local_change(node, workload="x", counter=10)], "south-2", now)
    assert ("x", "scale") not in changes._waiting


def test_what_was_ended_does_not_come_back_with_a_node_that_was_away() -> None:
    site = settled(3)
    one, away = site.nodes[0], site.nodes[2]
    submit(one, local_change(one, value="2", until_unix_ms=one.core.unix_ms() + 10 * HOUR))
    site.world.run(3_000)
    away.crash()
    site.world.run(8_000)
    counter, soon = one.core.changes.counter_after(("faces", "scale")), one.core.unix_ms() + 2_000
    submit(one, local_change(one, value="", counter=counter, until_unix_ms=soon))
    site.world.run(6_000)
    assert held(one) == []
    one.crash()
    one.boot()
    away.boot()
    site.world.run(12_000)
    assert held(one) == []
    assert held(site.nodes[1]) == []


@pytest.mark.parametrize("behind_ms", [0, 2 * HOUR])
def test_an_end_lasts_as_long_as_what_it_ends_for_who_was_away_or_by_a_clock_behind(
    behind_ms: int,
) -> None:
    site = settled(3)
    one, _, away = site.nodes
    for node in site.nodes:
        node.wall_offset_ms = 3 * HOUR
    site.world.run(500)
    now, key = one.core.unix_ms(), ("faces", "scale")
    submit(one, local_change(one, value="2", until_unix_ms=now + 10 * HOUR))
    site.world.run(3_000)
    assert held(away) == ["scale=2"]
    away.crash()
    one.wall_offset_ms -= behind_ms
    site.world.run(8_000)
    until_ms = one.core.changes.until(key, "", one.core.unix_ms() + HOUR)
    counter = one.core.changes.counter_after(key)
    submit(one, local_change(one, value="", counter=counter, until_unix_ms=until_ms))
    for node in site.nodes:
        node.wall_offset_ms += 3 * HOUR  # so long it was away
    site.world.run(5_000)
    away.boot()
    site.world.run(12_000)
    assert [held(node) for node in site.nodes] == [["scale="]] * 3


def test_ends_give_way_to_changes() -> None:
    site = settled(1)
    (node,) = site.nodes
    changes, now = fresh(node), node.core.unix_ms()
    names = [f"w-{n}" for n in range(HELD_MAX)]
    ends = [local_change(node, workload=name, value="", counter=9) for name in names]
    assert len(changes.heard(ends, "south-2", now)) > 0
    assert len(changes.held) == HELD_MAX
    changes.heard([local_change(node)], "south-2", now)
    assert "faces" in {one.body.workload for one in changes.held}
    assert len(changes.held) == HELD_MAX


def test_a_change_or_the_end_of_nothing_lasts_as_long_as_is_asked_for() -> None:
    site = settled(1)
    (node,) = site.nodes
    submit(node, local_change(node))
    site.world.run(1_000)
    assert node.core.changes.until(("faces", "scale"), "3", 7) == 7
    assert node.core.changes.until(("faces", "pin"), "", 7) == 7


def test_of_many_fields_the_last_ones_are_remembered() -> None:
    site = settled(1)
    node = site.nodes[0]
    changes, now = node.core.changes, node.core.unix_ms()
    for number in range(SEEN_MAX + 3):
        body = {"workload": f"w-{number}", "until_unix_ms": now + 1}
        changes.heard([local_change(node, made_unix_ms=now - 1, **body)], "south-2", now)
        changes.look(now + 2)
    assert changes.counter_after(("w-0", "scale")) == 1
    assert changes.counter_after((f"w-{SEEN_MAX}", "scale")) == 2


def test_what_was_made_under_a_state_to_come_waits_for_it() -> None:
    site = settled(2)
    node = site.nodes[0]
    envelope = local_change(node, base_counter=node.core.in_force.counter + 1)
    with pytest.raises(ChangeRefused, match="a state that is not here yet"):
        node.core.changes.check(envelope, node.core.unix_ms())
    submit(node, envelope)
    assert held(node) == []


def test_who_is_no_operator_any_more_changed_nothing() -> None:
    site = settled(1)
    node = site.nodes[0]
    submit(node, local_change(node))
    assert held(node) == ["scale=3"]
    node.core.changes._trust = Trust(signer("root").public_key)
    done = node.core.changes.authority_spoke()
    assert held(node) == []
    assert [one.event for one in done if isinstance(one, WriteJournal)] == ["change.ended"]


def test_without_a_plan_nothing_ends() -> None:
    site = settled(1)
    node = site.nodes[0]
    submit(node, local_change(node))
    node.core.in_force.branch.Clear()
    assert node.core.changes.look(node.core.unix_ms() + 100 * HOUR) == []
    assert held(node) == ["scale=3"]


def test_one_that_was_made_under_an_older_plan_is_refused_with_the_reason() -> None:
    site = settled(1)
    node = site.nodes[0]
    envelope = local_change(node)
    assert node.core.changes.check(envelope, node.core.unix_ms()).envelope == envelope
    site.publish(replicas=2, most=4, autonomy=ALLOWED)
    site.world.run(3_000)
    with pytest.raises(ChangeRefused, match="says something else of this service"):
        node.core.changes.check(envelope, node.core.unix_ms())


@pytest.mark.parametrize("document", [b"\xff\xff", b"\x0a\x03abc"])
def test_a_document_that_says_nothing_good_counts_for_nothing(document: bytes) -> None:
    site = settled(1)
    node = site.nodes[0]
    node.crash()
    node.disk.documents[LOCAL_CHANGES] = document
    node.boot()
    assert held(node) == []

"""Faults in a simulated site: what must go on, what must be told, and what must never happen."""

import pytest

from mesh.core.conflicts import BOOT_FLOOR
from mesh.core.in_force import IN_FORCE
from mesh.events import Received, WriteJournal
from mesh.exchange.comparison import WAN_EXCHANGE_MS, WAN_SILENCE_MS
from mesh.exchange.frames import pack
from protos.documents_pb2 import Boot, StableRegister
from tests.sim import identities
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def alarms(node: SimNode) -> set[tuple[str, str]]:
    return {(state.kind, state.subject) for state in node.core.alarms.states()}


def everything(site: Site) -> dict[object, list[int]]:
    """All records, by the disks of the nodes that wrote them."""
    return {
        key: sequences
        for node in site.nodes
        for key, sequences in node.disk.sequences().items()
        if key.node == node.name
    }


# ---- the way to the master ----


def test_a_link_that_swallows_everything_is_given_up_and_another_node_takes_over() -> None:
    site = Site(nodes=3).settle()
    site.world.run(6_000)
    gateway = site.gateway()
    site.world.swallow(gateway.name, identities.MASTER)
    pair = frozenset((gateway.name, identities.MASTER))
    assert pair in site.world.linked
    limit = WAN_EXCHANGE_MS + WAN_SILENCE_MS + 1_000
    site.world.run_until(lambda: pair not in site.world.linked, limit, "the link is given up")
    site.world.run_until(lambda: site.gateway() is not gateway, 6_000, "another gateway")
    site.world.run(3_000)
    assert frozenset((site.gateway().name, identities.MASTER)) in site.world.linked


def test_a_frozen_master_is_an_outage_within_the_exchange_and_ends_when_it_wakes() -> None:
    site = Site(nodes=2).settle()
    site.world.run(3_000)
    site.master.freeze(True)
    limit = WAN_EXCHANGE_MS + WAN_SILENCE_MS + 10_000
    site.world.run_until(lambda: ("Outage", "south") in alarms(site.nodes[0]), limit, "an outage")
    site.master.freeze(False)
    site.world.run_until(lambda: ("Outage", "south") not in alarms(site.nodes[0]), 5_000, "its end")


def test_a_node_that_itself_stood_still_does_not_blame_the_master() -> None:
    site = Site(nodes=1).settle(1)
    site.world.run(WAN_EXCHANGE_MS - 5_000)
    node = site.nodes[0]
    pair = frozenset((node.name, identities.MASTER))
    link = site.world.linked[pair]
    node.freeze(True)
    site.world.run(WAN_SILENCE_MS * 2)
    node.freeze(False)
    site.world.run(5_000)
    assert site.world.linked[pair] == link


def test_an_answer_that_could_not_be_read_in_time_is_waited_for_anew() -> None:
    site = Site(nodes=1).settle(1)
    site.world.run(5_000)
    node = site.nodes[0]
    pair = frozenset((node.name, identities.MASTER))
    link = site.world.linked[pair]
    site.master.freeze(True)
    asked = node.core.peer.links[identities.MASTER]
    site.world.run_until(lambda: asked.asked_ms is not None, WAN_EXCHANGE_MS + 1_000, "it asks")
    node.freeze(True)
    site.world.run(WAN_SILENCE_MS * 2)
    node.freeze(False)
    site.world.run(1_000)
    site.master.freeze(False)
    site.world.run(2_000)
    assert site.world.linked[pair] == link


def test_an_idle_site_costs_little_over_the_wan() -> None:
    site = Site(nodes=3).settle()
    site.world.run(30_000)
    before = sum(v for pair, v in site.world.bytes.items() if identities.MASTER in pair)
    site.world.run(600_000)
    after = sum(v for pair, v in site.world.bytes.items() if identities.MASTER in pair)
    rate = (after - before) / 600
    print(f"idle payload over the WAN: {rate:.2f} B/s")
    assert rate <= 31


def test_an_idle_site_sends_few_messages() -> None:
    for nodes in (5, 20):
        site = Site(nodes=nodes).settle()
        site.world.run(30_000)
        before = site.world.messages
        site.world.run(60_000)
        rate = (site.world.messages - before) / 60 / nodes
        print(f"{nodes} nodes, idle: {rate:.1f} messages a node and second")
        assert rate <= 6


# ---- journals ----


def test_a_copy_of_each_record_is_at_a_neighbour_within_a_second() -> None:
    site = Site(nodes=3).settle()
    site.cut_wan()
    site.world.run(10_000)
    writer = site.nodes[0]
    holder = site.node(writer.core.copy_holder())
    writer.do_WriteJournal(_entry())
    (key, written) = next(
        (key, max(s)) for key, s in writer.disk.sequences().items() if key.node == writer.name
    )
    site.world.run(1_000)
    assert max(holder.disk.sequences()[key]) >= written


def _entry() -> object:
    return WriteJournal("record", "test.event", "subject", "because")


def test_records_of_a_dead_node_reach_the_master_through_its_copy_holder() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    site.cut_wan()
    site.world.run(5_000)
    victim = site.nodes[0]
    victim.do_WriteJournal(_entry())
    site.world.run(1_000)
    victim.power_off()
    expected = {k: s for k, s in victim.disk.sequences().items() if k.node == victim.name}
    site.world.run(5_000)
    site.mend_wan()
    site.world.run(10_000)
    archive = site.master.disk.sequences()
    assert {key: archive[key] for key in expected} == expected


def test_when_the_copy_holder_dies_another_one_takes_the_copies() -> None:
    site = Site(nodes=4).settle()
    site.cut_wan()
    site.world.run(5_000)
    writer = site.nodes[0]
    first = site.node(writer.core.copy_holder())
    first.power_off()
    site.world.run(8_000)
    second = site.node(writer.core.copy_holder())
    assert second is not first
    mine = {k: s for k, s in writer.disk.sequences().items() if k.node == writer.name}
    copies = second.disk.sequences()
    assert {key: copies[key][-1] for key in mine} == {key: s[-1] for key, s in mine.items()}


def test_acknowledgements_reach_every_node() -> None:
    site = Site(nodes=4).settle()
    site.world.run(10_000)
    assert [node.core.unacknowledged_records() for node in site.nodes] == [0, 0, 0, 0]
    assert all(node.core.in_sync for node in site.nodes)


# ---- agents and runtimes ----


def test_an_agent_that_starts_anew_adopts_what_runs_and_stops_nothing() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    node = next(n for n in site.nodes if n.serving("faces"))
    before = {n.name: {s.pid for s in n.runs.values()} for n in site.nodes}
    node.restart_agent()
    site.world.run(15_000)
    assert {s.pid for s in node.runs.values()} == before[node.name]
    assert site.serving() == 2


def test_an_agent_that_starts_anew_alone_keeps_what_runs() -> None:
    site = Site(nodes=2).settle(1)
    site.world.run(3_000)
    node = next(n for n in site.nodes if n.serving("faces"))
    other = next(n for n in site.nodes if n is not node)
    pids = {s.pid for s in node.runs.values()}
    other.power_off()
    site.cut_wan()
    site.world.run(1_000)
    node.restart_agent()
    site.world.run(10_000)
    assert {s.pid for s in node.runs.values()} == pids


def test_an_agent_whose_plan_is_damaged_and_who_is_alone_stops_nothing() -> None:
    site = Site(nodes=2).settle(1)
    site.world.run(3_000)
    node = next(n for n in site.nodes if n.serving("faces"))
    other = next(n for n in site.nodes if n is not node)
    pids = {s.pid for s in node.runs.values()}
    other.power_off()
    site.cut_wan()
    site.world.run(1_000)
    for document in ("state-applied", "branches", IN_FORCE):
        del node.disk.documents[document]
    node.restart_agent()
    site.world.run(10_000)
    assert {s.pid for s in node.runs.values()} == pids


def test_a_changed_service_is_never_below_its_minimum_and_each_place_restarts_once() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    starts = sum(len(node.starts) for node in site.nodes)
    lowest = 2
    site.publish(replicas=2, restarts=1)
    for _ in range(200):
        site.world.run(25)
        lowest = min(lowest, site.serving())
    assert lowest == 2
    assert sum(len(node.starts) for node in site.nodes) == starts + 2


def test_an_old_version_serves_until_the_new_ones_model_is_here_even_if_the_agent_restarts() -> (
    None
):
    site = Site(nodes=2).settle()
    site.world.run(3_000)
    old = {n.name: {s.pid for s in n.runs.values()} for n in site.nodes}
    new_chunks = dict(site.master.disk.chunks)
    site.publish(replicas=2, version="2.0.0")
    withheld = {k: v for k, v in site.master.disk.chunks.items() if k not in new_chunks}
    for key in withheld:
        del site.master.disk.chunks[key]
    site.world.run(3_000)
    node = site.nodes[0]
    node.restart_agent()
    site.world.run(5_000)
    assert {n.name: {s.pid for s in n.runs.values()} for n in site.nodes} == old
    site.master.disk.chunks.update(withheld)
    lowest = 2
    for _ in range(1_600):
        site.world.run(25)
        lowest = min(lowest, site.serving())
    assert lowest == 2
    assert {r.state.model_version for n in site.nodes for r in n.runs.values()} == {"2.0.0"}


def test_a_runtime_is_left_alone_while_nobody_remembers_what_it_runs() -> None:
    site = Site(nodes=1).settle(1)
    site.world.run(3_000)
    node = site.nodes[0]
    pids = {s.pid for s in node.runs.values()}
    before = set(site.master.disk.chunks)
    site.publish(replicas=1, version="2.0.0")
    for key in set(site.master.disk.chunks) - before:
        del site.master.disk.chunks[key]
    site.world.run(3_000)
    del node.disk.documents["ran"]
    node.restart_agent()
    site.world.run(5_000)
    assert {s.pid for s in node.runs.values()} == pids
    assert node.core.told_services == {}


def test_what_moves_to_another_node_stops_only_once_it_serves_there() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    victim = next(n for n in site.nodes if n.serving("faces"))
    victim.power_off()
    site.world.run_until(lambda: site.serving() == 2, 8_000, "its replica elsewhere")
    victim.boot()
    lowest = 2
    for _ in range(400):
        site.world.run(25)
        lowest = min(lowest, site.serving())
    assert lowest == 2
    assert site.serving() == 2


# ---- identities ----


def test_a_cloned_disk_is_seen_by_both_and_gets_no_new_work() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    node = site.nodes[0]
    running = {s.pid for s in node.runs.values()}
    others = [n for n in site.nodes if n is not node]
    _forge_register(site, node, Boot(counter=node.core_boot.counter, nonce=b"another!"))
    site.world.run(2_000)
    assert node.name in node.core.conflicts.clones
    assert all(("Clone", node.name) in alarms(n) for n in site.nodes[:1])
    site.publish(replicas=3)
    site.world.run(10_000)
    assert {s.pid for s in node.runs.values()} == running
    assert len(others) == 2


def _forge_register(site: Site, node: SimNode, boot: Boot) -> bytes:
    """A register of the node, signed with its own key, that somebody with a copy of its disk made;
    every node of the site gets it."""
    body = StableRegister()
    body.CopyFrom(node.core.register)
    body.boot.CopyFrom(boot)
    body.version = 1
    uri = identities.node_identity("south", node.name).uri
    envelope = identities.signer(uri).sign("register", body.SerializeToString())
    for one in site.nodes:
        peer = one.core.peer.neighbours()[0]
        for frame in pack([("registers", envelope)]):
            one.feed(Received(peer, frame))
    return envelope


def test_a_clone_ends_when_the_node_is_heard_of_under_a_later_boot() -> None:
    site = Site(nodes=2).settle()
    site.world.run(3_000)
    node, other = site.nodes
    _forge_register(site, node, Boot(counter=node.core_boot.counter, nonce=b"another!"))
    assert ("Clone", node.name) in alarms(other)
    node.restart_agent()
    site.world.run(5_000)
    assert ("Clone", node.name) not in alarms(other)
    assert node.name not in node.core.conflicts.clones


def test_a_copy_of_a_nodes_memory_is_a_clone_too() -> None:
    site = Site(nodes=2).settle()
    site.world.run(3_000)
    node = site.nodes[0]
    body = StableRegister()
    body.CopyFrom(node.core.register)
    body.version += 100
    uri = identities.node_identity("south", node.name).uri
    envelope = identities.signer(uri).sign("register", body.SerializeToString())
    node.feed(Received(site.nodes[1].name, pack([("registers", envelope)])[0]))
    assert node.name in node.core.conflicts.clones


def test_what_it_said_in_an_earlier_start_is_no_sign_of_an_old_disk() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    node = site.nodes[0]
    node.heard_after_ms = 60_000  # a runtime that is frozen: the agent says nothing for a second
    node.restart_agent()
    site.world.run(5_000)
    assert not [kind for kind, _ in alarms(node) if kind in ("OldDisk", "Clone")]
    assert BOOT_FLOOR not in node.disk.documents


def test_a_restored_disk_says_so_and_the_next_start_counts_above_what_peers_know() -> None:
    site = Site(nodes=2).settle()
    site.world.run(3_000)
    node, other = site.nodes
    later = Boot(counter=node.core_boot.counter + 7, nonce=b"laterone")
    _forge_register(site, node, later)
    assert ("OldDisk", node.name) in alarms(node)
    assert Boot.FromString(node.disk.documents[BOOT_FLOOR]).counter == later.counter
    assert other.core.membership.registers.get(node.name).body.boot == later
    node.restart_agent()
    site.world.run(3_000)
    assert node.core_boot.counter == later.counter + 1
    assert other.core.membership.registers.get(node.name).body.boot == node.core_boot


def test_a_revoked_node_is_shut_out_and_its_work_goes_elsewhere() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    victim = next(n for n in site.nodes if n.serving("faces"))
    others = [n for n in site.nodes if n is not victim]
    site.publish(replicas=2, revoked={victim.name: "stolen"})
    site.world.run_until(
        lambda: sum(n.serving("faces") for n in others) == 2, 8_000, "its work elsewhere"
    )
    assert all(n.core.revoked.is_revoked(victim.contact.tls_key) == "stolen" for n in others)
    assert not any(victim.name in n.core.peer.links for n in others)


@pytest.mark.parametrize("nodes", [2, 3])
def test_a_frozen_node_is_declared_dead_and_alive_again_soon_after_it_wakes(nodes: int) -> None:
    site = Site(nodes=nodes).settle()
    site.world.run(3_000)
    sleeper, *others = site.nodes
    sleeper.freeze(True)
    site.world.run(10_000)
    assert all(sleeper.name in n.core.membership.liveness.dead() for n in others)
    sleeper.freeze(False)
    site.world.run_until(
        lambda: not any(n.core.membership.liveness.dead() for n in site.nodes), 3_000, "alive again"
    )

"""What a node keeps of its troubles over a restart of its agent, and how often it writes that."""

from mesh.core.troubles import SAVE_EVERY_MS, TROUBLES, Troubles
from mesh.events import SaveDocument
from protos.troubles_pb2 import KeptTroubles
from tests.sim.site import Site


def test_an_alarm_goes_on_after_the_agent_started_anew() -> None:
    site = Site(2).settle()
    node, other = site.nodes
    other.power_off()
    site.world.run(SAVE_EVERY_MS)
    (before,) = [a for a in node.core.alarms.states() if a.kind == "Offline"]
    site.world.run(SAVE_EVERY_MS)
    node.restart_agent()
    site.world.run(SAVE_EVERY_MS)
    (after,) = [a for a in node.core.alarms.states() if a.kind == "Offline"]
    assert (after.since_unix_ms, after.count) == (before.since_unix_ms, 1)


def test_an_agent_that_ends_as_planned_keeps_it_at_once() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    site.world.run(SAVE_EVERY_MS)
    node.core.alarms.set("Disk", "a", "full", "critical", 7)
    node.leave()
    kept = KeptTroubles.FromString(node.disk.documents[TROUBLES])
    assert [(one.kind, one.since_unix_ms) for one in kept.active] == [("Disk", 7)]


def test_it_is_written_once_in_a_while_and_only_what_is_another() -> None:
    (node,) = Site(1).settle(1).nodes
    core = node.core
    now_ms = node.clock_ms()
    troubles = Troubles(b"", now_ms)
    core.alarms.set("Disk", "a", "full", "critical", 1)
    assert troubles.tick(core, now_ms + SAVE_EVERY_MS - 1) == []
    (saved,) = troubles.tick(core, now_ms + SAVE_EVERY_MS)
    assert isinstance(saved, SaveDocument)
    assert Troubles(saved.data, 0).kept.active[0].subject == "a"
    assert troubles.tick(core, now_ms + 2 * SAVE_EVERY_MS) == []


def test_what_another_release_kept_says_nothing() -> None:
    assert Troubles(b"\xff", 0).kept == KeptTroubles()

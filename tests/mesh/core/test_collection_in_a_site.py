"""What nodes of a simulated site keep on their disks, and when they let go of it."""

from collections.abc import Callable

import pytest

from mesh.core.messages import ArtifactFailed, DiskRoom, RuntimeReported
from mesh.site import collection
from mesh.site.collection import KEEPER, PRESSED_MS
from tests.mesh.core.collected import (
    GRACE_MS,
    digest,
    holders,
    keeping,
    lying,
    others,
    records,
    rolled_out,
)
from tests.mesh.core.rolling import SOAK_MS, settled
from tests.sim.nodes import SimNode
from tests.sim.site import Site, face_detector


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "GRACE_MS", GRACE_MS)


# ---- the two keepers ----


def test_two_keepers_hold_what_the_plan_needs_and_say_so() -> None:
    site = settled(6, 2)
    assert keeping(site) <= holders(site, "1.0.0")
    for name in keeping(site):
        record = site.nodes[0].core.membership.registers.get(name)
        assert digest() in record.body.artifacts
    assert others(site), "one has no use for it"
    assert not holders(site, "1.0.0") & {node.name for node in others(site)}
    uses = {n.name: n.core.collecting.why(digest(), n.clock_ms()) for n in site.nodes}
    assert {uses[node.name] for node in others(site)} == {""}
    assert {uses[name] for name in site.nodes[0].core.placement.nodes_of("faces")} == {"runs here"}
    assert uses[site.nodes[0].core.placement.spares["faces"][0]] == "spare of faces"
    assert set(uses.values()) <= {"", "runs here", "spare of faces", KEEPER}


def test_a_keeper_that_has_no_room_says_so_and_tries_again() -> None:
    site = settled(6, 2)
    node = site.node(min(keeping(site)))
    node.feed(ArtifactFailed(digest("2.0.0"), "it does not fit", full=True))
    assert node.core.artifacts.failed == {}, "nothing that it needs has failed"
    site.publish(2, version="2.0.0")
    keeper = site.node(min(keeping(site, "2.0.0")))
    site.world.run_until(lambda: digest("2.0.0") in keeper.core.artifacts.fetching(), 9_000)
    keeper.feed(ArtifactFailed(digest("2.0.0"), "it does not fit", full=True))
    site.world.run(300)
    kinds = {(alarm.kind, alarm.subject) for alarm in keeper.core.alarms.states()}
    assert ("Disk", digest("2.0.0").hex()[:16]) in kinds
    site.world.run(25_000)
    assert digest("2.0.0") in keeper.core.artifacts.complete


def test_an_alarm_about_what_does_not_fit_ends_when_nobody_needs_it_any_more() -> None:
    site = settled(3, 2)
    site.publish(2, version="2.0.0")
    node = site.nodes[0]
    fetching = lambda: digest("2.0.0") in node.core.artifacts.fetching()  # noqa: E731
    site.world.run_until(fetching, 9_000, "it fetches")
    node.feed(ArtifactFailed(digest("2.0.0"), "it does not fit", full=True))
    site.publish(2, version="1.0.0")
    site.world.run(5_000)
    assert not [alarm for alarm in node.core.alarms.states() if alarm.kind == "Disk"]
    assert not node.core.artifacts.is_cramped


def test_a_failover_to_the_spare_downloads_nothing_with_the_master_gone() -> None:
    site = settled(6, 1)
    placement = site.nodes[0].core.placement
    (lost,), (spare,) = placement.nodes_of("faces"), placement.spares["faces"]
    site.world.run_until(lambda: spare in holders(site, "1.0.0"), 9_000, "the spare has it")
    site.cut_wan()
    site.world.run(5_000)

    def came() -> int:
        return sum(n for (_, to), n in site.world.chunk_bytes.items() if to == spare)

    before = came()
    site.node(lost).power_off()
    site.world.run_until(lambda: site.node(spare).serving("faces") == 1, 6_000, "it serves")
    assert came() == before


# ---- what goes, and when ----


@pytest.mark.usefixtures("short_grace")
def test_what_nobody_needs_goes_after_its_time_and_the_last_good_versions_stay() -> None:
    site = settled(4, 2)
    node = site.node(min(lying(site, "1.0.0")))
    rolled_out(site, "2.0.0", "3.0.0")
    site.world.run(GRACE_MS + 25_000)
    assert lying(site, "1.0.0") == set()
    assert keeping(site, "3.0.0") <= holders(site, "3.0.0")
    ran = {node.name for node in site.nodes if node.serving("faces")}
    assert ran <= holders(site, "2.0.0"), "what they would go back to"
    (gone,) = records(node, "artifact.collected")
    assert (gone["name"], gone["version"]) == ("face-detector", "1.0.0")
    assert gone["subject"] == digest().hex()[:16]
    assert int(gone["bytes"]) == sum(len(chunk) for chunk in face_detector()[1])
    assert "nothing has needed it for" in gone["cause"]
    assert {n.name for n in site.nodes if digest() in n.core.artifacts.known} == set()
    named = {n.name for n in site.nodes if digest("2.0.0") in n.core.artifacts.known}
    assert named == {n.name for n in site.nodes}, "any node can be asked to go back to it"
    rolled_out(site, "1.0.0")  # it comes again, from the master
    assert keeping(site) <= holders(site, "1.0.0")


def test_without_need_for_room_nothing_goes_before_its_time() -> None:
    site = settled(4, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    site.world.run(60_000)
    assert lying(site, "1.0.0")
    node = site.node(min(lying(site, "1.0.0")))
    why = node.core.collecting.why(digest(), node.clock_ms())
    assert why.startswith("waits to be collected: in 5"), why


def test_where_room_is_short_what_was_unneeded_longest_goes_at_once_one_by_one() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0", "4.0.0")
    assert lying(site, "1.0.0") == lying(site, "2.0.0") == {node.name for node in site.nodes}
    node = site.nodes[0]
    node.feed(DiskRoom(True))
    site.world.run(100)
    assert node.name not in lying(site, "1.0.0")
    assert node.name in lying(site, "2.0.0"), "room may be enough by now"
    site.world.run(2 * PRESSED_MS)
    assert node.name in lying(site, "2.0.0"), "it is to be told that room is still short"
    (gone,) = records(node, "artifact.collected")
    assert gone["cause"] == "the disk is short of room, and nothing needs it"
    for _ in range(5):
        node.feed(DiskRoom(True))
        site.world.run(500)
    assert {v for v in ("3.0.0", "4.0.0") if node.name in holders(site, v)} >= {"4.0.0"}
    assert keeping(site, "4.0.0") <= holders(site, "4.0.0")


def test_what_does_not_fit_makes_room_and_is_tried_again_at_once() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    node = next(n for n in site.nodes if n.name in keeping(site, "4.0.0"))
    site.publish(2, version="4.0.0")
    fetching = lambda: digest("4.0.0") in node.core.artifacts.fetching()  # noqa: E731
    site.world.run_until(fetching, 9_000, "it fetches")
    site.cut_wan()
    node.feed(ArtifactFailed(digest("4.0.0"), "it does not fit", full=True))
    site.mend_wan()
    site.world.run(PRESSED_MS)
    assert node.name not in lying(site, "1.0.0")
    assert not node.core.artifacts.failed
    site.world.run(30_000)
    assert node.name in holders(site, "4.0.0")


@pytest.mark.usefixtures("short_grace")
def test_a_node_with_no_use_for_it_lets_go_once_both_keepers_say_that_they_hold_it() -> None:
    site = settled(6, 4)
    site.publish(1, soak_ms=SOAK_MS)
    site.world.run(SOAK_MS + 5_000)
    placement = site.nodes[0].core.placement
    busy = {*placement.nodes_of("faces"), *placement.spares["faces"], *keeping(site)}
    idle = holders(site, "1.0.0") - busy
    assert idle, "one had run it and does no more"
    node = site.node(min(idle))
    site.node(min(keeping(site))).crash()
    forget_last_good(site)
    site.world.run(GRACE_MS + 15_000)
    assert node.name in holders(site, "1.0.0"), "a keeper is gone"
    assert "does not say that it holds it" in node.core.collecting.why(digest(), node.clock_ms())
    site.node(min(keeping(site))).start_agent()
    site.world.run(15_000)
    assert node.name not in lying(site, "1.0.0")
    assert keeping(site) <= holders(site, "1.0.0")
    assert digest() in node.core.artifacts.known, "every node keeps the manifests of the plan"


def forget_last_good(site: Site) -> None:
    """As where the service was deleted and created again, on nodes that run it no more."""
    for node in site.nodes:
        if node.up and not node.serving("faces"):
            node.core.share.rollouts.last_good.clear()
            node.core.share.rollouts._before.clear()


@pytest.mark.parametrize(
    ("unknown", "told"),
    [
        pytest.param(
            lambda site, node: node.feed(RuntimeReported(None)), "the runtime", id="the runtime"
        ),
        pytest.param(
            lambda site, node: node.core.membership.registers.forget(["south-1"]),
            "nothing is known of south-1",
            id="a neighbour",
        ),
        pytest.param(
            lambda site, node: node.core.conflicts._clones.update({node.name: 1}),
            "poses",
            id="a clone",
        ),
        pytest.param(
            lambda site, node: node.core.branch.roster.pop(), "not in the roster", id="the roster"
        ),
        pytest.param(
            lambda site, node: setattr(node.core.branch, "site", ""), "no plan", id="the plan"
        ),
    ],
)
def test_where_anything_is_unknown_nothing_goes(
    unknown: Callable[[Site, SimNode], object], told: str
) -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    node = site.nodes[2]
    site.world.run(2 * PRESSED_MS)
    unknown(site, node)
    core, now = node.core, node.clock_ms()
    core.collecting.room(True)
    planned = core.share.artifacts_planned()
    assert core.collecting.look(core, planned, now) == []
    assert told in core.collecting.why(digest(), now)


@pytest.mark.usefixtures("short_grace")
def test_a_node_that_never_came_holds_up_the_others_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unseen_ms = 120_000
    monkeypatch.setattr(collection, "UNSEEN_MS", unseen_ms)
    site = Site(4, seed=3)
    *came, last = site.nodes
    for node in came:
        node.boot()
    site.publish(2, soak_ms=SOAK_MS)
    site.world.run(10_000)
    rolled_out(site, "2.0.0", "3.0.0")
    node = came[0]
    why = lambda: node.core.collecting.why(digest(), node.clock_ms())  # noqa: E731
    assert why() == f"waits to be collected: nothing is known of {last.name}"
    assert lying(site, "1.0.0")
    site.world.run_until(
        lambda: f"known of {last.name}" not in why(), unseen_ms, "it is waited for"
    )
    site.world.run(GRACE_MS + 15_000)
    assert lying(site, "1.0.0") == set()
    last.boot()
    site.world.run(10_000)
    assert last.name not in lying(site, "1.0.0")

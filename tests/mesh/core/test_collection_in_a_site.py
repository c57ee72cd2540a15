"""What nodes of a simulated site keep on their disks, and let go of."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from mesh.core.artifacts import REMOVE_AGAIN_MS
from mesh.core.messages import (
    ArtifactFailed,
    ArtifactFinished,
    ArtifactRemoved,
    DiskRoom,
    RemoveArtifact,
    RuntimeReported,
)
from mesh.events import WriteJournal
from mesh.hashing import sha256
from mesh.site import collection
from mesh.site.collection import KEEPER, PRESSED_MS, keepers
from protos.documents_pb2 import JournalBatch
from protos.signed_pb2 import Envelope
from tests.mesh.core.rolling import SOAK_MS, settled
from tests.sim.nodes import SimNode
from tests.sim.site import Site, face_detector

GRACE_MS = 20_000
"""Instead of an hour, which takes the simulator minutes."""
LOST = sha256(b"an artifact that nobody remembers")


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "GRACE_MS", GRACE_MS)


def digest(version: str = "1.0.0") -> bytes:
    return sha256(face_detector(version)[0])


def holders(site: Site, version: str) -> set[str]:
    """Whose disks have all of a version."""
    return {node.name for node in site.nodes if node.disk.whole(digest(version))}


def lying(site: Site, version: str) -> set[str]:
    """Whose disks have anything of it."""
    return {node.name for node in site.nodes if digest(version) in node.disk.lying()}


def keeping(site: Site, version: str = "1.0.0") -> set[str]:
    return set(keepers(digest(version), frozenset(node.name for node in site.nodes)))


def others(site: Site) -> list[SimNode]:
    """The nodes that neither keep, run, nor stand by for the service."""
    placement = site.nodes[0].core.placement
    busy = {*placement.nodes_of("faces"), *placement.spares["faces"], *keeping(site)}
    return [node for node in site.nodes if node.name not in busy]


def rolled_out(site: Site, *versions: str) -> None:
    for version in versions:
        site.publish(2, version=version, soak_ms=SOAK_MS)

        def done(version: str = version) -> bool:
            return sorted(v for found in site.versions().values() for v in found) == [version] * 2

        site.world.run_until(done, 30_000, f"{version} serves")
        site.world.run(SOAK_MS + 3_000)


def records(node: SimNode, event: str) -> list[dict[str, str]]:
    """The fields of a node's own records of that name, with subject and cause."""
    found = []
    for key, batches in node.disk.logs.items():
        for batch in batches if key.node == node.name else ():
            body = JournalBatch.FromString(Envelope.FromString(batch.envelope).payload)
            for entry in body.entries:
                if entry.event == event:
                    found.append({**entry.fields, "subject": entry.subject, "cause": entry.cause})
    return found


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


# ---- the removal ----


def test_neighbours_hear_that_it_is_gone_before_it_goes() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    node = site.nodes[0]
    site.world.run(2 * PRESSED_MS)
    core = node.core
    core.collecting.room(True)
    out = core.collecting.look(core, core.share.artifacts_planned(), node.clock_ms())
    assert isinstance(out[-1], RemoveArtifact)
    assert len(out) > 1, "holdings are told first"
    assert digest() not in core.artifacts.complete
    assert digest() not in core.collecting.claims
    assert core.artifacts.is_removing


def test_what_is_needed_again_while_it_goes_is_begun_once_it_is_gone() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    site.world.run(2 * PRESSED_MS)
    node = site.nodes[0]
    artifacts, now = node.core.artifacts, node.clock_ms()
    artifacts.collect(digest("1.0.0"), False, "for a test", now)
    assert artifacts.plan({digest()}, {digest()}, now) == []
    assert artifacts.finished(ArtifactFinished(digest())) == []
    (entry,) = artifacts.removed(ArtifactRemoved(digest(), 7), now)
    assert isinstance(entry, WriteJournal)
    assert entry.fields["bytes"] == "7"
    (begin,) = artifacts.plan({digest()}, {digest()}, now)
    assert type(begin).__name__ == "BeginArtifact"


def test_a_removal_that_the_disk_refuses_is_told_and_tried_again() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    artifacts, now = site.nodes[0].core.artifacts, site.nodes[0].clock_ms()
    artifacts.collect(digest(), True, "for a test", now)
    (entry,) = artifacts.removed(ArtifactRemoved(digest(), 0, "input/output error"), now)
    assert (entry.event, entry.cause) == ("artifact.failed", "input/output error")
    assert digest() in artifacts.here
    assert digest() in artifacts.known, "its manifest lies there too"
    artifacts.collect(digest(), False, "for a test", now)
    again = ArtifactRemoved(digest(), 0, "input/output error")
    assert artifacts.removed(again, now) == [], "it was journalled"
    assert digest() in artifacts.known
    artifacts.collect(digest(), True, "for a test", now)
    assert artifacts.removed(ArtifactRemoved(digest(), 0), now) == [], "it had left nothing"
    assert digest() not in artifacts.here


def test_what_the_disk_does_not_let_go_is_tried_now_and_then_and_journalled_once(
    short_grace: None,
) -> None:
    site = settled(1, 1)
    (node,) = site.nodes
    for version in ("2.0.0", "3.0.0", "4.0.0"):
        site.publish(1, version=version, soak_ms=SOAK_MS)
        site.world.run(SOAK_MS + 8_000)
    tried: list[tuple[bytes, int]] = []
    removes = node.do_RemoveArtifact

    def refuses(i: RemoveArtifact) -> None:
        tried.append((i.artifact, site.world.now_ms))
        refused = ArtifactRemoved(i.artifact, 0, "EACCES: it cannot be unlinked")
        node.later(5, lambda: node.feed(refused))

    node.do_RemoveArtifact = refuses  # type: ignore[method-assign]
    site.world.run(GRACE_MS + 10 * REMOVE_AGAIN_MS)
    resisting = {artifact for artifact, _ in tried}
    assert resisting
    for one in resisting:
        at = [now_ms for artifact, now_ms in tried if artifact == one]
        pauses = [after - before for before, after in pairwise(at)]
        assert len(at) == 4
        for pause, times in zip(pauses, (1, 2, 4), strict=True):
            assert 0 <= pause - times * REMOVE_AGAIN_MS < 15_000
        assert node.core.collecting.why(one, node.clock_ms()).endswith("refused to remove it")
    assert len(records(node, "artifact.failed")) == len(resisting)
    node.do_RemoveArtifact = removes  # type: ignore[method-assign]
    site.world.run(8 * REMOVE_AGAIN_MS)
    assert not resisting & node.disk.lying().keys()


def test_what_one_does_not_let_go_keeps_no_other_one() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0", "4.0.0")
    site.world.run(2 * PRESSED_MS)
    node = site.nodes[0]
    core, now = node.core, node.clock_ms()
    planned = core.share.artifacts_planned()
    gone = []
    for _ in range(2):
        core.collecting.room(True)
        remove = core.collecting.look(core, planned, now)[-1]
        assert isinstance(remove, RemoveArtifact)
        gone.append(remove.artifact)
        core.artifacts.removed(ArtifactRemoved(remove.artifact, 0, "input/output error"), now)
    assert gone[0] != gone[1]


def test_after_a_restart_what_lies_on_the_disk_is_known_and_goes_as_well() -> None:
    site = settled(3, 2)
    rolled_out(site, "2.0.0", "3.0.0")
    node = site.nodes[0]
    node.disk.chunks[LOST, 0] = b"of an artifact by a key that releases no more"
    node.disk.blobs[LOST] = b"no manifest"
    del node.disk.chunks[digest("1.0.0"), 0]
    node.disk.complete.discard(digest("1.0.0"))
    node.restart_agent()
    site.world.run(PRESSED_MS + 5_000)
    assert node.core.artifacts.refused == {}, "nobody asks for it"
    for _ in range(4):
        node.feed(DiskRoom(True))
        site.world.run(500)
    assert LOST not in node.disk.lying()
    assert digest("1.0.0") not in node.disk.lying()
    assert [g.get("name", "") for g in records(node, "artifact.collected")].count("") == 1

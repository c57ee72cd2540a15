"""How artifacts leave the disks of a simulated site's nodes, also where a disk does not want to."""

from itertools import pairwise

import pytest

from mesh.core.artifacts import REMOVE_AGAIN_MS
from mesh.core.messages import ArtifactFinished, ArtifactRemoved, DiskRoom, RemoveArtifact
from mesh.events import WriteJournal
from mesh.hashing import sha256
from mesh.site import collection
from mesh.site.collection import PRESSED_MS
from tests.mesh.core.collected import GRACE_MS, digest, records, rolled_out
from tests.mesh.core.rolling import SOAK_MS, settled

LOST = sha256(b"an artifact that nobody remembers")


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collection, "GRACE_MS", GRACE_MS)
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

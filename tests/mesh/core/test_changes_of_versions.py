"""Local changes that replace what runs, in a simulated site: pins, restarts, rollbacks."""

import pytest

from mesh.events import Notice
from mesh.hashing import sha256
from mesh.site.changes import ChangeRefused
from protos.documents_pb2 import ModelPlan
from tests.mesh.core.changing import ALLOWED, events, held, settled, submit
from tests.sim.operators import local_change
from tests.sim.site import Site, face_detector


def test_a_pinned_version_rolls_out_and_comes_back() -> None:
    site = settled(2, replicas=2)
    artifact = another_version(site, "0.9.0", planned=True)
    node = site.nodes[0]
    pin = local_change(node, field="pin", value="0.9.0", artifact=artifact)
    submit(node, pin)
    old = {"south-1": ["0.9.0"], "south-2": ["0.9.0"]}
    site.world.run_until(lambda: site.versions() == old, 20_000, "the pinned version serves")
    submit(node, local_change(node, field="pin", value="", counter=2))
    new = {"south-1": ["1.0.0"], "south-2": ["1.0.0"]}
    site.world.run_until(lambda: site.versions() == new, 20_000, "the planned version serves")


def another_version(site: Site, version: str, planned: bool) -> bytes:
    """Releases a version of the model that the site runs; its artifact. `planned`: the plan names
    it, so that every node has its manifest."""
    envelope, chunks = face_detector(version)
    artifact = sha256(envelope)
    site.master.disk.save_blob(envelope)
    for index, data in enumerate(chunks):
        site.master.disk.chunks[artifact, index] = data
    model = ModelPlan(name="face-detector", version=version, artifact=artifact)
    others = (model,) if planned else ()
    site.publish(replicas=2, most=4, autonomy=ALLOWED, others=others)
    site.world.run(5_000)
    return artifact


def test_what_is_pinned_as_another_version_than_it_is_is_refused_with_the_reason() -> None:
    site = settled(2, replicas=2)
    artifact = another_version(site, "0.9.0", planned=True)
    liar, victim = site.nodes
    wrong = local_change(liar, field="pin", value="0.8.0", artifact=artifact)
    why = "what it pins as face-detector@0.8.0 is face-detector@0.9.0"
    (told,) = victim.core.changes.heard([wrong], liar.name, victim.core.unix_ms())
    assert isinstance(told, Notice)
    assert (told.subject, told.cause) == (liar.name, f"local change: {why}")
    with pytest.raises(ChangeRefused, match=why):
        victim.core.changes.check(wrong, victim.core.unix_ms())
    assert held(victim) == []


def test_what_is_pinned_as_another_version_ends_when_its_manifest_comes() -> None:
    site = settled(2, replicas=2)
    artifact = another_version(site, "0.9.0", planned=False)
    node = site.nodes[0]
    submit(node, local_change(node, field="pin", value="0.8.0", artifact=artifact))
    assert held(node) == ["pin=0.8.0"], "nobody knows yet what it is"
    site.world.run(8_000)
    why = "what it pins as face-detector@0.8.0 is face-detector@0.9.0"
    for one in site.nodes:
        assert held(one) == []
        assert ("change.ended", why) in events(one)
        assert one.tried_versions == {"1.0.0"}


# ---- restart and rollback ----


def starts(site: Site) -> list[int]:
    return [len(node.starts) for node in site.nodes]


def test_a_restart_goes_node_by_node_once_and_its_end_restarts_nothing() -> None:
    site = settled(2, replicas=2)
    site.cut_wan()
    node = site.nodes[0]
    before, fewest = starts(site), 2
    soon = node.core.unix_ms() + 8_000
    submit(node, local_change(node, field="restart", value="1", until_unix_ms=soon))
    for _ in range(80):
        site.world.run(100)
        fewest = min(fewest, site.serving())
    assert starts(site) == [count + 1 for count in before]
    assert fewest == 2, "each replica serves until its successor does"
    moments = sorted(at for one in site.nodes for at, _ in one.starts[-1:])
    assert moments[1] - moments[0] >= 700, "one after the other"
    site.world.run(10_000)
    assert all(held(one) == [] for one in site.nodes)
    for one in site.nodes:
        one.crash()
        one.boot()
        site.world.run(6_000)
    assert starts(site) == [count + 2 for count in before], "one more each, for the power cuts"
    configs = {s.state.config for one in site.nodes for s in one.runs.values()}
    assert len(configs) == 1


def test_a_second_restart_restarts_again_and_a_new_plan_starts_from_what_it_says() -> None:
    site = settled(1)
    node = site.nodes[0]
    for number in (1, 2):
        change = local_change(node, field="restart", value=str(number), counter=number)
        submit(node, change)
        site.world.run(6_000)
        assert starts(site) == [1 + number]
    site.publish(replicas=1, most=4, restarts=1, autonomy=ALLOWED)
    site.world.run(6_000)
    assert starts(site) == [4]
    assert held(node) == []


def test_a_rollback_goes_back_to_the_last_good_version_before_and_comes_back() -> None:
    site = settled(2, replicas=2)
    site.world.run(3_000)
    site.publish(replicas=2, most=4, version="1.1.0", autonomy=ALLOWED)
    new = {"south-1": ["1.1.0"], "south-2": ["1.1.0"]}
    site.world.run_until(lambda: site.versions() == new, 20_000, "the new version serves")
    site.world.run(3_000)
    site.cut_wan()
    node = site.nodes[0]
    node.crash()
    node.boot()
    site.world.run(6_000)
    earlier = node.core.share.rollouts.earlier(node.core.share.base.services[0])
    assert earlier is not None
    assert earlier.model_version == "1.0.0"
    back = {"field": "rollback", "artifact": earlier.artifact}
    submit(node, local_change(node, value="1.0.0", **back))
    old = {"south-1": ["1.0.0"], "south-2": ["1.0.0"]}
    site.world.run_until(lambda: site.versions() == old, 20_000, "it has gone back")
    submit(node, local_change(node, field="rollback", value="", counter=2))
    site.world.run_until(lambda: site.versions() == new, 20_000, "as planned again")


def test_of_a_pin_and_a_rollback_only_one_is_taken() -> None:
    site = settled(1)
    node = site.nodes[0]
    changes, now = node.core.changes, node.core.unix_ms()
    artifact = node.core.share.base.services[0].artifact
    version = {"value": "1.0.0", "artifact": artifact}
    submit(node, local_change(node, field="rollback", **version))
    pin = local_change(node, field="pin", **version)
    with pytest.raises(ChangeRefused, match="`meshctl local end faces rollback` ends it"):
        changes.check(pin, now)
    changes.check(local_change(node, field="rollback", counter=2, **version), now)
    changes.check(local_change(node, value="2"), now)
    submit(node, local_change(node, field="rollback", value="", counter=2))
    assert changes.check(pin, now).envelope == pin


@pytest.mark.parametrize("field", ["restart", "rollback"])
def test_a_restart_or_a_rollback_that_was_replayed_or_is_over_counts_nowhere(field: str) -> None:
    site = settled(1)
    node = site.nodes[0]
    core, now = node.core, node.core.unix_ms()
    made = {"field": field, "value": "1", "artifact": core.share.base.services[0].artifact}
    if field == "rollback":
        made["value"] = "1.0.0"
    first = local_change(node, **made)
    submit(node, local_change(node, field=field, value="", counter=2))
    with pytest.raises(ChangeRefused, match="made after it counts"):
        core.changes.check(first, now)
    late = local_change(node, counter=3, made_unix_ms=now - 2, until_unix_ms=now - 1, **made)
    with pytest.raises(ChangeRefused, match="its time is over"):
        core.changes.check(late, now)
    wrong = local_change(node, counter=3, **{**made, "value": "7.7.7"})
    with pytest.raises(ChangeRefused, match=r"is face-detector@1\.0\.0|no number of a restart"):
        core.changes.check(wrong, now)

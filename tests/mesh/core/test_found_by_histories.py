"""What drawn histories (tests/sim) have broken, each as the shortest story that still shows it."""

from functools import partial

import pytest

from mesh.core.at_start import artifacts_at_start
from mesh.site.local import RUNS
from protos.documents_pb2 import ModelPlan, PipelinePlan, Plan, ServicePlan, StableRegister
from tests.mesh.core.rolling import SOAK_MS, settled, watch
from tests.sim.checks.agreement import Agreement
from tests.sim.draw import Act, Story, draw
from tests.sim.nodes import SimNode
from tests.sim.play import Play
from tests.sim.site import Site


def withhold(site: Site, replicas: int) -> None:
    """The master signs a version whose chunks nobody can get: it is cut off too early."""
    before = set(site.master.disk.chunks)
    site.publish(replicas, version="2.0.0", soak_ms=SOAK_MS)
    for key in set(site.master.disk.chunks) - before:
        del site.master.disk.chunks[key]
    site.world.run(3_000)


def test_while_a_new_version_cannot_be_fetched_the_old_one_replaces_what_dies() -> None:
    site = settled(nodes=3, replicas=1)
    withhold(site, replicas=1)
    next(node for node in site.nodes if node.serving("faces")).power_off()
    site.world.run_until(lambda: site.serving() == 1, 8_000, "the last good version elsewhere")


def test_while_a_new_version_cannot_be_fetched_a_node_that_starts_anew_serves_the_old_one() -> None:
    site = settled(nodes=1, replicas=1)
    withhold(site, replicas=1)
    site.cut_wan()
    site.nodes[0].power_off()
    site.nodes[0].boot()
    site.world.run_until(lambda: site.serving() == 1, 8_000, "the last good version")


def test_a_node_that_starts_knows_the_models_of_the_plan_of_what_ran_and_of_what_was_good() -> None:
    plan = Plan(models=[ModelPlan(artifact=b"3"), ModelPlan(artifact=b"1")])
    ran = Plan(services=[ServicePlan(artifact=b"2")]).SerializeToString()
    good = StableRegister(last_good=[ServicePlan(artifact=b"4")]).SerializeToString()
    assert artifacts_at_start(plan, ran, good) == [b"1", b"2", b"3", b"4"]
    assert artifacts_at_start(plan, b"\xff", b"\xff") == [b"1", b"3"]
    assert artifacts_at_start(Plan(), b"", b"") == []


def revoked_beside_a_bad_version() -> tuple[Site, str]:
    """The only node that ever ran the service is lost and revoked while a bad version is rolled
    out, which failed there. And which node that was."""
    site = settled(nodes=4, replicas=1)
    site.world.faulty["2.0.0"] = "golden"
    site.publish(1, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run(10_000)
    lost = next(node for node in site.nodes if node.serving("faces"))
    lost.power_off()
    site.nodes.remove(lost)
    site.publish(1, version="2.0.0", soak_ms=SOAK_MS, revoked={lost.name: "burnt"})
    return site, lost.name


def test_the_last_good_version_outlives_the_only_node_that_ran_it_and_was_revoked() -> None:
    site, _ = revoked_beside_a_bad_version()
    site.world.run_until(lambda: site.serving() == 1, 10_000, "the last good version elsewhere")
    assert [v for versions in site.versions().values() for v in versions] == ["1.0.0"]


def test_that_version_outlives_a_power_cut_and_is_known_to_a_node_that_is_enrolled() -> None:
    site, lost = revoked_beside_a_bad_version()
    site.world.run(2_000)
    for node in site.nodes:
        node.power_off()
    first, new = site.nodes[0], SimNode(site.world, "south", "south-9")
    site.nodes.append(new)
    site.publish(1, version="2.0.0", soak_ms=SOAK_MS, revoked={lost: "burnt"})
    first.boot()
    new.boot()
    site.world.run(10_000)
    first.power_off()
    site.world.run_until(lambda: new.serving("faces") == 1, 15_000, "at the new node")
    assert new.versions("faces") == ["1.0.0"]


def test_what_moves_away_while_a_new_version_is_tried_there_serves_on_meanwhile() -> None:
    site = settled(nodes=3, replicas=1)
    (node,) = [node for node in site.nodes if node.serving("faces")]
    site.publish(1, version="2.0.0", soak_ms=SOAK_MS)
    trial = lambda: any(key.config not in before for key in node.runs)  # noqa: E731
    before = {key.config for key in node.runs}
    site.world.run_until(trial, 10_000, "the new version is tried")
    site.publish(1, version="2.0.0", soak_ms=SOAK_MS, held_back={node.name: True})
    fewest, _ = watch(site, 15_000)
    assert (fewest, node.serving("faces"), site.serving()) == (1, 0, 1)


@pytest.mark.parametrize("heard_after_ms", [0, 900])
def test_so_it_does_where_the_agent_starts_anew_meanwhile_and_its_node_does_what_it_is_told(
    heard_after_ms: int,
) -> None:
    site = settled(nodes=3, replicas=1)
    (node,) = [node for node in site.nodes if node.serving("faces")]
    node.sources, node.heard_after_ms = ("camera",), heard_after_ms
    node.restart_agent()
    site.world.run(3_000)
    (good,) = [service.artifact for service in node.core.branch.plan.services]
    door = PipelinePlan(name="door", source="camera", service="faces", every_ms=200)
    tried = partial(site.publish, 1, version="2.0.0", soak_ms=90_000)
    tried(pipelines=(door,))
    site.world.run_until(lambda: len(node.runs) == 2, 10_000, "the new version is tried")
    site.world.run(2_000)
    node.restart_agent()
    site.world.run(3_000)
    assert node.core.share.uses()[good] == RUNS, "it serves"
    for other in site.nodes:
        if other is not node:
            other.do_Run = lambda _: None  # type: ignore[method-assign]
    tried(held_back={node.name: True}, pipelines=(door,))
    site.world.run(3_000)
    assert "door" in node.pipelines
    tried(held_back={node.name: True})
    fewest, _ = watch(site, 3_000)
    assert (fewest, node.versions("faces"), node.pipelines) == (1, ["1.0.0"], {})


@pytest.mark.parametrize(("nodes", "seed"), [(2, 5), (3, 4), (3, 11), (5, 3)])
def test_parts_that_were_split_for_long_agree_within_ten_seconds(nodes: int, seed: int) -> None:
    drawn = draw(seed, nodes, 1)
    names = sorted(drawn.cores)
    part, rest = names[: (nodes + 1) // 2], names[(nodes + 1) // 2 :]
    split = Act(30_000, "partition", 120_000, ("+".join(part), "+".join(rest)), "silent")
    story = Story(seed, drawn.cores, drawn.cameras, drawn.wanted, (split,), 165_000)
    outcome = Play(story).run()
    assert Agreement.promise not in {one.promise for one in outcome.broken}, outcome

"""What drawn histories (tests/sim) have broken, each as the shortest story that still shows it."""

from mesh.core.at_start import artifacts_at_start
from protos.documents_pb2 import ModelPlan, Plan, ServicePlan, StableRegister
from tests.mesh.core.rolling import SOAK_MS, settled
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

"""The main story in virtual time: a site agrees, serves, lives through an outage, and resyncs."""

import pytest

from tests.sim import identities
from tests.sim.site import Site


@pytest.fixture
def site() -> Site:
    site = Site(nodes=3)
    site.boot()
    site.world.run(2_000)
    site.publish(replicas=2)
    site.world.run_until(lambda: site.serving() == 2, 15_000, "two replicas serve")
    return site


def test_a_state_reaches_every_node_and_two_replicas_serve(site: Site) -> None:
    site.world.run(2_000)
    assert [n.core.peer.heads.state.applied.counter for n in site.nodes] == [1, 1, 1]
    assert site.serving() == 2
    over_wan = sum(v for (s, _), v in site.world.chunk_bytes.items() if s == identities.MASTER)
    assert over_wan <= 1.05 * sum(len(c) for c in site.chunks)


def test_a_node_lost_in_an_outage_is_replaced_within_six_seconds(site: Site) -> None:
    site.cut_wan()
    site.world.run(6_000)
    victim = next(n for n in site.nodes if n.serving("faces"))
    victim.power_off()
    taken = site.world.run_until(lambda: site.serving() == 2, 6_000, "its replica elsewhere")
    assert taken < 6_000
    victim.boot()
    lowest = 2
    for _ in range(100):
        site.world.run(50)
        lowest = min(lowest, site.serving())
    assert victim.serving("faces") == 1
    assert lowest == 2, "what it said before it died must not end its replacement too early"
    assert site.serving() == 2


def test_after_an_outage_the_master_has_every_record_once_and_nothing_restarted(
    site: Site,
) -> None:
    site.world.run(3_000)
    site.cut_wan()
    site.world.run(10_000)
    victim = next(n for n in site.nodes if n.serving("faces"))
    victim.power_off()
    site.world.run(8_000)
    site.publish(replicas=3)
    before = [len(n.starts) for n in site.nodes if n is not victim]
    site.mend_wan()
    site.world.run_until(lambda: site.serving() == 3, 10_000, "the new plan")
    site.world.run(10_000)
    after = [len(n.starts) for n in site.nodes if n is not victim]
    assert sum(after) == sum(before) + 1
    everything = {}
    for node in site.nodes:
        for key, sequences in node.disk.sequences().items():
            if key.node == node.name:
                everything[key] = sequences
    archive = site.master.disk.sequences()
    assert archive == everything


def test_two_halves_of_a_split_site_both_serve_and_agree_after_the_merge() -> None:
    site = Site(nodes=4)
    site.boot()
    site.world.run(2_000)
    site.publish(replicas=2)
    site.world.run_until(lambda: site.serving() == 2, 15_000)
    left, right = site.nodes[:2], site.nodes[2:]
    for one in left:
        for other in right:
            site.world.cut_off(one.name, other.name)
    site.cut_wan()
    site.world.run(15_000)
    assert sum(n.serving("faces") for n in left) == 2
    assert sum(n.serving("faces") for n in right) == 2
    for one in left:
        for other in right:
            site.world.mend(one.name, other.name)
    site.world.run(10_000)
    assert site.serving() == 2
    placements = {str(n.core.placement.replicas) for n in site.nodes}
    assert len(placements) == 1

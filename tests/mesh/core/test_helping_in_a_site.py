"""A node without a WAN path gets what no node with one has a use for."""

from mesh.core.collecting import HELPS
from mesh.hashing import sha256
from mesh.site.collection import keepers
from tests.sim import identities
from tests.sim.site import Site, face_detector

NEW = sha256(face_detector("2.0.0")[0])


def without_paths() -> tuple[Site, str]:
    """A site of six in which only one node has a WAN path, and no use for version 2.0.0."""
    site = Site(6).settle()
    placement = site.nodes[0].core.placement
    names = [node.name for node in site.nodes]
    busy = {
        *placement.nodes_of("faces"),
        *placement.spares["faces"],
        *keepers(NEW, frozenset(names)),
    }
    helper = min(set(names) - busy)
    for name in names:
        if name != helper:
            site.world.cut_off(name, identities.MASTER)
    site.world.run_until(
        lambda: all(node.core.peer.gateway() == helper for node in site.nodes), 30_000, "one is it"
    )
    return site, helper


def test_the_gateway_fetches_for_neighbours_that_have_no_path_of_their_own() -> None:
    site, helper = without_paths()
    site.publish(2, version="2.0.0")
    versions = lambda: sorted(v for found in site.versions().values() for v in found)  # noqa: E731
    site.world.run_until(lambda: versions() == ["2.0.0"] * 2, 30_000, "the new version serves")
    site.world.run(5_000)
    bytes_of = site.world.chunk_bytes
    size = sum(len(chunk) for chunk in face_detector("2.0.0")[1])
    before = sum(len(chunk) for chunk in face_detector()[1])
    assert sum(n for (source, _), n in bytes_of.items() if source == identities.MASTER) == (
        size + before
    ), "each chunk crossed the WAN once"
    core = site.node(helper).core
    assert NEW in core.artifacts.complete
    why = core.collecting.why(NEW, site.node(helper).clock_ms())
    assert why.startswith("waits to be collected"), "nobody fetches it any more"


def test_who_loses_its_path_gives_it_up_and_the_next_gateway_takes_over() -> None:
    site, helper = without_paths()
    site.publish(2, version="2.0.0")
    core = site.node(helper).core
    site.world.run_until(lambda: core.helping.artifacts == {NEW}, 9_000, "it helps")
    site.world.cut_off(helper, identities.MASTER)
    site.world.run(100)
    if NEW not in core.artifacts.complete:
        assert core.collecting.why(NEW, site.node(helper).clock_ms()) == HELPS
    site.world.run(3_000)
    assert core.helping.artifacts == frozenset()
    assert core.artifacts.fetching() == []
    site.mend_wan()
    versions = lambda: sorted(v for found in site.versions().values() for v in found)  # noqa: E731
    site.world.run_until(lambda: versions() == ["2.0.0"] * 2, 60_000, "the new version serves")


def test_nobody_helps_where_somebody_who_fetches_has_a_path() -> None:
    site = Site(6).settle()
    helped = False
    site.publish(2, version="2.0.0")
    for _ in range(100):
        site.world.run(100)
        helped |= any(node.core.helping.artifacts for node in site.nodes)
    assert not helped

"""A simulated site in which versions follow each other: what the stories of rollouts begin with."""

from tests.sim.site import Site

SOAK_MS = 2_000


def settled(nodes: int, replicas: int, seed: int = 1) -> Site:
    """A site whose replicas serve and have soaked."""
    site = Site(nodes, seed)
    site.boot()
    site.world.run(2_000)
    site.publish(replicas, soak_ms=SOAK_MS)
    site.world.run_until(lambda: site.serving() == replicas, 15_000, "replicas serve")
    site.world.run(SOAK_MS + 3_000)
    return site


def watch(site: Site, duration_ms: int) -> tuple[int, int]:
    """Lets time pass; the fewest replicas that served, and the most nodes with two versions."""
    fewest, most_mixed = site.serving(), 0
    for _ in range(duration_ms // 50):
        site.world.run(50)
        fewest = min(fewest, site.serving())
        mixed = [v for v in site.versions().values() if len(set(v)) > 1]
        most_mixed = max(most_mixed, len(mixed))
    return fewest, most_mixed

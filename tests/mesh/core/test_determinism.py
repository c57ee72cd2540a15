"""One seed, one history: whatever the hash seed of the interpreter, and whatever ran before."""

import hashlib
import os
import subprocess
import sys

from tests.sim.site import Site


def history() -> str:
    """The digest of all that was done, when and by whom, in a site that lived through something."""
    site = Site(nodes=4, seed=7)
    site.settle()
    site.world.probe_loss = 0.1
    site.world.latency_ms = (1, 60)
    site.cut_wan()
    site.world.run(8_000)
    site.nodes[1].power_off()
    site.world.run(8_000)
    site.publish(replicas=3, restarts=1)
    site.mend_wan()
    site.nodes[1].boot()
    site.world.run(15_000)
    sent = sorted(site.world.bytes.items())
    return hashlib.sha256(repr((site.world.trace, sent)).encode()).hexdigest()


def test_the_same_seed_gives_the_same_history_under_two_hash_seeds() -> None:
    program = "from tests.mesh.core.test_determinism import history; print(history())"
    found = set()
    for seed in ("1", "2"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1

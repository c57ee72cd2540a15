"""Replays the history of a seed: python -m tests.sim --seed N [--nodes 10] [--minutes 10] [--trace]

Exit code 1 if a promise was broken.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.sim.play import play

NODES = 10
MINUTES = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays one history, or several in a row."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from that one on")
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--trace", action="store_true", help="print all that is done")
    options = parser.parse_args(arguments)
    failed = 0
    for seed in range(options.seed, options.seed + options.seeds):
        began = time.process_time()
        outcome = play(seed, options.nodes, options.minutes, print if options.trace else None)
        took = time.process_time() - began
        print(outcome)
        print(f"  digest {outcome.digest[:16]}, {outcome.alone} faults alone, {took:.2f} s of CPU")
        failed += bool(outcome.broken)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

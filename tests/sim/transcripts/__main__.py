"""Prints transcripts: python -m tests.sim.transcripts [NAME ...] [--update]"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.sim.transcripts.stories import STORIES, transcript

FOLDER = Path(__file__).parent
UPDATE = "python -m tests.sim.transcripts --update"


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays the stories named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.transcripts", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(STORIES)}")
    parser.add_argument("--update", action="store_true", help="rewrite the files")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(STORIES))
    if unknown:
        parser.error(f"no such story: {', '.join(unknown)}; there are {', '.join(STORIES)}")
    for name in options.names or STORIES:
        text = transcript(name)
        if options.update:
            (FOLDER / f"{name}.txt").write_text(text)
        else:
            print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

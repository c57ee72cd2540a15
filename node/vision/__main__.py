"""`python -m node.vision`: one pipeline; what comes in and goes out stands in the package."""

import json
import signal
import sys
import time
from collections.abc import Callable

from node.vision.confinement import output_of_our_own, prepare_libraries
from node.vision.source_url import BadSource, parse_source
from node.vision.spec import BadSpec, read_spec
from node.vision.term import Lines, Term, end_now

EXIT_BAD_SPEC = 2


class ProcessClock:
    """The monotonic clock, and SIGTERM as the wish to end.

    The signal is blocked and looked for while waiting, so that it never lands in native code.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        # Before any thread starts: threads inherit the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def is_over(self, wait_ms: int) -> bool:
        """Wait so long, or until SIGTERM; True: it came."""
        self._check()
        return signal.sigtimedwait({signal.SIGTERM}, wait_ms / 1000) is not None


def main() -> int:
    """Run one pipeline to its end; gives the exit code."""
    given, lines = Lines(sys.stdin.fileno()), output_of_our_own()
    try:
        spec = read_spec(given.first())
        source = parse_source(spec.source_url)
    except (BadSpec, BadSource) as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return EXIT_BAD_SPEC
    term = Term(spec.deadline_ms, given, end_now)
    clock = ProcessClock(term.check)
    term.watch()

    def emit(event: str, kind: str, fields: dict[str, str]) -> None:
        term.check()
        now_ms = time.time_ns() // 1_000_000
        line = {"event": event, "kind": kind, "fields": fields, "unix_ms": now_ms}
        lines.write(json.dumps(line) + "\n")

    prepare_libraries()
    # Only now: both load native libraries, which read what was just prepared.
    from node.vision.pipeline import Pipeline
    from node.vision.service import Service

    service = Service(spec.service, spec.inference_address, spec.threshold, term.check)
    try:
        Pipeline(spec, source, service, emit, clock).run()
    except BrokenPipeError:  # nobody reads the lines any more
        return 1
    finally:
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m node.vision`: one pipeline; what comes in and goes out stands in the package."""

import json
import signal
import sys
import time

from node.vision.confinement import output_of_our_own, prepare_libraries
from node.vision.limits import SPEC_BYTES_MAX
from node.vision.source_url import BadSource, parse_source
from node.vision.spec import BadSpec, read_spec

EXIT_BAD_SPEC = 2


class ProcessClock:
    """The monotonic clock, and SIGTERM as the wish to end.

    The signal is blocked and looked for while waiting, so that it never lands in native code.
    """

    def __init__(self) -> None:
        # Before any thread starts: threads inherit the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def is_over(self, wait_ms: int) -> bool:
        """Wait so long, or until SIGTERM; True: it came."""
        return signal.sigtimedwait({signal.SIGTERM}, wait_ms / 1000) is not None


def main() -> int:
    """Run one pipeline to its end; gives the exit code."""
    clock = ProcessClock()
    lines = output_of_our_own()

    def emit(event: str, kind: str, fields: dict[str, str]) -> None:
        lines.write(json.dumps({"event": event, "kind": kind, "fields": fields}) + "\n")

    try:
        spec = read_spec(sys.stdin.buffer.readline(SPEC_BYTES_MAX + 1))
        source = parse_source(spec.source_url)
    except (BadSpec, BadSource) as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return EXIT_BAD_SPEC
    prepare_libraries()
    # Only now: both load native libraries, which read what was just prepared.
    from node.vision.pipeline import Pipeline
    from node.vision.service import Service

    service = Service(spec.service, spec.inference_address, spec.threshold)
    try:
        Pipeline(spec, source, service, emit, clock).run()
    except BrokenPipeError:  # nobody reads the lines any more
        return 1
    finally:
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

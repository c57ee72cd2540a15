"""What keeps a pipeline process from harming others, set before it opens anything.

Its private memory has a cap; its native libraries use one thread each, cannot write into the
lines that the runtime reads, and refuse huge pictures; and it dies with the runtime that started
it, because a pipeline without a runtime would hold the camera against its successor.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import TextIO

from node.vision.limits import MEMORY_BYTES_MAX, PIXELS_MAX

PR_SET_PDEATHSIG = 1

ENVIRONMENT = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(PIXELS_MAX),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Read by the native libraries when they are loaded."""


def prepare_libraries() -> None:
    """Set what native libraries read when they are loaded: call it before importing them."""
    os.environ.update(ENVIRONMENT)


def output_of_our_own() -> TextIO:
    """The lines' stream. What native code prints to standard output goes to standard error."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return ours


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end now if it already has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the runtime that started this pipeline has ended")


def cap_memory() -> None:
    """Cap private writable memory: asking for more fails in this process and harms no other.

    RLIMIT_DATA and not RLIMIT_AS: libraries reserve address space that they never use.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    cap = MEMORY_BYTES_MAX if hard == resource.RLIM_INFINITY else min(hard, MEMORY_BYTES_MAX)
    resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))

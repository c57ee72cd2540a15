"""What keeps native libraries in their place, set before they are loaded.

They use one thread each, cannot write into the lines that the runtime reads, and refuse huge
pictures. The cap on memory and the end together with the runtime are set by the runtime itself,
before this program begins.
"""

import os
import sys
from typing import TextIO

from node.vision.limits import PIXELS_MAX

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

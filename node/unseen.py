"""Imports that do without what a library brings along for those who want more of it.

Some libraries import another one wherever that is installed, for a convenience that a daemon has no
use for: a few MiB and tens of milliseconds for each process of each node.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unseen(module: str) -> Iterator[None]:
    """For as long as it lasts, importing `module` fails as if it were not installed; unless it is
    imported already. To be used around the import of a library that does without it then."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what the import system looks for
    try:
        yield
    finally:
        del sys.modules[module]

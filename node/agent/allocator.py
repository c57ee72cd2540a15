"""The C library's allocator, told to give large buffers back to the system.

glibc maps a large buffer on its own and unmaps it when it is freed, but once one was freed it takes
the next ones of that size from its heaps, of which each thread has one and which keep what they
have. Chunks are 1 MiB: after 32 MiB of them an agent kept 10 MiB more. A threshold that was set is
not raised.
"""

import ctypes

M_MMAP_THRESHOLD = -3
"""The option's number in <malloc.h>."""

LARGE_BYTES = 128 * 1024
"""glibc's own threshold at the start. What is smaller stays cheap."""


def give_back_large_buffers() -> None:
    """Does nothing where the C library has no such option."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)

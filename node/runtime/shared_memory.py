"""Memory shared with one worker, for tensors too large for a frame.

An anonymous file (memfd) whose size is sealed: a worker that went mad can neither shrink it under
the runtime's feet nor grow it past its cap. It has no name, so nothing leaks when anyone is killed.
"""

import fcntl
import mmap
import os

from node.runtime.limits import MESSAGE_BYTES_MAX, SHARED_BYTES


class SharedMemory:
    """The runtime's end: writes requests into the first half, reads answers from the second."""

    def __init__(self) -> None:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.descriptor = os.memfd_create("mesh-tensors", flags)
        os.ftruncate(self.descriptor, SHARED_BYTES)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, seals)
        self._map = mmap.mmap(self.descriptor, SHARED_BYTES)

    def write(self, offset: int, data: bytes) -> None:
        """Writes a request's tensor. Raises ValueError if it does not fit into the first half."""
        if offset + len(data) > MESSAGE_BYTES_MAX:
            raise ValueError(f"the tensors are larger than {MESSAGE_BYTES_MAX >> 20} MiB")
        self._map[offset : offset + len(data)] = data

    def read(self, offset: int, length: int) -> bytes:
        """An answer's tensor. Raises ValueError if it does not lie within the memory."""
        if length > MESSAGE_BYTES_MAX or offset + length > SHARED_BYTES:
            raise ValueError("the worker's answer lies outside the shared memory")
        return self._map[offset : offset + length]

    def close(self) -> None:
        """Gives the memory back, once the worker has ended too."""
        self._map.close()
        os.close(self.descriptor)

"""Starts a worker on the descriptors that the runtime handed over."""

import argparse
import os
import socket
import sys

from node.worker.service import Worker
from node.worker.tensors import SharedMemory


def main() -> int:
    parser = argparse.ArgumentParser(prog="node.worker", description=__doc__)
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("--memory-fd", type=int, required=True)
    options = parser.parse_args()
    connection = socket.socket(fileno=options.socket_fd)
    shared = SharedMemory(options.memory_fd)
    os.close(options.memory_fd)
    Worker(connection, shared).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())

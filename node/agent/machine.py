"""What this machine has, where the configuration does not say."""

import ipaddress
import os
import socket

import psutil

from mesh.desired.units import parse_size
from node.agent.config import NodeSection
from protos.documents_pb2 import Capacity

MEMORY_SHARE = 0.75
"""Of the machine's memory, for replicas; the rest is the system's and the daemons'."""


def capacity(section: NodeSection) -> Capacity:
    """Cores, memory and devices that replicas may use."""
    memory = parse_size(section.memory) if section.memory else 0
    return Capacity(
        cores=section.cores or os.cpu_count() or 1,
        memory_bytes=memory or int(psutil.virtual_memory().total * MEMORY_SHARE),
        devices=section.devices,
    )


def advertised(listen: str, configured: str) -> str:
    """The address that neighbours are told for a port that listens at `listen` (HOST:PORT)."""
    if configured:
        return configured
    host, _, port = listen.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not address.is_unspecified:
        return listen
    return f"{_own_address()}:{port}"


def _own_address() -> str:
    """The address of the interface that leads out; loopback where there is none.

    No packet is sent: connecting a UDP socket only chooses the route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"

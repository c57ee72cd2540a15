"""What this machine has, where the configuration does not say."""

import os

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

"""How many replicas of each service a site has room for: what may be expected where room is short.

In drawn histories each replica asks for one core, and memory and labels never decide. So what there
is room for follows from the cores of the machines alone, whatever any core computes.
"""

from collections.abc import Iterable, Mapping

from protos.documents_pb2 import ServicePlan
from tests.sim.checks.facts import NodeSample, Sample

Counts = dict[str, int]


def minima(plan: Iterable[ServicePlan]) -> Counts:
    """The minimum of each service of a plan."""
    return {service.name: service.replicas_min for service in plan}


def first_come(least: Mapping[str, int], asked: Mapping[str, int]) -> Counts:
    """How many replicas of each service come before what others have above that: of those that are
    asked for the minimum, and the first of a service that may sleep and is awake."""
    return {name: min(asked.get(name, 0), max(1, count)) for name, count in least.items()}


def expected(least: Mapping[str, int], room: int) -> Counts:
    """How many replicas of each service there are at least where so many fit in all: each service
    has its first before any has its second, up to its minimum, in the order of their names."""
    asked = sorted((index, name) for name, count in least.items() for index in range(count))
    counts = dict.fromkeys(least, 0)
    for _, name in asked[:room]:
        counts[name] += 1
    return counts


def room_for(node: str, sample: Sample) -> int:
    """How many replicas fit on a machine and on those that it exchanges packets with."""
    here = sample.nodes.get(node)
    unheard = here.unheard if here is not None else frozenset()
    return sum(one.room for name, one in sample.nodes.items() if name not in unheard)


def expected_of(least: Mapping[str, int], nodes: Mapping[str, NodeSample]) -> Counts:
    """How many replicas of each service those nodes run at least, where each part of the site that
    hears of no other does for itself what it can. A service that may sleep is awake where it
    serves: its first replica has its room as others do."""
    most = dict.fromkeys(least, 0)
    for part in _parts(nodes):
        awake = {s for s in least if any(nodes[name].serves(s) for name in part)}
        first = {s: max(count, s in awake) for s, count in least.items()}
        counts = expected(first, sum(nodes[name].room for name in part))
        most = {name: max(count, counts[name]) for name, count in most.items()}
    return most


def _parts(nodes: Mapping[str, NodeSample]) -> list[set[str]]:
    """The nodes that are awake, in groups whose members hear of each other, directly or not."""
    parts: list[set[str]] = []
    for name in sorted(name for name, node in nodes.items() if node.awake):
        heard = [part for part in parts if not part <= nodes[name].unheard]
        parts = [part for part in parts if part not in heard]
        parts.append({name}.union(*heard))
    return parts

"""What the checks are told: plain data about what happened, and samples of how it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.site.local import ReplicaKey
from protos.documents_pb2 import ServicePlan


@dataclass(frozen=True)
class PlanSigned:
    """A master signed a plan. `released`: the artifacts in it that a release key signed."""

    at_ms: int
    counter: int
    services: tuple[ServicePlan, ...]
    released: frozenset[bytes]


@dataclass(frozen=True)
class BadStateSigned:
    """A master signed, by mistake, a state that no node may go by."""

    at_ms: int
    counter: int


@dataclass(frozen=True)
class CoreStarted:
    """An agent made its core from its disk: the floor that it starts with, and the order of the
    state that it goes by."""

    at_ms: int
    node: str
    state: tuple[int, int]
    trust: int
    in_force: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Died:
    """A process died, alone or with its machine."""

    at_ms: int
    node: str


@dataclass(frozen=True)
class DocumentSaved:
    """A document is durable on a node's disk."""

    at_ms: int
    node: str
    name: str
    data: bytes


@dataclass(frozen=True)
class WorkerStarted:
    """A runtime starts a worker, as it was told to. `whole`: the model is on the disk. `trying`:
    the other nodes on which the same configuration loads or soaks."""

    at_ms: int
    node: str
    key: ReplicaKey
    plan: ServicePlan
    whole: bool
    trying: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Served:
    """What served on a machine, by service, until its runtime freezes or dies now."""

    at_ms: int
    node: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class ReplicaStopped:
    """A runtime was told to end a replica that serves, and nothing takes its place there.

    `asked` is how many of each service there should be now, as the node sees it, and `least` how
    many at least, by the plan that it goes by; `formerly`: how many of this one serve on machines
    that are no nodes any more, as the node has not heard yet; `here`: how many serve here still.
    """

    at_ms: int
    node: str
    workload: str
    asked: Mapping[str, int]
    least: Mapping[str, int]
    formerly: int = 0
    here: int = 0


@dataclass(frozen=True)
class Collected:
    """A node that goes by the state `counter` lets go of an artifact. `good`: whose disks say that
    it is of a last good version, the node's own among them; `holders`: the others whose disks have
    all of it."""

    at_ms: int
    node: str
    artifact: bytes
    counter: int
    good: frozenset[str]
    holders: frozenset[str]


@dataclass(frozen=True)
class PipelineStarted:
    """A runtime starts a pipeline. `leased`: it must never run twice; `beside`: the nodes on which
    it runs already."""

    at_ms: int
    node: str
    workload: str
    leased: bool
    beside: tuple[str, ...]


@dataclass(frozen=True)
class Acknowledged:
    """A master is about to acknowledge a log up to a sequence; its disk ends at `durable`."""

    at_ms: int
    log: object
    sequence: int
    durable: int


@dataclass(frozen=True)
class FaultBegan:
    """A fault began. `alone`: nothing else had been wrong for a while, and the site was settled."""

    at_ms: int
    kind: str
    subject: str
    alone: bool


@dataclass(frozen=True)
class FaultEnded:
    """A fault ended. `alone`: it was the last one."""

    at_ms: int
    kind: str
    subject: str
    alone: bool


@dataclass(frozen=True)
class Revoked:
    """A state was signed that revokes a machine."""

    at_ms: int
    node: str
    counter: int


@dataclass(frozen=True)
class ChangeSubmitted:
    """An operator scaled or pinned a service at a node of the site, until a time by the clocks of
    whoever hears of it. `artifact`: of the version that it is pinned to."""

    at_ms: int
    where: str
    workload: str
    field: str
    value: str
    until_unix_ms: int
    artifact: bytes = b""


@dataclass(frozen=True)
class ChangeEnded:
    """An operator ended what was changed of a service at the site."""

    at_ms: int
    workload: str
    field: str


@dataclass(frozen=True)
class NodeSample:
    """How one node is. `up`: its machine is on; `awake`: its agent runs and is not frozen.

    `serving`: its replicas that answer requests, by service and version. `pids`: of the workers
    that serve, by replica. `pipelines`: those that run. What follows is the core's view, where it
    is awake. `stays`: the services that fit on no other node than on it, which is being drained.
    `changes`: local ones that count, by service, field and value; `unix_ms`: the time by which they
    end there. `lies`: it says what is not so. `links`: the machines with which it has a link;
    `hears`: those of them that are awake, with nothing cut between; `unheard`: the machines with
    which it exchanges no packets. `room`: for how many replicas it takes new work now. Of the
    machines that are no nodes any more, `shuns` are those whose keys it refuses, `counts` those
    whose registers it holds. `able`: it is awake, and its disk takes what it writes.
    """

    up: bool
    awake: bool
    serving: Mapping[tuple[str, str], int]
    pids: Mapping[ReplicaKey, int]
    pipelines: frozenset[str] = frozenset()
    applied: tuple[int, int] = (0, 0)
    in_force: tuple[int, int] = (0, 0)
    trust: int = 0
    live: tuple[str, ...] = ()
    placement: object = None
    registers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    alarms: frozenset[tuple[str, str]] = frozenset()
    claims: frozenset[ReplicaKey] = frozenset()
    reported: frozenset[ReplicaKey] = frozenset()
    sent: int = 0
    sent_bytes: int = 0
    links: frozenset[str] = frozenset()
    hears: frozenset[str] = frozenset()
    shuns: frozenset[str] = frozenset()
    counts: frozenset[str] = frozenset()
    able: bool = False
    stays: frozenset[str] = frozenset()
    changes: frozenset[tuple[str, str, str]] = frozenset()
    unix_ms: int = 0
    lies: bool = False
    room: int = 4
    unheard: frozenset[str] = frozenset()

    def serves(self, workload: str) -> int:
        """Its replicas of a service that answer, of any version."""
        return sum(count for (name, _), count in self.serving.items() if name == workload)


@dataclass(frozen=True)
class Sample:
    """How the site is. `quiet_ms`: for how long nothing was wrong (None: something is).

    `plan`, `counter` and `pipelines`: what the master signed last.
    """

    at_ms: int
    nodes: Mapping[str, NodeSample]
    plan: tuple[ServicePlan, ...]
    counter: int
    quiet_ms: int | None
    pipelines: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RecordsAtEnd:
    """A record log at the end: the digests of its batches at its writer and at the master, each
    with its first and last sequence, in the order on disk."""

    at_ms: int
    log: object
    written: tuple[tuple[int, int, bytes], ...]
    archived: tuple[tuple[int, int, bytes], ...]


@dataclass(frozen=True)
class Raised:
    """A core raised what it should not."""

    at_ms: int
    node: str
    error: str


Fact = (
    PlanSigned
    | BadStateSigned
    | CoreStarted
    | Died
    | DocumentSaved
    | WorkerStarted
    | Served
    | ReplicaStopped
    | PipelineStarted
    | Collected
    | Acknowledged
    | FaultBegan
    | FaultEnded
    | Revoked
    | ChangeSubmitted
    | ChangeEnded
    | Sample
    | RecordsAtEnd
    | Raised
)

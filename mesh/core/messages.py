"""Events and instructions of a whole node, beyond those of its peer (mesh/events.py)."""

from dataclasses import dataclass

from mesh.blobs.instructions import Fault, FetchChunks
from mesh.blobs.manifest import Artifact
from mesh.events import Instruction
from mesh.site.local import ReplicaKey
from protos.documents_pb2 import PipelinePlan, ServicePlan
from protos.runtime_pb2 import KnownModel, Route, RuntimeState

# ---- instructions ----


@dataclass(frozen=True)
class Run:
    """Tell the runtime all that should run here. The edge adds paths and sources."""

    replicas: tuple[tuple[ReplicaKey, ServicePlan], ...]  # one a (workload, index)
    pipelines: tuple[PipelinePlan, ...]
    routes: tuple[Route, ...]
    models: tuple[KnownModel, ...]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class BeginArtifact:
    """Reserve room for an artifact, and report `ArtifactBegun` with the chunks already here."""

    artifact: Artifact
    cause: str = ""


@dataclass(frozen=True, slots=True)
class FinishArtifact:
    """Check the whole files, make them durable, and report `ArtifactFinished`."""

    artifact: bytes
    cause: str = ""


@dataclass(frozen=True, slots=True)
class RemoveArtifact:
    """Remove an artifact from the disk, with the small blob of its manifest where nobody asks for
    that either, and report `ArtifactRemoved`."""

    artifact: bytes
    with_manifest: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Renew:
    """Until when exclusive pipelines may run here, by this machine's clock: workload and time."""

    deadlines: tuple[tuple[str, int], ...]
    cause: str = ""


NodeOutput = (
    Instruction | BeginArtifact | FinishArtifact | FetchChunks | RemoveArtifact | Run | Renew
)


# ---- events ----


@dataclass(frozen=True, slots=True)
class ArtifactBegun:
    """Room is there; these chunks are held already."""

    artifact: bytes
    held: frozenset[int]


@dataclass(frozen=True, slots=True)
class ArtifactFailed:
    """The disk could not take the artifact: full, or failing. It is tried again after a while.
    `full`: it does not fit."""

    artifact: bytes
    reason: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactRemoved:
    """It is gone from the disk, which has so many bytes more; or, with `trouble`, it is not whole
    any more and still takes room."""

    artifact: bytes
    freed_bytes: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """Whether the disk has less room left than is reserved for state and journals. Said again and
    again for as long as it is short."""

    short: bool


@dataclass(frozen=True, slots=True)
class ArtifactFinished:
    """All files are whole and durable."""

    artifact: bytes


@dataclass(frozen=True, slots=True)
class ArtifactDamaged:
    """The files of an artifact that was whole cannot be used any more. `untold` is the replica
    that the runtime was therefore not told; None: it goes on with what it has loaded."""

    artifact: bytes
    reason: str
    untold: ReplicaKey | None


@dataclass(frozen=True, slots=True)
class ChunkStored:
    """A chunk's hash was checked and it was written."""

    artifact: bytes
    chunk: int


@dataclass(frozen=True, slots=True)
class ChunksFailed:
    """A source did not give these chunks."""

    artifact: bytes
    chunks: tuple[int, ...]
    source: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class RuntimeReported:
    """The runtime said what runs; None: the runtime is gone."""

    state: RuntimeState | None


@dataclass(frozen=True, slots=True)
class WanPath:
    """Whether this node can reach a master by its own path."""

    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that the edge noticed and a person should know; `message` empty: it is over."""

    kind: str
    subject: str
    message: str
    severity: str = "warning"


@dataclass(frozen=True, slots=True)
class CordonAsked:
    """An operator said at this node whether it takes work (neither: it does), and the disk has it
    already. Draining implies cordoned."""

    cordoned: bool
    draining: bool
    reason: str
    operator: str


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """An operator restarts a workload at this node; its runtime is asked beside this."""

    workload: str


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """An operator made a local change at this node, which was checked there and then."""

    envelope: bytes


@dataclass(frozen=True, slots=True)
class Leaving:
    """The agent is about to end, as planned, and its runtime serves on."""


@dataclass(frozen=True, slots=True)
class NeighbourSilent:
    """The runtime of a neighbour whose agent is away does not answer."""

    node: str


NodeEvent = (
    ArtifactBegun
    | ArtifactFailed
    | ArtifactFinished
    | ArtifactDamaged
    | ArtifactRemoved
    | DiskRoom
    | ChunkStored
    | ChunksFailed
    | RuntimeReported
    | WanPath
    | Trouble
    | CordonAsked
    | RestartAsked
    | Leaving
    | NeighbourSilent
    | ChangeMade
)

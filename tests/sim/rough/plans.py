"""What a master may ask of a site, in the simulator: services that change, models good and bad."""

import functools
from dataclasses import dataclass, replace

from mesh.blobs.chunking import FileHasher
from mesh.blobs.manifest import seal
from mesh.desired.since import tell_since
from mesh.hashing import sha256
from protos.documents_pb2 import (
    Autonomy,
    Manifest,
    ModelPlan,
    PipelinePlan,
    Plan,
    ServicePlan,
    SiteBranch,
)
from tests.sim import identities
from tests.sim.operators import HOUR_MS
from tests.sim.rough.roster import Roster

CHUNK_BYTES = 65_536
CHUNKS = 3


@dataclass(frozen=True)
class Service:
    """A service as the master wants it. `release`: of its model; `kind`: good, golden, crash or
    unsigned, what is wrong with that release. `newest`: the highest release that there was;
    `before`: the release and kind that `undo` goes back to. `pinned`: those that the site keeps
    meanwhile, whatever the others say."""

    name: str
    least: int
    most: int
    spares: int
    soak_ms: int
    release: int = 1
    kind: str = "good"
    restarts: int = 0
    newest: int = 1
    before: tuple[int, str] = (1, "good")
    paused: bool = False
    pinned: tuple[int, str] | None = None

    @property
    def runs(self) -> tuple[int, str]:
        """The release and kind that the site is to run."""
        return self.pinned or (self.release, self.kind)

    @property
    def version(self) -> str:
        """Of its model."""
        release, kind = self.runs
        suffix = "" if kind == "good" else f"-{kind}"
        return f"{release}.0.0{suffix}"


@dataclass(frozen=True)
class Wanted:
    """All that the master wants of the site."""

    services: tuple[Service, ...]
    pipeline: bool = True
    exclusive: bool = False  # the pipeline must never run twice

    def change(self, service: Service) -> "Wanted":
        """The same with another form of one service."""
        services = tuple(service if s.name == service.name else s for s in self.services)
        return replace(self, services=services)


@functools.cache
def model(name: str, version: str, signed_by: str) -> tuple[bytes, tuple[bytes, ...]]:
    """A manifest and its chunks, signed by somebody."""
    hasher = FileHasher("onnx", CHUNK_BYTES)
    data = f"{name} {version} ".encode().ljust(64, b".") * (CHUNK_BYTES // 64) * CHUNKS
    hasher.feed(data)
    manifest = Manifest(
        name=name, version=version, kind="model", chunk_bytes=CHUNK_BYTES, files=[hasher.file()]
    )
    manifest.limits.memory_bytes = 1 << 28
    manifest.limits.load_ms = 10_000
    chunks = tuple(data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES))
    return seal(manifest, identities.signer(signed_by)), chunks


def model_of(service: Service) -> tuple[bytes, tuple[bytes, ...]]:
    """The manifest and chunks that a service asks for."""
    signer = "thief" if service.runs[1] == "unsigned" else "release"
    return model(f"model-{service.name}", service.version, signer)


def plan_of(service: Service) -> ServicePlan:
    """The service as it stands in the plan."""
    return ServicePlan(
        name=service.name,
        model=f"model-{service.name}",
        model_version=service.version,
        restarts=service.restarts,
        artifact=sha256(model_of(service)[0]),
        replicas_min=service.least,
        replicas_max=service.most,
        queue_delay_ms=20,
        down_after_ms=10_000,
        soak_ms=service.soak_ms,
        paused=service.paused,
        pinned=service.pinned is not None,
        cores=1,
        memory_bytes=1 << 28,
        spares=service.spares,
        device="CPU",
    )


def branch_of(wanted: Wanted, roster: Roster, before: bytes, counter: int) -> bytes:
    """The site's branch in the state of that counter; `before` is the one before."""
    services = [plan_of(service) for service in wanted.services]
    models = [
        ModelPlan(name=s.model, version=s.model_version, artifact=s.artifact, soak_ms=s.soak_ms)
        for s in services
    ]
    camera = PipelinePlan(
        name="door",
        source="camera",
        service=wanted.services[0].name,
        every_ms=500,
        exclusive=wanted.exclusive,
    )
    plan = Plan(
        site="south",
        models=models,
        services=services,
        pipelines=[camera] if wanted.pipeline else [],
        autonomy=Autonomy(allow=["scale", "pin"], until_ms=2 * HOUR_MS),
    )
    tell_since(plan, SiteBranch.FromString(before).plan, counter)
    branch = SiteBranch(site="south", plan=plan)
    roster.tell(branch)
    return branch.SerializeToString(deterministic=True)

"""A master and one site in a world, with a model and a service: what most stories begin with."""

import functools
from collections.abc import Mapping

from mesh.blobs.chunking import FileHasher
from mesh.blobs.manifest import seal
from mesh.desired.since import tell_since
from mesh.hashing import sha256
from protos.documents_pb2 import (
    Autonomy,
    Delegation,
    FormerEntry,
    Manifest,
    ModelPlan,
    PipelinePlan,
    Plan,
    Revocation,
    Revocations,
    RosterEntry,
    ServicePlan,
    SiteBranch,
)
from tests.sim import identities
from tests.sim.masters import SimMaster
from tests.sim.nodes import SimNode
from tests.sim.world import World


class Site:
    """A master and one site in a world."""

    def __init__(
        self, nodes: int, seed: int = 1, kind: type[SimNode] = SimNode, world: World | None = None
    ) -> None:
        self.world = world or World(seed)
        self.master = SimMaster(self.world)
        self.nodes = [kind(self.world, "south", f"south-{i + 1}") for i in range(nodes)]
        self.replicas = 2
        self._plan = Plan()
        self.delegations: list[Delegation] = []
        """Who may admit boxes; the next state that is published says so."""
        self.continued = 0
        """The counter with which the master went on above states of before it was restored."""
        self._since: dict[tuple[str, bytes], int] = {}
        self._former: list[FormerEntry] = []
        self.envelope, self.chunks = face_detector()

    def settle(self, replicas: int = 2) -> "Site":
        """Boots all, publishes, and waits until the replicas serve."""
        self.boot()
        self.world.run(2_000)
        self.publish(replicas=replicas)
        self.world.run_until(lambda: self.serving() == replicas, 15_000, "replicas serve")
        return self

    def node(self, name: str) -> SimNode:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def gateway(self) -> SimNode:
        """The node that talks to the master."""
        name = next(n.core.peer.gateway() for n in self.nodes if n.up)
        return self.node(name)

    def boot(self) -> None:
        for node in self.nodes:
            node.boot()

    def publish(
        self,
        replicas: int,
        restarts: int = 0,
        version: str = "1.0.0",
        revoked: Mapping[str, str] | None = None,
        pipelines: tuple[PipelinePlan, ...] = (),
        most: int = 0,
        soak_ms: int = 0,
        paused: bool = False,
        held_back: Mapping[str, bool] | None = None,
        autonomy: Autonomy | None = None,
        others: tuple[ModelPlan, ...] = (),
    ) -> None:
        """Signs a state with one service; `revoked` are nodes and reasons, `held_back` those that
        are cordoned, and whether they are draining; `others` are planned models beside it."""
        envelope, chunks = face_detector(version)
        artifact = sha256(envelope)
        self.master.disk.save_blob(envelope)
        for index, data in enumerate(chunks):
            self.master.disk.chunks[artifact, index] = data
        service = faces(version, replicas, most)
        service.restarts, service.soak_ms, service.paused = restarts, soak_ms, paused
        model = ModelPlan(name="face-detector", version=version, artifact=artifact)
        plan = Plan(
            site="south",
            models=[model, *others],
            services=[service],
            pipelines=pipelines,
            autonomy=autonomy,
        )
        tell_since(plan, self._plan, self.master.counter + 1)
        self._plan = plan
        branch = SiteBranch(site="south", roster=self._roster(held_back or {}), plan=plan)
        self._tell_rosters(branch)
        branch.delegations.extend(self.delegations)
        self.master.publish(
            {
                "site/south": branch.SerializeToString(deterministic=True),
                "revocations": _revocations(revoked or {}).SerializeToString(),
            }
        )

    def _roster(self, held_back: Mapping[str, bool]) -> list[RosterEntry]:
        enrolled = [n for n in self.nodes if n.me.serial == identities.SERIAL]
        keys = {n.id: n.me for n in enrolled}  # a master has taken in no box here
        return [
            RosterEntry(
                node=name,
                signing_key=keys[name].signing_key,
                tls_key=keys[name].tls_key,
                cordoned=name in held_back,
                draining=held_back.get(name, False),
            )
            for name in sorted(keys)
        ]

    def _tell_rosters(self, branch: SiteBranch) -> None:
        """Says since when and until when each node is in the roster, as node/master/content.py."""
        counter = self.master.counter + 1
        present = {(entry.node, entry.tls_key) for entry in branch.roster}
        for node, key in sorted(self._since.keys() - present):
            since = self._since.pop((node, key))
            self._former.append(FormerEntry(node=node, tls_key=key, since=since, until=counter))
        for entry in branch.roster:
            entry.since = self._since.setdefault((entry.node, entry.tls_key), counter)
        branch.former.extend(self._former)
        branch.continued = self.continued

    def versions(self) -> dict[str, list[str]]:
        """Node to the versions that serve on it."""
        return {node.name: node.versions("faces") for node in self.nodes if node.up}

    def serves(self) -> list[str]:
        """The nodes on which something serves, each as often as replicas serve there."""
        return [node.name for node in self.nodes if node.up for _ in range(node.serving("faces"))]

    def serving(self) -> int:
        return sum(node.serving("faces") for node in self.nodes)

    def cut_wan(self) -> None:
        for node in self.nodes:
            self.world.cut_off(node.name, identities.MASTER)

    def mend_wan(self) -> None:
        for node in self.nodes:
            self.world.mend(node.name, identities.MASTER)


def faces(version: str, replicas: int, most: int = 0) -> ServicePlan:
    """The service that most stories are about; `most`: of replicas, 0: as many as `replicas`."""
    return ServicePlan(
        name="faces",
        model="face-detector",
        model_version=version,
        artifact=sha256(face_detector(version)[0]),
        replicas_min=replicas,
        replicas_max=most or replicas,
        queue_delay_ms=20,
        down_after_ms=10_000,
        cores=1,
        memory_bytes=1 << 28,
        spares=1,
        device="CPU",
    )


def _revocations(revoked: Mapping[str, str]) -> Revocations:
    entries = [
        Revocation(
            subject=identities.node_identity("south", name).uri,
            tls_key=identities.node_keys("south", name).tls_key,
            reason=reason,
        )
        for name, reason in sorted(revoked.items())
    ]
    return Revocations(entries=entries)


@functools.cache
def face_detector(version: str = "1.0.0") -> tuple[bytes, list[bytes]]:
    """A signed manifest of a version, and its chunks."""
    hasher = FileHasher("onnx", 65536)
    data = version.encode() + bytes(range(256)) * 2000
    hasher.feed(data)
    manifest = Manifest(
        name="face-detector",
        version=version,
        kind="model",
        chunk_bytes=65536,
        files=[hasher.file()],
    )
    manifest.limits.memory_bytes = 1 << 28
    manifest.limits.load_ms = 10_000
    chunks = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    return seal(manifest, identities.signer("release")), chunks

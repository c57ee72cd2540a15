"""A node's disk in the simulator: what a crash leaves behind."""

from bisect import bisect_right
from dataclasses import dataclass, field

from mesh.blobs.manifest import Artifact
from mesh.hashing import sha256
from mesh.journals.batches import Batch
from mesh.journals.keys import LogKey
from mesh.journals.outcomes import Tail


@dataclass
class Disk:
    """Documents, blobs, chunks and journals, durable at once."""

    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    chunks: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    complete: set[bytes] = field(default_factory=set)
    logs: dict[LogKey, list[Batch]] = field(default_factory=dict)
    boots: int = 0

    def save_blob(self, data: bytes) -> None:
        """Keeps a small blob under its digest."""
        self.blobs[sha256(data)] = data

    def append(self, batch: Batch) -> None:
        """Appends a batch to its log."""
        self.logs.setdefault(batch.key, []).append(batch)

    def read(self, key: LogKey, after: int) -> list[Batch]:
        """The batches of a log that end after a sequence, at most 8."""
        log = self.logs.get(key, [])
        begin = bisect_right(log, after, key=lambda batch: batch.last)
        return log[begin : begin + 8]

    def tails(self) -> dict[LogKey, Tail]:
        """Where each log ends."""
        return {key: Tail(log[-1].last, log[-1].digest) for key, log in self.logs.items()}

    def lying(self) -> dict[bytes, bytes]:
        """The manifests of all artifacts of which anything is here."""
        named = self.complete | {artifact for artifact, _ in self.chunks}
        return {digest: self.blobs[digest] for digest in named if digest in self.blobs}

    def remove(self, artifact: bytes, with_manifest: bool) -> int:
        """Takes an artifact off the disk; gives the bytes of its chunks."""
        self.complete.discard(artifact)
        gone = [key for key in self.chunks if key[0] == artifact]
        freed = sum(len(self.chunks.pop(key)) for key in gone)
        if with_manifest:
            self.blobs.pop(artifact, None)
        return freed

    def whole(self, artifact: bytes) -> bool:
        """Whether all of an artifact is here."""
        return artifact in self.complete

    def held(self, artifact: Artifact) -> frozenset[int]:
        """The chunks of an artifact that are here."""
        return frozenset(
            c.index for c in artifact.chunks if (artifact.digest, c.index) in self.chunks
        )

    def sequences(self, kind: str = "record") -> dict[LogKey, list[int]]:
        """All sequences held of each log of a kind, as stored."""
        return {
            key: [n for batch in log for n in range(batch.first, batch.last + 1)]
            for key, log in self.logs.items()
            if key.kind == kind
        }

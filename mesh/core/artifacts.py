"""The artifacts that this node should hold: manifests first, then chunks by the swarm."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from mesh.blobs.instructions import FetchChunks, TellClaim, TellHoldings
from mesh.blobs.instructions import Instruction as SwarmInstruction
from mesh.blobs.manifest import Artifact, ManifestRefused, open_manifest
from mesh.blobs.swarm import Swarm
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactDamaged,
    ArtifactFailed,
    ArtifactFinished,
    ArtifactRemoved,
    BeginArtifact,
    ChunksFailed,
    ChunkStored,
    FinishArtifact,
    RemoveArtifact,
)
from mesh.events import Instruction, SaveBlob, Send, SendBlobs, WriteJournal
from mesh.exchange.frames import encode
from mesh.hashing import sha256
from protos.peer_pb2 import Frame, Want

ASK_MS = 1_000
ASK_MS_MAX = 10_000
"""Between two rounds of asking for manifests that nobody sent yet: twice as long after each round,
while the same are missing. All neighbours and the masters are asked; who is linked anew is asked at
once, and a neighbour that gets it from a master meanwhile remembers who had asked."""
RETRY_MS = 15_000
"""After a disk refused an artifact."""
REMOVE_AGAIN_MS = 60_000
REMOVE_AGAIN_MS_MAX = 3_600_000
"""After a disk refused to remove an artifact, and twice as long after each time that it does again:
what may not be removed now (a folder's rights, a disk that is read-only) may not be in a second."""

Output = Instruction | BeginArtifact | FinishArtifact | FetchChunks | RemoveArtifact


class Artifacts:
    """What of the plan's artifacts is here, and getting the rest.

    `neighbours` gives the linked peers of the site, `release_keys` the keys that may release.
    """

    def __init__(
        self,
        swarm: Swarm,
        release_keys: Callable[[], Sequence[bytes]],
        neighbours: Callable[[], Sequence[str]],
        masters: Callable[[], Sequence[str]],
    ) -> None:
        self.swarm = swarm
        self.complete: set[bytes] = set()
        self.known: dict[bytes, Artifact] = {}
        self.refused: dict[bytes, str] = {}
        self.failed: dict[bytes, str] = {}
        self._release_keys = release_keys
        self._neighbours = neighbours
        self._masters = masters
        self._planned: set[bytes] = set()
        self._needed: set[bytes] = set()
        self._missing: set[bytes] = set()
        """Those of both whose manifests are not known here, nor refused."""
        self._begun: set[bytes] = set()
        self._lying: set[bytes] = set()
        """Those that take room on this disk, whole or in part."""
        self._going: dict[bytes, WriteJournal] = {}
        """Those that are being removed, and what is journalled once they are gone."""
        self._gone_manifests: dict[bytes, Artifact] = {}
        """Those that go with what is being removed, for as long as the disk may refuse that."""
        self._resisting: dict[bytes, tuple[int, int]] = {}
        """Those whose removal the disk refused: when it is tried again, and how long that took."""
        self._cramped: set[bytes] = set()
        """Those that did not fit."""
        self.askers: dict[bytes, set[str]] = {}
        """Of those that are missing here: the peers that wanted them."""
        self._ask_ms = 0
        self._ask_pause_ms = ASK_MS
        self._stored: dict[bytes, int] = {}
        self._retry_ms: dict[bytes, int] = {}

    def restored(
        self,
        envelopes: Iterable[bytes],
        complete: Iterable[bytes],
        now_ms: int,
        lying: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """What the disk held at the start: manifests of what may have to run, the artifacts that
        are whole, and the manifests, by digest, of all that takes room."""
        self._lying = set(lying or ())
        for digest, envelope in (lying or {}).items():
            with suppress(ManifestRefused):  # of a key that releases no more: it only takes room
                self.known[digest] = open_manifest(envelope, self._release_keys(), digest)
        for envelope in envelopes:
            digest = sha256(envelope)
            try:
                self.known[digest] = open_manifest(envelope, self._release_keys(), digest)
            except ManifestRefused as refused:
                self.refused[digest] = str(refused)
        self.complete = set(complete) & self.known.keys()
        for digest in sorted(self.complete):
            self.swarm.hold(self.known[digest], now_ms)

    def plan(self, planned: Iterable[bytes], needed: Iterable[bytes], now_ms: int) -> list[Output]:
        """The artifacts of the plan, whose manifests are kept, and those that this node holds."""
        self._planned, before = set(planned), self._needed
        self._needed = set(needed)
        self.failed = {d: why for d, why in self.failed.items() if d in self._needed}
        self._cramped &= self._needed
        both = self._planned | self._needed
        missing = both - self.known.keys() - self.refused.keys() - self._going.keys()
        if not missing <= self._missing:
            self._ask_ms, self._ask_pause_ms = now_ms, ASK_MS
        self._missing = missing
        self.askers = {d: peers for d, peers in self.askers.items() if d in missing}
        for digest in sorted(before - self._needed - self.complete):
            self.swarm.forget(digest, now_ms)
            self._begun.discard(digest)
        outputs: list[Output] = []
        for digest in sorted(self._needed):
            outputs += self._start(digest, now_ms)
        return outputs

    def held_chunks(self, digest: bytes) -> int:
        """How many chunks of an artifact that is being fetched are here."""
        return self._stored.get(digest, 0)

    @property
    def here(self) -> set[bytes]:
        """Those that take room on this disk and are not being removed."""
        return self._lying - self._going.keys()

    @property
    def is_removing(self) -> bool:
        """Whether a removal is under way."""
        return bool(self._going)

    def resists(self, digest: bytes, now_ms: int) -> bool:
        """Whether the disk refused to remove it, and it is too early to try again."""
        return digest in self._resisting and now_ms < self._resisting[digest][0]

    @property
    def is_cramped(self) -> bool:
        """Whether something that is needed does not fit on the disk."""
        return bool(self._cramped)

    def fetching(self) -> list[bytes]:
        """Needed and not whole yet."""
        return sorted(self._needed - self.complete)

    # ---- events ----

    def blob(self, data: bytes, peer: str, now_ms: int) -> list[Output]:
        """A small blob from a peer: perhaps a manifest that is missing here."""
        digest = sha256(data)
        if digest not in self._missing:
            return []
        self._missing.discard(digest)
        askers = sorted(self.askers.pop(digest, ()))
        try:
            self.known[digest] = open_manifest(data, self._release_keys(), digest)
        except ManifestRefused as refused:
            # The bytes are those that the state names, so no other peer has better ones.
            self.refused[digest] = str(refused)
            return [WriteJournal("record", "artifact.refused", digest.hex(), str(refused))]
        saved: list[Output] = [SaveBlob(data, f"manifest from {peer}")]
        if peer in self._masters():  # who has it from a neighbour would be the square of all nodes
            saved += [SendBlobs(one, (digest,), "asked for before it was here") for one in askers]
        return saved + (self._start(digest, now_ms) if digest in self._needed else [])

    def wanted(self, answer: SendBlobs) -> None:
        """A peer wants blobs: those that are missing here it gets once a master sends them."""
        for digest in self._missing.intersection(answer.digests):
            self.askers.setdefault(digest, set()).add(answer.peer)

    def frame(self, frame: Frame, peer: str, now_ms: int) -> list[Output]:
        """Holdings or a claim of a neighbour."""
        if frame.WhichOneof("kind") == "holdings":
            return self.carry(self.swarm.holdings(peer, frame.holdings, now_ms))
        return self.carry(self.swarm.claimed(peer, frame.claim, now_ms))

    def begun(self, event: ArtifactBegun, now_ms: int) -> list[Output]:
        """The disk has room for it."""
        self.failed.pop(event.artifact, None)
        self._cramped.discard(event.artifact)
        self._stored[event.artifact] = len(event.held)
        if event.artifact not in self._needed:
            return []
        return self.carry(self.swarm.want(self.known[event.artifact], event.held, now_ms))

    def disk_refused(self, event: ArtifactFailed, now_ms: int) -> list[Output]:
        """The disk could not take it: tried again later, what is running goes on."""
        if event.artifact not in self._needed:
            return []
        if event.full:
            self._cramped.add(event.artifact)
        self._begun.discard(event.artifact)
        self.swarm.forget(event.artifact, now_ms)
        self.failed[event.artifact] = event.reason
        self._retry_ms[event.artifact] = now_ms + RETRY_MS
        return [WriteJournal("record", "artifact.failed", event.artifact.hex()[:16], event.reason)]

    def stored(self, event: ChunkStored, now_ms: int) -> list[Output]:
        """A chunk is here."""
        self._stored[event.artifact] = self._stored.get(event.artifact, 0) + 1
        return self.carry(self.swarm.stored(event.artifact, event.chunk, now_ms))

    def chunks_failed(self, event: ChunksFailed, now_ms: int) -> list[Output]:
        """A source failed."""
        outputs = self.carry(
            self.swarm.failed(event.artifact, event.chunks, event.source, event.fault, now_ms)
        )
        fields = {"source": event.source, "chunks": str(len(event.chunks))}
        if event.fault.value == "corrupt":
            subject = event.artifact.hex()[:16]
            outputs.append(WriteJournal("record", "chunk.corrupt", subject, event.source, fields))
        return outputs

    def finished(self, event: ArtifactFinished) -> list[Output]:
        """The artifact is whole and durable."""
        if event.artifact in self._going:
            return []
        self.complete.add(event.artifact)
        self._stored.pop(event.artifact, None)
        manifest = self.known[event.artifact].manifest
        fields = {"name": manifest.name, "version": manifest.version}
        return [WriteJournal("record", "artifact.complete", event.artifact.hex()[:16], "", fields)]

    def damaged(self, event: ArtifactDamaged, now_ms: int) -> list[Output]:
        """What was whole is so no more: the next `plan` begins it again, where it is needed."""
        if event.artifact not in self.complete:
            return []
        self.complete.discard(event.artifact)
        self._begun.discard(event.artifact)
        outputs = self.carry(self.swarm.forget(event.artifact, now_ms))
        subject = event.artifact.hex()[:16]
        return [*outputs, WriteJournal("record", "artifact.damaged", subject, event.reason)]

    def collect(self, digest: bytes, with_manifest: bool, cause: str, now_ms: int) -> list[Output]:
        """Lets go of an artifact that nothing needs here: from now on it counts as gone."""
        subject, fields = digest.hex()[:16], {}
        if digest in self.known:
            manifest = self.known[digest].manifest
            fields = {"name": manifest.name, "version": manifest.version}
        self._going[digest] = WriteJournal("record", "artifact.collected", subject, cause, fields)
        self.complete.discard(digest)
        self._begun.discard(digest)
        self._stored.pop(digest, None)
        if with_manifest and digest in self.known:
            self._gone_manifests[digest] = self.known.pop(digest)
        told = self.carry(self.swarm.forget(digest, now_ms))
        return [*told, RemoveArtifact(digest, with_manifest, cause)]

    def forget_manifests(self, but: Collection[bytes]) -> None:
        """Forgets the manifests that nothing names any more, of artifacts that are not here."""
        kept = self._planned | self._needed | self._lying | set(but)
        for digest in [digest for digest in self.known if digest not in kept]:
            del self.known[digest]

    def removed(self, event: ArtifactRemoved, now_ms: int) -> list[Output]:
        """It is gone from the disk, or the disk refused: then it is tried again later, and only the
        first time is journalled. What did not fit is tried again at once; what has come to be
        needed meanwhile is begun by the next `plan`."""
        entry = self._going.pop(event.artifact)
        manifest = self._gone_manifests.pop(event.artifact, None)
        if event.trouble:
            if manifest is not None:
                self.known[event.artifact] = manifest
            return self._removal_refused(event, entry, now_ms)
        self._resisting.pop(event.artifact, None)
        self._lying.discard(event.artifact)
        self._retry_ms |= dict.fromkeys(self._cramped, now_ms)
        self._cramped.clear()
        if not event.freed_bytes:
            return []  # it had not fit, and left nothing
        return [replace(entry, fields={**entry.fields, "bytes": str(event.freed_bytes)})]

    def tick(self, now_ms: int) -> list[Output]:
        """Time passed."""
        outputs = self.carry(self.swarm.tick(now_ms))
        due = self._needed & self._retry_ms.keys() if self._retry_ms else set()
        for digest in sorted(due):
            if now_ms >= self._retry_ms[digest]:
                del self._retry_ms[digest]
                outputs += self._start(digest, now_ms)
        if self._missing and now_ms >= self._ask_ms:
            self._ask_ms = now_ms + self._ask_pause_ms
            self._ask_pause_ms = min(2 * self._ask_pause_ms, ASK_MS_MAX)
            outputs += self.ask([*self._neighbours(), *self._masters()])
        return outputs

    def ask(self, peers: Iterable[str]) -> list[Output]:
        """Asks peers for the manifests that are missing."""
        missing = sorted(self._missing)[:64]
        data = encode(want=Want(blobs=missing))
        return [Send(peer, data, "manifests of the plan") for peer in peers] if missing else []

    def carry(self, instructions: Iterable[SwarmInstruction]) -> list[Output]:
        """The swarm's wishes as the node's instructions."""
        outputs: list[Output] = []
        for instruction in instructions:
            match instruction:
                case FetchChunks():
                    outputs.append(instruction)
                case TellHoldings():
                    data = encode(holdings=instruction.holdings)
                    peers = [instruction.peer] if instruction.peer else self._neighbours()
                    outputs += [Send(peer, data, "chunks held") for peer in peers]
                case TellClaim():
                    data = encode(claim=instruction.claim)
                    outputs += [Send(peer, data, "claim") for peer in self._neighbours()]
                case _:
                    outputs.append(FinishArtifact(instruction.artifact, "all chunks are here"))
        return outputs

    # ---- inside ----

    def _removal_refused(
        self, event: ArtifactRemoved, entry: WriteJournal, now_ms: int
    ) -> list[Output]:
        known = event.artifact in self._resisting
        pause_ms = 2 * self._resisting[event.artifact][1] if known else REMOVE_AGAIN_MS
        pause_ms = min(pause_ms, REMOVE_AGAIN_MS_MAX)
        self._resisting[event.artifact] = (now_ms + pause_ms, pause_ms)
        return [] if known else [replace(entry, event="artifact.failed", cause=event.trouble)]

    def _start(self, digest: bytes, now_ms: int) -> list[Output]:
        waiting = now_ms < self._retry_ms.get(digest, now_ms)
        if digest in self.complete or digest in self._begun or digest in self._going:
            return []
        if digest not in self.known or waiting:
            return []
        self._begun.add(digest)
        self._lying.add(digest)
        return [BeginArtifact(self.known[digest], "the plan needs it")]

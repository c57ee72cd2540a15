"""How the two heads travel: verify, persist, fetch the branches, apply whole, then relay.

A peer relays a state head only once it can also supply the branches, so whoever hears of one from
a neighbour can have all of it from that neighbour.
"""

from collections.abc import Mapping, Sequence

from mesh.events import Instruction, Notice, SaveBlob, SaveDocument, Send, SendBlobs
from mesh.exchange.branch_fetch import BranchFetch
from mesh.exchange.frames import ENTRIES_MAX, encode
from mesh.heads.outcome import Accepted, Equivocation, Outcome, Refused
from mesh.heads.state import State
from mesh.heads.tree import BranchRefused
from mesh.heads.trust import Trust
from protos.documents_pb2 import Branch
from protos.peer_pb2 import Documents, HeadDigest, Want

BLOBS_ASKED_MAX = 64
"""Small blobs that one frame may ask for."""


class HeadsFlow:
    """The heads' part of the exchange.

    `names` are the branches that this peer needs whole before it applies a state; a master needs
    none, because it makes them. `branches` and `blobs` are those of the state applied last.
    """

    def __init__(
        self,
        trust: Trust,
        state: State,
        names: Sequence[str],
        branches: Mapping[str, Branch],
        blobs: Mapping[bytes, bytes],
    ) -> None:
        self.trust = trust
        self.state = state
        self._names = tuple(names)
        self.branches = dict(branches)
        self.blobs = dict(blobs)
        self._fetch: BranchFetch | None = None

    # ---- what this end has ----

    def digests(self) -> tuple[HeadDigest, HeadDigest]:
        """The trust head, and the state head that is applied and can be supplied."""
        trust = HeadDigest(trust_generation=self.trust.generation, digest=self.trust.digest)
        applied = self.state.applied
        if applied is None:
            return trust, HeadDigest()
        return trust, HeadDigest(
            trust_generation=applied.trust_generation,
            counter=applied.counter,
            digest=applied.digest,
        )

    def contents(self) -> dict[str, bytes]:
        """Branch name to blob, of the state applied last."""
        return {
            name: self.blobs[branch.digest]
            for name, branch in self.branches.items()
            if branch.digest in self.blobs
        }

    def documents(self, trust: bool, state: bool) -> list[tuple[str, bytes]]:
        """The envelopes of the heads asked for, where there are any."""
        found = [("trust", self.trust.envelope)] if trust and self.trust.envelope else []
        if state and self.state.applied is not None:
            found.append(("state", self.state.applied.envelope))
        return found

    # ---- taking ----

    def take_trust(self, envelope: bytes, peer: str) -> list[Instruction]:
        """A trust head from a peer."""
        outcome = self.trust.accept(envelope)
        if isinstance(outcome, Accepted):
            return [
                SaveDocument("trust", envelope, f"trust head from {peer}"),
                Notice("trust", str(self.trust.generation), f"from {peer}"),
            ]
        return _evidence("trust", outcome, peer)

    def take_state(self, envelope: bytes, peer: str) -> list[Instruction]:
        """A state head from a peer."""
        outcome = self.state.accept(envelope, self.trust)
        if isinstance(outcome, Refused) and outcome.needs_trust:
            return [Send(peer, encode(want=Want(trust=True, state=True)), "newer trust")]
        if not self._names and isinstance(outcome, Accepted | Equivocation):
            return self._ahead(envelope, peer)
        if not isinstance(outcome, Accepted):
            return [*_evidence("state", outcome, peer), *self.resume([peer])]
        self._begin()
        return [
            SaveDocument("state-seen", envelope, f"state head from {peer}"),
            *self.resume([peer]),
        ]

    def _ahead(self, envelope: bytes, peer: str) -> list[Instruction]:
        """A master that was restored from yesterday meets a head of its own that it forgot."""
        head = State(envelope).seen
        if head is None:
            raise AssertionError("an envelope that was just accepted")
        return [Notice("ahead", str(head.counter), f"from {peer}", head.digest)]

    def _begin(self) -> None:
        seen = self.state.seen
        if seen is None or (self.state.applied and seen.envelope == self.state.applied.envelope):
            self._fetch = None
            return
        self._fetch = BranchFetch(seen, seen.envelope, self._names, self.blobs)

    def resume(self, peers: Sequence[str]) -> list[Instruction]:
        """Asks peers for what is missing of the head that was seen and is not applied."""
        if self._fetch is None:
            if not self._names:
                return []
            self._begin()
        if self._fetch is None:
            return []
        want = Want(state_counter=self._fetch.head.counter)
        want.branches.extend(self._fetch.missing_branches())
        want.blobs.extend(self._fetch.missing_blobs())
        return [Send(peer, encode(want=want), "branches of a newer state") for peer in peers]

    def take_branches(self, documents: Documents, peer: str) -> list[Instruction]:
        """Branches with their proofs, of the head being fetched; of another they are ignored."""
        if self._fetch is None or documents.branches_counter != self._fetch.head.counter:
            return []
        for branch in documents.branches:
            try:
                self._fetch.take_branch(branch)
            except BranchRefused as refused:
                return [Notice("refused", peer, f"branch: {refused}")]
        if self._fetch.complete:
            return self._apply(peer)
        return [] if self._fetch.missing_branches() else self.resume([peer])

    def take_blob(self, data: bytes, peer: str) -> list[Instruction]:
        """A small blob that may be a missing branch."""
        if self._fetch is None or not self._fetch.take_blob(data):
            return []
        saved: list[Instruction] = [SaveBlob(data, f"branch from {peer}")]
        return saved + (self._apply(peer) if self._fetch.complete else [])

    def _apply(self, peer: str) -> list[Instruction]:
        fetch = self._fetch
        if fetch is None:
            raise AssertionError("nothing is being fetched")
        self._fetch = None
        # Blobs that did not change were saved under an older state; all are saved again, because
        # a blob is worth nothing to a peer that cannot prove where it belongs.
        saved: list[Instruction] = [SaveBlob(blob, "branch") for blob in fetch.blobs.values()]
        return saved + self.install(fetch.envelope, fetch.branches, fetch.blobs, f"from {peer}")

    def install(
        self,
        envelope: bytes,
        branches: Mapping[str, Branch],
        blobs: Mapping[bytes, bytes],
        cause: str,
    ) -> list[Instruction]:
        """Applies a state that was seen, with its branches: persisted first, then told."""
        seen = self.state.seen
        if seen is None or seen.envelope != envelope:
            raise AssertionError("only the head that was seen last is applied")
        self.state.mark_applied(seen.counter)
        self.branches = dict(branches)
        self.blobs = dict(blobs)
        kept = Documents(branches=[branches[name] for name in sorted(branches)])
        return [
            SaveDocument("branches", kept.SerializeToString(), cause),
            SaveDocument("state-applied", envelope, cause),
            Notice("state", str(seen.counter), cause),
        ]

    # ---- serving ----

    def serve(self, want: Want, peer: str) -> list[Instruction]:
        """Answers a wish for branches and small blobs."""
        sends: list[Instruction] = []
        applied = self.state.applied
        if want.branches and applied is not None and applied.counter == want.state_counter:
            found = [self.branches[n] for n in want.branches[:ENTRIES_MAX] if n in self.branches]
            documents = Documents(branches=found, branches_counter=want.state_counter)
            sends.append(Send(peer, encode(documents=documents), "branches asked for"))
        if want.blobs:
            digests = tuple(want.blobs[:BLOBS_ASKED_MAX])
            sends.append(SendBlobs(peer, digests, "blobs asked for"))
        return sends


def _evidence(kind: str, outcome: Outcome, peer: str) -> list[Instruction]:
    """What to tell the cores above of a head that was not taken: lies and faults, not repeats."""
    if isinstance(outcome, Equivocation):
        return [Notice("equivocation", kind, f"from {peer}", outcome)]
    if isinstance(outcome, Refused):
        return [Notice("refused", peer, f"{kind} head: {outcome.reason}: {outcome.detail}")]
    return []

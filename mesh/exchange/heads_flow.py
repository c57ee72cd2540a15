"""How the two heads travel: verify, persist, fetch the branches, apply whole, then relay.

A peer relays a state head only once it can also supply the branches, so whoever hears of one from
a neighbour can have all of it from that neighbour. The exception is a head for newer readers: it is
kept as the floor and relayed at once, never fetched or applied, and the last good state stays.
"""

from collections.abc import Mapping, Sequence

from mesh.events import Contact, Instruction, Notice, SaveBlob, SaveDocument, Send, SendBlobs
from mesh.exchange.branch_fetch import BranchFetch
from mesh.exchange.frames import encode
from mesh.heads.branches import site_branch_name
from mesh.heads.outcome import Accepted, Equivocation, Outcome, Refused
from mesh.heads.state import State, StateHead
from mesh.heads.tree import BranchRefused, check_branch
from mesh.heads.trust import Trust
from protos.documents_pb2 import Branch
from protos.peer_pb2 import Documents, HeadDigest, Want

BLOBS_ASKED_MAX = 64
"""Small blobs that one frame may ask for."""
EVIDENCE_MAX = 4
"""Equivocations written to disk in one run. A thief of the state key could make them for ever."""
BRANCHES_ASKED_MAX = 64
"""Branches that one frame may ask for: with their proofs 64 KiB. A node needs three."""


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
        self._asked_trust: dict[str, int] = {}
        self._told: set[bytes] = set()
        self._finish_applying()

    def _finish_applying(self) -> None:
        """A crash between the two documents of `install` left the branches of the head that was
        seen beside the head that was applied before: they are whole, so that head is in force."""
        seen = self.state.seen
        if not self._names or seen is None or not seen.readable or seen == self.state.applied:
            return
        if all(self._proved(name, seen) for name in self._names):
            self.state.mark_applied(seen.counter)

    def _proved(self, name: str, head: StateHead) -> bool:
        branch = self.branches.get(name)
        if branch is None or branch.digest not in self.blobs:
            return False
        try:
            check_branch(branch, head.root, head.leaves)
        except BranchRefused:
            return False
        return True

    # ---- what this end has ----

    def digests(self) -> tuple[HeadDigest, HeadDigest]:
        """The trust head, and the state head that this end passes on."""
        trust = HeadDigest(trust_generation=self.trust.generation, digest=self.trust.digest)
        head = self._passed_on()
        if head is None:
            return trust, HeadDigest()
        return trust, HeadDigest(
            trust_generation=head.trust_generation,
            counter=head.counter,
            digest=head.digest,
        )

    def _passed_on(self) -> StateHead | None:
        """The head that is applied and can be supplied, or a higher one for newer readers."""
        return self.state.seen if self.too_new else self.state.applied

    @property
    def too_new(self) -> bool:
        """Whether the highest head seen is for newer readers: it waits for a newer release."""
        return self.state.seen is not None and not self.state.seen.readable

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
        head = self._passed_on()
        if state and head is not None:
            found.append(("state", head.envelope))
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
        return self._evidence("trust", outcome, peer)

    def take_state(self, envelope: bytes, peer: str) -> list[Instruction]:
        """A state head from a peer."""
        outcome = self.state.accept(envelope, self.trust)
        if isinstance(outcome, Refused) and outcome.needs_trust:
            return self._ask_trust(peer, outcome.needs_trust)
        if not isinstance(outcome, Accepted):
            return [*self._evidence("state", outcome, peer), *self.resume([peer])]
        saved = SaveDocument("state-seen", envelope, f"state head from {peer}")
        return [saved, *self._seen(peer), *self.resume([peer])]

    def _ask_trust(self, peer: str, generation: int) -> list[Instruction]:
        """Asks once a peer and generation: a claim that nobody known signed may be a lie, and an
        answer that brings no such trust head must not beget the next question."""
        if self._asked_trust.get(peer, 0) >= generation:
            return []
        self._asked_trust[peer] = generation
        return [Send(peer, encode(want=Want(trust=True, state=True)), "newer trust")]

    def _seen(self, peer: str) -> list[Instruction]:
        """What follows from a head that is the highest now."""
        self._begin()
        counter = str(self.state.floor[1])
        if self.too_new:
            return [Notice("too-new", counter, f"from {peer}")]
        return [] if self._names else [Notice("state-ahead", counter, f"from {peer}")]

    def _begin(self) -> None:
        """Begins to fetch the branches of the head seen last, where there is anything to do."""
        seen, applied = self.state.seen, self.state.applied
        self._fetch = None
        done = seen is None or (applied is not None and seen.envelope == applied.envelope)
        if seen is not None and not done and self._names and not self.too_new:
            self._fetch = BranchFetch(seen, seen.envelope, self._names, self.blobs)

    def fetching(self) -> BranchFetch | None:
        """What is being fetched of the head that was seen and is not applied; None: nothing is
        missing, or nothing could be made of it."""
        if self._fetch is None:
            self._begin()
        return self._fetch

    def resume(self, peers: Sequence[str]) -> list[Instruction]:
        """Asks peers for what is missing of the head that was seen and is not applied."""
        fetch = self.fetching()
        if fetch is None:
            return []
        want = Want(state_counter=fetch.head.counter)
        want.branches.extend(fetch.missing_branches())
        want.blobs.extend(fetch.missing_blobs())
        return [Send(peer, encode(want=want), "branches of a newer state") for peer in peers]

    def take_branches(self, documents: Documents, peer: str) -> list[Instruction]:
        """Branches with their proofs, of the head being fetched; of another they are ignored."""
        if self._fetch is None or documents.branches_counter != self._fetch.head.counter:
            return []
        refusals: list[Instruction] = []
        missing = self._fetch.missing_branches()
        for branch in documents.branches:
            try:
                self._fetch.take_branch(branch)
            except BranchRefused as refused:
                refusals.append(Notice("refused", peer, f"branch: {refused}"))
        if self._fetch.complete:
            return [*refusals, *self._apply(self._fetch, peer)]
        news = missing and not self._fetch.missing_branches()
        return [*refusals, *(self.resume([peer]) if news else [])]

    def take_blob(self, data: bytes, peer: str) -> list[Instruction]:
        """A small blob that may be a missing branch."""
        if self._fetch is None or not self._fetch.take_blob(data):
            return []
        saved: list[Instruction] = [SaveBlob(data, f"branch from {peer}")]
        return saved + (self._apply(self._fetch, peer) if self._fetch.complete else [])

    def _apply(self, fetch: BranchFetch, peer: str) -> list[Instruction]:
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

    def serve(self, want: Want, asker: Contact) -> list[Instruction]:
        """Answers a wish for branches and small blobs; those of another site are left out."""
        sends: list[Instruction] = []
        applied = self.state.applied
        if want.branches and applied is not None and applied.counter == want.state_counter:
            names = sorted(set(want.branches))[:BRANCHES_ASKED_MAX]
            held = [name for name in names if name in self.branches]
            found = [self.branches[name] for name in held if _may_have(asker, name)]
            documents = Documents(branches=found, branches_counter=want.state_counter)
            sends.append(Send(asker.name, encode(documents=documents), "branches asked for"))
        digests = tuple(sorted(set(want.blobs) - self._foreign(asker)))[:BLOBS_ASKED_MAX]
        if digests:
            sends.append(SendBlobs(asker.name, digests, "blobs asked for"))
        return sends

    def _foreign(self, asker: Contact) -> set[bytes]:
        """Digests of the branches that are not the asker's."""
        own = {b.digest for name, b in self.branches.items() if _may_have(asker, name)}
        return {branch.digest for branch in self.branches.values()} - own

    # ---- lies and faults ----

    def _evidence(self, kind: str, outcome: Outcome, peer: str) -> list[Instruction]:
        """What to tell the cores above of a head that was not taken: lies and faults, not repeats.

        Of an equivocation the second envelope is kept on disk beside the first, for a person.
        """
        if isinstance(outcome, Equivocation):
            notice = Notice("equivocation", kind, f"from {peer}", outcome)
            if outcome.other in self._told or len(self._told) >= EVIDENCE_MAX:
                return [notice]
            self._told.add(outcome.other)
            name = f"equivocation-{kind}"
            return [SaveDocument(name, outcome.other, f"evidence from {peer}"), notice]
        if isinstance(outcome, Refused):
            return [Notice("refused", peer, f"{kind} head: {outcome.reason}: {outcome.detail}")]
        return []


def _may_have(asker: Contact, branch: str) -> bool:
    """A node may have the common branches and its own site's; a master all."""
    common = not branch.startswith(site_branch_name(""))
    return common or asker.role == "master" or branch == site_branch_name(asker.site)

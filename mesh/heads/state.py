"""The state head: a signed pointer to the root of everything that the authority says.

Heads are ordered by (trust generation, counter). The highest head that was ever *seen* is a floor:
nothing below it is taken again, whoever sends it, and the caller persists it before it applies
anything. What is *applied* is another matter: a head whose branch is whole here. Between the two
the last good state stays in force.

Who signed is checked against the trust head of now. A head may name an older trust generation than
ours, as long as its key is still trusted: else a change of trust would leave every site without a
state until the master has signed a new one. A head that names a newer trust generation than ours
waits until the trust head is here.

A counter far in the future, signed by a trusted key, is legal: there is no telling a thief's from
a master's that was rebuilt. The recovery is a new trust generation, from the offline root, that
drops the stolen key: since the trust generation is compared first, the counter starts anew under
it, and (2, 1) stands above (1, 2^63 - 1).
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mesh.hashing import sha256
from mesh.heads.limits import DIGEST_BYTES, LEAVES_MAX, NUMBER_MAX, STATE_MAX_BYTES
from mesh.heads.outcome import (
    READER_VERSION,
    Accepted,
    Equivocation,
    HeadRefused,
    Known,
    Older,
    Outcome,
    Refused,
    open_head,
)
from mesh.heads.trust import Trust
from mesh.signed import SignatureRefused, open_envelope
from protos.documents_pb2 import StateBody

KIND = "state"
"""The payload type of the envelope."""


@dataclass(frozen=True, slots=True)
class StateHead:
    """A state head that was checked once, with the exact bytes to persist and to relay."""

    envelope: bytes
    digest: bytes
    """SHA-256 of the payload."""
    mesh: str
    trust_generation: int
    counter: int
    root: bytes
    """Of the Merkle tree of branches."""
    leaves: int
    signed_unix_ms: int
    readable: bool
    """False: it is for newer readers. Keep and relay it, do not apply it, raise an alarm."""

    @property
    def order(self) -> tuple[int, int]:
        """(trust generation, counter): the higher wins."""
        return (self.trust_generation, self.counter)


class State:
    """The highest state head seen, and the one applied last, as one node knows them.

    Both envelopes are what the caller persisted; their signatures were checked when they came and
    are not checked again, because the keys of an old head may be trusted no more while its content
    stays in force. Raises HeadRefused if one of them is no state head: the caller starts with
    what it can read, keeps the floor of the other copy, and says so.
    """

    def __init__(
        self, seen_envelope: bytes | None = None, applied_envelope: bytes | None = None
    ) -> None:
        self._applied = None if applied_envelope is None else _reopen(applied_envelope)
        self._seen = None if seen_envelope is None else _reopen(seen_envelope)
        if self._applied is not None and self._applied.order > self.floor:
            self._seen = self._applied

    @property
    def seen(self) -> StateHead | None:
        """The highest head seen: the floor."""
        return self._seen

    @property
    def applied(self) -> StateHead | None:
        """The head applied last: what is in force."""
        return self._applied

    @property
    def floor(self) -> tuple[int, int]:
        """The order of the highest head seen; (0, 0) before any. A master continues above it."""
        return (0, 0) if self._seen is None else self._seen.order

    def accept(self, envelope: bytes, trust: Trust) -> Outcome:
        """Takes the state head in `envelope` if it is the highest so far.

        On Accepted the caller persists the envelope before it fetches or applies anything.
        """
        if self._seen is not None and envelope == self._seen.envelope:
            return Known()  # the usual case of a relay: the very bytes that were checked before
        try:
            head = _verify(envelope, trust)
        except HeadRefused as error:
            claimed = _claimed_generation(envelope) if error.reason == "unknown key" else 0
            if claimed > trust.generation:
                return _needs_trust(claimed)
            return Refused(error.reason, error.detail)
        if head.mesh != trust.mesh:
            return Refused("other mesh", f"it is of {head.mesh!r}, this is {trust.mesh!r}")
        if head.trust_generation > trust.generation:
            return _needs_trust(head.trust_generation)
        for held in (self._seen, self._applied):
            if held is not None and held.order == head.order:
                same = held.digest == head.digest
                return Known() if same else Equivocation(held.envelope, envelope)
        if head.order < self.floor:
            return Older()
        self._seen = head
        return Accepted(envelope)

    def mark_applied(self, counter: int) -> None:
        """Says that the branches of the head seen are whole here and in force.

        `counter` names that head, so that a caller who worked on an older one is caught. The caller
        persists its envelope. Raises ValueError if another head is seen by now, or if it is for
        newer readers; nothing changes then.
        """
        if self._seen is None or self._seen.counter != counter:
            raise ValueError(f"state {counter} is not the one seen last: go on with that one")
        if not self._seen.readable:
            raise ValueError(f"state {counter} is for newer readers: the last good one stays")
        self._applied = self._seen


def _verify(envelope: bytes, trust: Trust) -> StateHead:
    payload = open_head(envelope, KIND, trust.keys("state"), STATE_MAX_BYTES).payload
    return _read(envelope, payload)


def _reopen(envelope: bytes) -> StateHead:
    try:
        return _read(envelope, open_envelope(envelope, KIND).payload)
    except SignatureRefused as error:
        raise HeadRefused(error.reason, str(error)) from None


def _claimed_generation(envelope: bytes) -> int:
    try:
        return _reopen(envelope).trust_generation
    except HeadRefused:
        return 0


def _read(envelope: bytes, payload: bytes) -> StateHead:
    try:
        body = StateBody.FromString(payload)
    except DecodeError:
        raise HeadRefused("malformed", "the payload is no state head") from None
    _check_number("trust generation", body.trust_generation, 1, NUMBER_MAX)
    _check_number("counter", body.counter, 1, NUMBER_MAX)
    _check_number("time of signing", body.signed_unix_ms, 0, NUMBER_MAX)
    readable = body.min_reader <= READER_VERSION
    if readable:
        _check_number("length of its root", len(body.root), DIGEST_BYTES, DIGEST_BYTES)
        _check_number("number of branches", body.leaves, 0, LEAVES_MAX)
    return StateHead(
        envelope=envelope,
        digest=sha256(payload),
        mesh=body.mesh,
        trust_generation=body.trust_generation,
        counter=body.counter,
        root=body.root,
        leaves=body.leaves,
        signed_unix_ms=body.signed_unix_ms,
        readable=readable,
    )


def _check_number(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise HeadRefused("bad content", f"its {what} is {value}, not from {least} to {most}")


def _needs_trust(generation: int) -> Refused:
    return Refused(
        f"needs trust {generation}",
        "it names a newer trust head than is known here: ask the sender for that one first",
        generation,
    )

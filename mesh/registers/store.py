"""The stable and load registers of one site, as one peer holds them.

A register is written by one node, signed with its key, relayed by anyone, altered by nobody.
Of two versions the higher (boot counter, version) wins; there is no other rule. The same boot
counter with two nonces is a cloned disk: the first is kept, and both are reported.

A register carries its node's certificate, which binds the node's name to its signing key, so that a
register can be checked by a peer that has heard of the node for the first time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from google.protobuf.message import DecodeError

from mesh.addresses import AddressRefused, split_address
from mesh.hashing import sha256
from mesh.signed import SignatureRefused, Signer, open_envelope, verify
from protos.documents_pb2 import Boot, LoadRegister, StableRegister

STABLE_BYTES_MAX = 16 * 1024
"""Of an envelope. A node with 32 replicas, 32 labels and 64 artifacts needs about 8 KiB; a site of
256 nodes costs at most 4 MiB."""
LOAD_BYTES_MAX = 4 * 1024
NODES_MAX = 256
"""Members of a site. A hostile node cannot raise it: each needs a certificate of the mesh."""
ITEMS_MAX = 256
"""Entries of each repeated field: an empty message costs 50 bytes of memory for 2 on the wire."""
SERVICES_MAX = 1024
"""Entries of the fields that name services of the plan: a plan of 192 KiB has about as many."""


class RegisterRefused(ValueError):
    """The register is not what it should be; its writer or a relay is to blame. Nothing changed."""


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """What a certificate says, once it was checked."""

    node: str
    site: str
    signing_key: bytes
    tls_key: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A stable register that was checked, with the exact bytes to relay."""

    body: StableRegister
    envelope: bytes
    digest: bytes
    keys: NodeKeys

    @property
    def order(self) -> tuple[int, int]:
        """What decides between two registers of one node: the higher wins."""
        return (self.body.boot.counter, self.body.version)


class Outcome(Enum):
    """What became of a register that was offered."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class Clone:
    """Two holders of one disk: the same boot counter with two nonces."""

    node: str
    kept: Boot
    other: Boot


@dataclass(slots=True)
class _Load:
    body: LoadRegister
    envelope: bytes
    heard_ms: int = 0  # when somebody said last that this is the writer's last word; own: never


@dataclass
class Registers:
    """The registers of one site.

    `check_certificate` gives what a certificate (DER) says or raises ValueError; it is where trust
    and revocation come in.
    """

    site: str
    check_certificate: Callable[[bytes], NodeKeys]
    _stable: dict[str, Record] = field(default_factory=dict)
    _loads: dict[str, _Load] = field(default_factory=dict)
    _nodes: dict[bytes, str] = field(default_factory=dict)  # envelope held -> its node
    generation: int = 0
    """Grows with each change of a stable register."""
    load_generation: int = 0
    """Grows with each change of a load register."""
    with_wan: frozenset[str] = frozenset()
    """The nodes that say that their path to a master works; another set only when that changes."""
    draining: frozenset[str] = frozenset()
    """The nodes that say that they are drained; likewise."""
    accusing: frozenset[str] = frozenset()
    """The nodes that say that they suspect somebody; likewise."""

    # ---- reading ----

    def get(self, node: str) -> Record | None:
        """The stable register of a node, or None."""
        return self._stable.get(node)

    def records(self) -> list[Record]:
        """All stable registers, by node."""
        return list(self._stable.values())

    def load(self, node: str) -> LoadRegister | None:
        """The load register of a node's current boot, or None."""
        load = self._current_load(node)
        return None if load is None else load.body

    def load_envelope(self, node: str) -> bytes | None:
        """The same, as the exact bytes to relay."""
        load = self._current_load(node)
        return None if load is None else load.envelope

    def load_heard_ms(self, node: str) -> int | None:
        """When somebody said last that this is what the node said last (ms), or None."""
        load = self._current_load(node)
        return None if load is None else load.heard_ms

    def _current_load(self, node: str) -> _Load | None:
        load, record = self._loads.get(node), self._stable.get(node)
        if load is None or (record is not None and record.body.boot != load.body.boot):
            return None  # what it said in an earlier life
        return load

    def digests(self) -> list[bytes]:
        """What goes into the fingerprint: the digest of each stable register."""
        return [record.digest for record in self.records()]

    # ---- writing ----

    def publish(self, body: StableRegister, signer: Signer, keys: NodeKeys) -> Record:
        """Signs this peer's own register and holds it.

        `body.version` must be above the one held; the caller counts.
        """
        payload = body.SerializeToString(deterministic=True)
        envelope = signer.sign("register", payload)
        if len(envelope) > STABLE_BYTES_MAX:
            raise RegisterRefused(f"own register of {len(envelope)} bytes is above the limit")
        record = Record(body, envelope, sha256(payload), keys)
        self._hold(record)
        return record

    def publish_load(self, body: LoadRegister, signer: Signer) -> bytes:
        """Signs this peer's own load register and holds it. Returns the envelope to send."""
        envelope = signer.sign("load", body.SerializeToString(deterministic=True))
        self._hold_load(_Load(body, envelope))
        return envelope

    def accept(self, envelope: bytes, protected: str = "") -> tuple[Outcome | Clone, Record]:
        """Takes a stable register that a peer relayed.

        The register of the node `protected` (this peer itself) is judged and never replaced. One
        under other keys is of another machine that has, or had, the ID: it says nothing of a disk.

        Raises RegisterRefused, with nothing changed, if it is not its writer's.
        """
        known = self._nodes.get(envelope)
        if known is not None:  # the usual case of a relay: the very bytes that were checked before
            return Outcome.KNOWN, self._stable[known]
        record = self._checked(envelope)
        held = self._stable.get(record.body.node)
        if held is None:
            if len(self._stable) >= NODES_MAX:
                raise RegisterRefused(f"the site has {NODES_MAX} nodes already")
        elif held.keys != record.keys:
            if record.body.node == protected:
                return Outcome.OLDER, record
        elif _cloned(held.body.boot, record.body.boot):
            return Clone(held.body.node, held.body.boot, record.body.boot), record
        if held is not None and record.order <= held.order:
            return (Outcome.KNOWN if record.digest == held.digest else Outcome.OLDER), record
        if record.body.node != protected:
            self._hold(record)
        return Outcome.ACCEPTED, record

    def accept_load(self, envelope: bytes, now_ms: int) -> Outcome:
        """Takes a load register; one of a node whose stable register is unknown is ignored.

        Raises RegisterRefused, with nothing changed, if it is not its writer's.
        """
        body = self._checked_load(envelope)
        held = self._loads.get(body.node)
        if held is not None and envelope == held.envelope:
            held.heard_ms = now_ms
            return Outcome.KNOWN
        if held is not None and _order(body) <= _order(held.body):
            return Outcome.OLDER
        self._hold_load(_Load(body, envelope, now_ms))
        return Outcome.ACCEPTED

    def forget(self, nodes: Iterable[str]) -> None:
        """Drops the registers of nodes that the authority revoked."""
        for node in nodes:
            record = self._stable.pop(node, None)
            self._loads.pop(node, None)
            if record is not None:
                del self._nodes[record.envelope]
                self.generation += 1
                self.load_generation += 1
                self.with_wan -= {node}
                self.draining -= {node}
                self.accusing -= {node}

    def recheck(self) -> list[str]:
        """To be called when trust or revocations changed: drops the registers whose certificates do
        not hold any more, and returns their nodes."""
        gone = [node for node, record in self._stable.items() if not self._still_holds(record)]
        self.forget(gone)
        return gone

    def _hold(self, record: Record) -> None:
        """Takes a record, by node in sorted order."""
        node = record.body.node
        before = self._stable.get(node)
        if before is not None:
            del self._nodes[before.envelope]
        self._stable[node] = record
        self._nodes[record.envelope] = node
        if before is None:
            self._stable = dict(sorted(self._stable.items()))
        self.generation += 1
        if record.body.wan != (node in self.with_wan):
            self.with_wan ^= {node}
        if record.body.draining != (node in self.draining):
            self.draining ^= {node}
        if bool(record.body.suspicions) != (node in self.accusing):
            self.accusing ^= {node}

    def _hold_load(self, load: _Load) -> None:
        self._loads[load.body.node] = load
        self.load_generation += 1

    # ---- checking ----

    def _still_holds(self, record: Record) -> bool:
        try:
            return self.check_certificate(record.body.certificate) == record.keys
        except ValueError:
            return False

    def _keys(self, body: StableRegister) -> NodeKeys:
        """What the body's certificate says. One that was checked before is not checked again (it
        costs a millisecond): `recheck` drops those that do not hold any more."""
        held = self._stable.get(body.node)
        if held is not None and held.body.certificate == body.certificate:
            return held.keys
        return self.check_certificate(body.certificate)

    def _checked(self, envelope: bytes) -> Record:
        if len(envelope) > STABLE_BYTES_MAX:
            raise RegisterRefused(f"{len(envelope)} bytes are above the limit {STABLE_BYTES_MAX}")
        body = self._unverified(envelope)
        try:
            keys = self._keys(body)
            payload = verify(envelope, "register", [keys.signing_key]).payload
        except ValueError as refused:
            raise RegisterRefused(f"register of {body.node!r}: {refused}") from None
        if (keys.node, keys.site) != (body.node, body.site) or body.site != self.site:
            raise RegisterRefused(
                f"register of {body.node!r} at {body.site!r} under the certificate of "
                f"{keys.node!r} at {keys.site!r}; this site is {self.site!r}"
            )
        _check_counts(body)
        _check_addresses(body)
        return Record(body, envelope, sha256(payload), keys)

    def _unverified(self, envelope: bytes) -> StableRegister:
        """The body, parsed before its signature is checked: its certificate says by which key.

        Sizes were checked; nothing but the certificate and the name is read before `verify`.
        """
        try:
            return StableRegister.FromString(open_envelope(envelope, "register").payload)
        except (SignatureRefused, DecodeError) as broken:
            raise RegisterRefused(f"no register: {broken}") from None

    def _checked_load(self, envelope: bytes) -> LoadRegister:
        if len(envelope) > LOAD_BYTES_MAX:
            raise RegisterRefused(f"{len(envelope)} bytes are above the limit {LOAD_BYTES_MAX}")
        try:
            body = LoadRegister.FromString(open_envelope(envelope, "load").payload)
        except (SignatureRefused, DecodeError) as broken:
            raise RegisterRefused(f"no load register: {broken}") from None
        stable = self._stable.get(body.node)
        if stable is None or stable.body.boot != body.boot:
            raise RegisterRefused(f"load of {body.node!r}: its boot is not the one known here")
        try:
            verify(envelope, "load", [stable.keys.signing_key])
        except SignatureRefused as refused:
            raise RegisterRefused(f"load of {body.node!r}: {refused}") from None
        if len(body.services) > ITEMS_MAX:
            raise RegisterRefused(f"load of {body.node!r}: more than {ITEMS_MAX} services")
        return body


def _cloned(one: Boot, other: Boot) -> bool:
    return one.counter == other.counter and one.nonce != other.nonce


def _order(body: LoadRegister) -> tuple[int, int]:
    return (body.boot.counter, body.version)


def _check_counts(body: StableRegister) -> None:
    counts = {
        "labels": len(body.labels),
        "devices": len(body.capacity.devices),
        "replicas": len(body.replicas),
        "artifacts": len(body.artifacts),
        "suspicions": len(body.suspicions),
        "sources": len(body.sources),
        "pipelines": len(body.pipelines),
        "alarms": len(body.alarms),
        "admissions": len(body.admissions),
        "verdicts": len(body.verdicts),
        "local changes": len(body.local_changes),
    }
    services = {
        "counts": len(body.counts),
        "last good versions": len(body.last_good),
        "inherited good versions": len(body.inherited_good),
        "wanted services": len(body.wanted),
    }
    for found, most in ((counts, ITEMS_MAX), (services, SERVICES_MAX)):
        for name, count in found.items():
            if count > most:
                raise RegisterRefused(f"register of {body.node!r}: {count} {name}, at most {most}")
    if len(body.boot.nonce) != 8 or body.boot.counter == 0:
        raise RegisterRefused(f"register of {body.node!r}: no boot counter or nonce")


def _check_addresses(body: StableRegister) -> None:
    """What neighbours will dial is HOST:PORT, or not said: no scheme, path or socket."""
    for address in (body.peer_address, body.inference_address):
        try:
            if address:
                split_address(address)
        except AddressRefused as refused:
            raise RegisterRefused(f"register of {body.node!r}: {refused}") from None

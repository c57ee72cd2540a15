"""One peer: the four things over one exchange, with neighbours and the master alike.

Two peers compare a fingerprint of what they have in common. Equal: done. Different: digests, then
only what the other lacks. A change is announced at once. The master is a peer that can sign heads
and acknowledge journals; there is no second protocol. A node that was away for a year takes the
same path as one that missed a packet.

`handle(event, now_ms)` returns instructions, in the order in which they must be carried out.
Times are milliseconds of a monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesh.events import (
    AcknowledgementsSigned,
    BatchesSent,
    BatchLost,
    BatchSaved,
    Contact,
    DialFailed,
    Drop,
    Event,
    Instruction,
    LinkDown,
    LinkUp,
    Notice,
    Received,
    Send,
    Tick,
)
from mesh.exchange.common import Common
from mesh.exchange.frames import PROTOCOL, PeerFault, encode, pack, parse_frame
from mesh.exchange.heads_flow import HeadsFlow
from mesh.exchange.journal_intake import JournalIntake, acknowledgement_frames
from mesh.exchange.membership import Membership
from mesh.hashing import first, ranked
from mesh.journals.logs import Logs
from mesh.registers.store import Clone, NodeKeys, Outcome, Record, RegisterRefused, Registers
from protos.documents_pb2 import Boot, StableRegister
from protos.peer_pb2 import (
    Digests,
    Documents,
    Fingerprint,
    Frame,
    Hello,
    JournalOffer,
    Want,
)

LAN_EXCHANGE_MS = 10_000
"""Between fingerprints with one neighbour, another each time: 200 B/s in a site of 50."""
FULL_EXCHANGE_MS = 60_000
"""Between full digests, whatever the fingerprints say."""
WAN_EXCHANGE_MS = 60_000
"""Between fingerprints with a master: 36 B/s, and the link's keepalive at that."""
OFFER_AGAIN_MS = 5_000
RESUME_MS = 1_000
"""Between two attempts to fetch the branches of a head that was seen."""
RECHECK_MS = 200
"""After news over the WAN, before asking whether both ends have the same now."""
RELAYS = 2
"""Neighbours to whom a register from elsewhere is relayed: for links that are cut one by one."""


@dataclass(frozen=True)
class PeerConfig:
    """What a peer is. `archive` is set on a master: it keeps and acknowledges journals."""

    name: str
    role: str
    site: str
    boot: Boot
    check_certificate: Callable[[bytes], NodeKeys]
    archive: bool = False
    wan_exchange_ms: int = WAN_EXCHANGE_MS


@dataclass(slots=True)
class _Link:
    contact: Contact
    wan: bool
    dirty: bool = False
    exchanged_ms: int = 0


class Peer:
    """The four things of one peer. `membership` is set on nodes, not on masters."""

    def __init__(
        self,
        config: PeerConfig,
        heads: HeadsFlow,
        logs: Logs,
        membership: Membership | None,
        now_ms: int,
    ) -> None:
        self.config = config
        self.heads = heads
        self.logs = logs
        self.membership = membership
        self.roster_keys: dict[str, bytes] = {}
        self.links: dict[str, _Link] = {}
        self._journals = JournalIntake(logs, self._signing_key_of, config.archive)
        self._flow = self._journals.flow
        self._sites: dict[str, Registers] = {}
        if membership is not None:
            self._sites[config.site] = membership.registers
        self._due = {"lan": now_ms, "full": now_ms, "offer": now_ms, "resume": now_ms}
        self._round = 0

    # ---- what is known ----

    def registers_of(self, site: str) -> Registers:
        """The registers of a site; a node knows those of its own alone."""
        if site not in self._sites and self.membership is None:
            self._sites[site] = Registers(site, self.config.check_certificate)
        return self._sites[site]

    def sites(self) -> list[str]:
        """The sites of which registers are held."""
        return sorted(self._sites)

    def masters(self) -> list[str]:
        """The masters that this peer is linked with."""
        return sorted(n for n, link in self.links.items() if link.contact.role == "master")

    def neighbours(self) -> list[str]:
        """The linked peers of the same site."""
        return sorted(n for n, link in self.links.items() if not link.wan)

    def gateway(self) -> str | None:
        """The node that talks to the master for the site: the first by rendezvous among the live
        nodes that say they have a working path."""
        if self.membership is None:
            return None
        records = (self.membership.registers.get(n) for n in self.membership.liveness.live())
        return first("gateway", [r.body.node for r in records if r is not None and r.body.wan])

    # ---- the boundary ----

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """Takes one event; returns what is to be done, in order."""
        instructions = self._dispatch(event, now_ms)
        return [*instructions, *self._flow.next_bunches()]

    def _dispatch(self, event: Event, now_ms: int) -> list[Instruction]:
        match event:
            case Received():
                return self._received(event.peer, event.data, now_ms)
            case Tick():
                return self._tick(now_ms)
            case LinkUp():
                return self._link_up(event.contact, event.wan, now_ms)
            case LinkDown():
                return self._link_down(event.peer, now_ms)
            case DialFailed():
                return self.membership.unreachable(event.peer, now_ms) if self.membership else []
            case BatchSaved():
                self.logs.stored(event.batch)
                self._journals.saved(event.batch.key, event.batch.last)
                return self._offer()
            case AcknowledgementsSigned():
                return self._acknowledgements(list(event.envelopes), "", now_ms)
            case BatchLost():
                self.logs.abandoned(event.log)
                return []
            case BatchesSent():
                self._flow.sent(event.peer, event.log, event.last)
                return []

    def publish(self, content: StableRegister, now_ms: int) -> list[Instruction]:
        """Says something new about this node, to all that are linked."""
        return self._announce_self(content, again=False)

    def install_state(self, envelope: bytes, documents: Documents) -> list[Instruction]:
        """A master's own new state: taken like anybody's, then told to all that are linked.

        `documents` holds all its branches and their blobs, the blobs in the branches' order.
        """
        outcome = self.heads.state.accept(envelope, self.heads.trust)
        branches = {branch.name: branch for branch in documents.branches}
        blobs = {b.digest: d for b, d in zip(documents.branches, documents.blobs, strict=True)}
        installed = self.heads.install(envelope, branches, blobs, f"own state: {outcome}")
        return [*installed, *self._broadcast(pack([("state", envelope)]), "new state")]

    # ---- links ----

    def _link_up(self, contact: Contact, wan: bool, now_ms: int) -> list[Instruction]:
        self.links[contact.name] = _Link(contact, wan, exchanged_ms=now_ms)
        self._flow.link(contact.name, up=True)
        hello = Hello(
            protocol=PROTOCOL,
            boot=self.config.boot,
            role=self.config.role,
        )
        instructions: list[Instruction] = [Send(contact.name, encode(hello=hello), "link")]
        if self.membership is not None and not wan:
            instructions += self.membership.link(contact.name, True, now_ms)
        instructions += self._send_fingerprint(contact.name, now_ms)
        return [*instructions, Notice("link", contact.name, "up"), *self._offer()]

    def _link_down(self, peer: str, now_ms: int) -> list[Instruction]:
        link = self.links.pop(peer, None)
        self._flow.link(peer, up=False)
        instructions: list[Instruction] = [Notice("link", peer, "down")]
        if self.membership is not None and link is not None and not link.wan:
            instructions += self.membership.link(peer, False, now_ms)
        return instructions

    def _broadcast(
        self, frames: list[bytes], cause: str, without: tuple[str, ...] = ()
    ) -> list[Instruction]:
        peers = [peer for peer in sorted(self.links) if peer not in without]
        return [Send(peer, data, cause) for data in frames for peer in peers]

    # ---- frames ----

    def _received(self, peer: str, data: bytes, now_ms: int) -> list[Instruction]:
        link = self.links.get(peer)
        if link is None:
            return []
        alive: list[Instruction] = []
        if self.membership is not None and not link.wan:
            alive = self.membership.heard(peer, now_ms)
        try:
            frame = parse_frame(data)
            return alive + self._frame(frame, peer, link, now_ms)
        except PeerFault as fault:
            return [*alive, Drop(peer, str(fault))]

    def _frame(self, frame: Frame, peer: str, link: _Link, now_ms: int) -> list[Instruction]:
        match frame.WhichOneof("kind"):
            case "hello":
                return self._hello(frame.hello, peer)
            case "fingerprint":
                return self._fingerprint(frame.fingerprint, peer, link, now_ms)
            case "digests":
                return self._digests(frame.digests, peer, link)
            case "want":
                return self._want(frame.want, peer, link)
            case "documents":
                return self._documents(frame.documents, peer, link, now_ms)
            case "journal_offer":
                return self._journal_offer(frame.journal_offer, peer)
            case "journal_want":
                self._flow.wants(frame.journal_want, peer)
                return []
            case "journal_batches":
                return self._journals.batches(frame.journal_batches, peer)
            case "probe" | "probe_answer":
                return self._probe_frame(frame, peer, link, now_ms)
            case "holdings" | "claim" if not link.wan:
                return [Notice("swarm", peer, "", frame)]
            case _:
                return []

    def _hello(self, hello: Hello, peer: str) -> list[Instruction]:
        if hello.protocol < PROTOCOL:
            return [Drop(peer, f"protocol {hello.protocol} is too old; {PROTOCOL} is spoken here")]
        return [Notice("hello", peer, "", hello)]

    def _probe_frame(self, frame: Frame, peer: str, link: _Link, now_ms: int) -> list[Instruction]:
        if self.membership is None or link.wan:
            return []
        if frame.WhichOneof("kind") == "probe":
            return self.membership.probe(peer, frame.probe, now_ms)
        return self.membership.probe_answer(peer, frame.probe_answer, now_ms)

    # ---- the exchange ----

    def _common(self, link: _Link) -> Common:
        site = link.contact.site if self.membership is None else self.config.site
        return Common(self.heads, self.registers_of(site), self.logs)

    def _send_fingerprint(self, peer: str, now_ms: int, echo: bool = False) -> list[Instruction]:
        link = self.links[peer]
        link.exchanged_ms, link.dirty = now_ms, False
        value = self._common(link).fingerprint()
        return [Send(peer, encode(fingerprint=Fingerprint(value=value, echo=echo)), "exchange")]

    def _send_digests(self, peer: str) -> list[Instruction]:
        return [Send(peer, encode(digests=self._common(self.links[peer]).digests()), "exchange")]

    def _fingerprint(
        self, theirs: Fingerprint, peer: str, link: _Link, now_ms: int
    ) -> list[Instruction]:
        if theirs.value != self._common(link).fingerprint():
            return self._send_digests(peer)
        synced: list[Instruction] = [Notice("synced", peer)] if link.wan else []
        return synced if theirs.echo else synced + self._send_fingerprint(peer, now_ms, echo=True)

    def _digests(self, theirs: Digests, peer: str, link: _Link) -> list[Instruction]:
        frames = self._common(link).answer(theirs)
        return [Send(peer, data, "what the peer lacks, and what is lacking") for data in frames]

    def _want(self, want: Want, peer: str, link: _Link) -> list[Instruction]:
        supplied = [Send(peer, data, "asked for") for data in self._common(link).supply(want)]
        return [*supplied, *self.heads.serve(want, peer)]

    def _documents(
        self, documents: Documents, peer: str, link: _Link, now_ms: int
    ) -> list[Instruction]:
        instructions: list[Instruction] = []
        for envelope in documents.trust:
            instructions += self.heads.take_trust(envelope, peer)
        for envelope in documents.state:
            instructions += self.heads.take_state(envelope, peer)
        instructions += self.heads.take_branches(documents, peer)
        for blob in documents.blobs:
            taken = self.heads.take_blob(blob, peer)
            instructions += taken or [Notice("blob", peer, "", blob)]
        instructions += [
            Notice("missing-blob", peer, "", digest) for digest in documents.missing_blobs
        ]
        for envelope in documents.registers:
            instructions += self._register(envelope, peer, link, now_ms)
        for envelope in documents.loads:
            instructions += self._load(envelope, peer, link)
        instructions += self._acknowledgements(list(documents.acknowledgements), peer, now_ms)
        if instructions:
            link.dirty = True
        return instructions + self._relay_heads(instructions, peer)

    def _relay_heads(self, results: list[Instruction], source: str) -> list[Instruction]:
        """A head that was just accepted, or applied, is news for everybody else."""
        whats = {notice.what for notice in results if isinstance(notice, Notice)}
        documents = self.heads.documents(trust="trust" in whats, state="state" in whats)
        return self._broadcast(pack(documents), f"news from {source}", without=(source,))

    # ---- registers ----

    def _register(self, envelope: bytes, peer: str, link: _Link, now_ms: int) -> list[Instruction]:
        site = link.contact.site if self.membership is None else self.config.site
        registers = self.registers_of(site)
        before = {record.body.node: record for record in registers.records()}
        try:
            outcome, record = registers.accept(envelope, protected=self.config.name)
        except RegisterRefused as refused:
            return [Notice("refused", peer, f"register: {refused}")]
        node = record.body.node
        if isinstance(outcome, Clone):
            return [Notice("clone", node, f"seen through {peer}", outcome)]
        if node == self.config.name and outcome is Outcome.ACCEPTED:
            return [Notice("boot", node, f"{peer} knows a later boot", record.body.boot)]
        if outcome is not Outcome.ACCEPTED:
            return []
        instructions: list[Instruction] = [Notice("register", node, f"from {peer}", record)]
        if self.membership is not None:
            instructions += self.membership.accepted(record, before.get(node), now_ms)
            if self.membership.accuses_me(record):
                instructions += self._announce_self(None, again=True)
            instructions += self._relay(record, peer)
        return instructions

    def _relay(self, record: Record, peer: str) -> list[Instruction]:
        """To a few neighbours that its writer may not reach, and to the master over the WAN."""
        frames = pack([("registers", record.envelope)])
        others = [n for n in self.neighbours() if n not in (peer, record.body.node)]
        chosen = ranked(record.digest.hex(), others)[:RELAYS]
        targets = [*chosen, *(m for m in self.masters() if m != peer)]
        return [
            Send(target, data, f"register from {peer}") for data in frames for target in targets
        ]

    def _announce_self(self, content: StableRegister | None, again: bool) -> list[Instruction]:
        if self.membership is None:
            return []
        record = self.membership.publish(content, again)
        if record is None:
            return []
        frames = pack([("registers", record.envelope)])
        told = self._broadcast(frames, "own register")
        return [*told, Notice("register", self.config.name, "own", record), *self._offer()]

    def _load(self, envelope: bytes, peer: str, link: _Link) -> list[Instruction]:
        if self.membership is None or link.wan:
            return []
        try:
            self.membership.registers.accept_load(envelope)
        except RegisterRefused as refused:
            return [Notice("refused", peer, f"load: {refused}")]
        return []

    def _signing_key_of(self, node: str) -> bytes | None:
        for registers in self._sites.values():
            record = registers.get(node)
            if record is not None:
                return record.keys.signing_key
        return self.roster_keys.get(node)

    # ---- journals ----

    def _offer(self, again: bool = False) -> list[Instruction]:
        """Offers journals to whoever should have them: see mesh/exchange/journal_flow.py."""
        if self.membership is None:
            return []
        mine = self.membership.registers.get(self.config.name)
        wanted = {self.gateway(), mine.body.copy_holder if mine else "", *self.masters()}
        targets = [peer for peer in sorted(self.links) if peer in wanted]
        return [Send(peer, data, "journal") for peer, data in self._flow.offer(targets, again)]

    def _journal_offer(self, offer: JournalOffer, peer: str) -> list[Instruction]:
        if self.membership is not None and not self.masters():
            record = self.membership.registers.get(peer)
            if record is None or record.body.copy_holder != self.config.name:
                return []
        answer = self._flow.wanted(offer)
        return [Send(peer, answer, "journal")] if answer else []

    def _acknowledgements(
        self, envelopes: list[bytes], peer: str, now_ms: int
    ) -> list[Instruction]:
        keys = self.heads.trust.keys("acknowledge")
        news = []
        for envelope in envelopes:
            if self._journals.take_acknowledgement(envelope, keys, now_ms) is not None:
                news.append(envelope)
        frames = acknowledgement_frames(news)
        return self._broadcast(frames, "acknowledged", without=(peer, *self.masters()))

    # ---- time ----

    def _tick(self, now_ms: int) -> list[Instruction]:
        instructions: list[Instruction] = []
        if self.membership is not None:
            instructions += self.membership.tick(now_ms)
            instructions += self._announce_self(None, again=False)
        instructions += self._journals.acknowledge_due()
        instructions += self._wan_exchange(now_ms)
        if self._is_due("lan", LAN_EXCHANGE_MS, now_ms):
            instructions += self._lan_exchange(now_ms)
        if self._is_due("offer", OFFER_AGAIN_MS, now_ms):
            instructions += self._offer(again=True)
        if self._is_due("resume", RESUME_MS, now_ms):
            self._round += 1
            one = ranked(f"resume {self._round}", self.links)[:1]
            instructions += self.heads.resume([*one, *self.masters()] if one else [])
        return instructions

    def _is_due(self, what: str, every_ms: int, now_ms: int) -> bool:
        if now_ms - self._due[what] < every_ms:
            return False
        self._due[what] = now_ms
        return True

    def _lan_exchange(self, now_ms: int) -> list[Instruction]:
        chosen = ranked(f"exchange {self._round}", self.neighbours())[:1]
        if chosen and self._is_due("full", FULL_EXCHANGE_MS, now_ms):
            return self._send_digests(chosen[0])
        return [i for peer in chosen for i in self._send_fingerprint(peer, now_ms)]

    def _wan_exchange(self, now_ms: int) -> list[Instruction]:
        instructions: list[Instruction] = []
        for peer in sorted(self.links):
            link = self.links[peer]
            waited = now_ms - link.exchanged_ms
            asks = self.membership is not None and waited >= self.config.wan_exchange_ms
            if link.wan and (asks or (link.dirty and waited >= RECHECK_MS)):
                instructions += self._send_fingerprint(peer, now_ms)
        return instructions

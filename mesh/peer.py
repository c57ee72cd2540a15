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
from mesh.exchange.comparison import WAN_EXCHANGE_MS, Comparison
from mesh.exchange.frames import PROTOCOL, PeerFault, encode, pack, parse_frame
from mesh.exchange.gateway import Gateway
from mesh.exchange.heads_flow import HeadsFlow
from mesh.exchange.journal_intake import JournalIntake, acknowledgement_frames
from mesh.exchange.journal_offers import JournalOffers
from mesh.exchange.links import Link, Links
from mesh.exchange.membership import Membership
from mesh.exchange.register_flow import RegisterFlow
from mesh.hashing import ranked
from mesh.journals.logs import Logs
from mesh.journals.writers import Writers
from mesh.registers.store import NodeKeys, Registers
from protos.documents_pb2 import Boot, StableRegister
from protos.peer_pb2 import Documents, Frame, Hello, JournalWant

OFFER_AGAIN_MS = 5_000
RESUME_MS = 1_000
"""Between two attempts to fetch the branches of a head that was seen."""

NEWS = frozenset({"trust", "state", "too-new", "register", "acknowledged"})
"""Notices that say that something was taken over."""
HEADS = frozenset({"trust", "state", "too-new"})
"""Those of them about a head."""


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
        self._links = Links(config.name)
        self.links = self._links.open
        self._registers = RegisterFlow(
            config.name, config.site, membership, config.check_certificate, self._links
        )
        self.writers = Writers(self._registers.signing_key_of)
        self._comparison = Comparison(
            config.name,
            self._links,
            heads,
            logs,
            self._registers.shared_with,
            membership is not None,
            now_ms,
            config.wan_exchange_ms,
        )
        self._journals = JournalIntake(logs, self.writers.keys_of, config.archive)
        self._flow = self._journals.flow
        self._due = {"offer": now_ms, "resume": now_ms}
        self._round = 0
        self._gateway = Gateway(membership) if membership is not None else None
        self._offers = JournalOffers(
            config.name, self._links, membership, self._gateway, self._flow
        )

    # ---- what is known ----

    def registers_of(self, site: str) -> Registers:
        """The registers of a site; a node knows those of its own alone."""
        return self._registers.of_site(site)

    def sites(self) -> list[str]:
        """The sites of which registers are held."""
        return self._registers.sites()

    def masters(self) -> list[str]:
        """The masters that this peer is linked with."""
        return self._links.masters()

    def neighbours(self) -> list[str]:
        """The linked peers of the same site."""
        return self._links.neighbours()

    def recheck_registers(self) -> list[str]:
        """Drops the registers of nodes whose certificates hold no more, once trust or revocations
        changed; returns those nodes."""
        return [n for site in self.sites() for n in self.registers_of(site).recheck()]

    def gateway(self) -> str | None:
        """The node that talks to the master for the site, if one can; a master has none."""
        return self._gateway.find() if self._gateway is not None else None

    # ---- the boundary ----

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """Takes one event; returns what is to be done, in order."""
        return self._dispatch(event, now_ms) + self._flow.next_bunches()

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
                self._flow.grew(event.batch.key)
                self._journals.saved(event.batch.key, event.batch.last)
                return self._offers.grew(event.batch.key)
            case AcknowledgementsSigned():
                return self._acknowledgements(list(event.envelopes), "", now_ms)
            case BatchLost():
                self._journals.lost(event.log)
                return []
            case _:
                self._flow.sent(event.peer, event.log, event.last)
                return []

    def publish(self, content: StableRegister, now_ms: int) -> list[Instruction]:
        """Says something new about this node, to all that are linked."""
        told = self._registers.announce(content, again=False)
        return [*told, *self._offers.offer()] if told else []

    def install_state(self, envelope: bytes, documents: Documents) -> list[Instruction]:
        """A master's own new state: taken like anybody's, then told to all that are linked.

        Where it is not the highest (a peer knew a higher one), nothing changes, and the notice
        `state-ahead` says above which counter the master has to sign anew.
        `documents` holds all its branches and their blobs, the blobs in the branches' order.
        """
        outcome = self.heads.state.accept(envelope, self.heads.trust)
        seen = self.heads.state.seen
        if seen is None or seen.envelope != envelope:
            return [Notice("state-ahead", str(self.heads.state.floor[1]), f"own state: {outcome}")]
        branches = {branch.name: branch for branch in documents.branches}
        blobs = {b.digest: d for b, d in zip(documents.branches, documents.blobs, strict=True)}
        self.recheck_registers()
        installed = self.heads.install(envelope, branches, blobs, f"own state: {outcome}")
        return [*installed, *self._links.broadcast(pack([("state", envelope)]), "new state")]

    # ---- links ----

    def _link_up(self, contact: Contact, wan: bool, now_ms: int) -> list[Instruction]:
        stranger = contact.role == "node" and contact.site != self.config.site
        if self.membership is not None and stranger:
            cause = f"it is a node of site {contact.site!r}; a node links with its own site's"
            return [Drop(contact.name, f"{cause}, {self.config.site!r}, and masters alone")]
        self._links.add(Link(contact, wan, exchanged_ms=now_ms))
        self._flow.link(contact.name, up=True)
        hello = Hello(protocol=PROTOCOL, boot=self.config.boot, role=self.config.role)
        instructions: list[Instruction] = [Send(contact.name, encode(hello=hello), "link")]
        if self.membership is not None and not wan:
            instructions += self.membership.link(contact.name, True, now_ms)
        instructions += self._comparison.begin(contact.name, now_ms)
        return [*instructions, Notice("link", contact.name, "up"), *self._offers.offer()]

    def _link_down(self, peer: str, now_ms: int) -> list[Instruction]:
        link = self._links.remove(peer)
        self._flow.link(peer, up=False)
        instructions: list[Instruction] = [Notice("link", peer, "down")]
        if self.membership is not None and link is not None and not link.wan:
            instructions += self.membership.link(peer, False, now_ms)
        return instructions

    # ---- frames ----

    def _received(self, peer: str, data: bytes, now_ms: int) -> list[Instruction]:
        link = self.links.get(peer)
        if link is None:
            return []
        link.asked_ms = None
        alive: list[Instruction] = []
        if self.membership is not None and not link.wan:
            alive = self.membership.heard(peer, now_ms)
        try:
            frame = parse_frame(data)
        except PeerFault as fault:
            return [*alive, Drop(peer, str(fault))]
        return alive + self._frame(frame, peer, link, now_ms)

    def _frame(self, frame: Frame, peer: str, link: Link, now_ms: int) -> list[Instruction]:
        kind = frame.WhichOneof("kind")
        match kind:
            case "hello":
                return self._hello(frame.hello, peer)
            case "fingerprint":
                return self._comparison.fingerprint(frame.fingerprint, peer, link, now_ms)
            case "digests":
                return self._comparison.digests(frame.digests, peer, link)
            case "want":
                return self._comparison.want(frame.want, peer, link)
            case "documents":
                return self._documents(frame.documents, peer, link, now_ms)
            case "journal_offer" | "journal_want" | "journal_batches":
                return self._journal_frame(frame, peer, link, now_ms)
            case _ if not link.wan:
                return self._site_frame(frame, kind, peer, now_ms)
            case _:
                return []

    def _hello(self, hello: Hello, peer: str) -> list[Instruction]:
        if hello.protocol < PROTOCOL:
            return [Drop(peer, f"protocol {hello.protocol} is too old; {PROTOCOL} is spoken here")]
        return [Notice("hello", peer, "", hello)]

    def _site_frame(
        self, frame: Frame, kind: str | None, peer: str, now_ms: int
    ) -> list[Instruction]:
        """What only neighbours say to each other. Of a newer release: nothing that we know."""
        if kind in ("holdings", "claim"):
            return [Notice("swarm", peer, "", frame)]
        if kind in ("lease_ask", "lease_grant"):
            return [Notice("lease", peer, "", frame)]
        if kind in ("in_force_ask", "in_force_part"):
            return [Notice("in-force", peer, "", frame)]
        if self.membership is None:
            return []
        if kind == "probe":
            return self.membership.probe(peer, frame.probe, now_ms)
        if kind == "probe_answer":
            return self.membership.probe_answer(peer, frame.probe_answer, now_ms)
        return []

    def _documents(
        self, documents: Documents, peer: str, link: Link, now_ms: int
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
            instructions += self._registers.take(envelope, peer, link, now_ms)
        for envelope in documents.loads:
            instructions += self._registers.take_load(envelope, peer, link, now_ms)
        if documents.acknowledgements:
            instructions += self._acknowledgements(list(documents.acknowledgements), peer, now_ms)
        if not instructions:
            return []
        if any(_is_news(instruction) for instruction in instructions):
            link.dirty = True
        return instructions + self._relay_heads(instructions, peer)

    def _relay_heads(self, results: list[Instruction], source: str) -> list[Instruction]:
        """A head that was just accepted, or applied, is news for everybody else."""
        whats = {notice.what for notice in results if isinstance(notice, Notice)}
        if whats.isdisjoint(HEADS):
            return []
        state = not whats.isdisjoint(("state", "too-new"))
        frames = pack(self.heads.documents(trust="trust" in whats, state=state))
        return self._tell_on(frames, f"news from {source}", source)

    def _tell_on(self, frames: list[bytes], cause: str, source: str) -> list[Instruction]:
        """To neighbours, and to the masters that did not say it themselves."""
        upward = [master for master in self.masters() if master != source]
        return [
            *self._links.spread(frames, cause, source),
            *(Send(master, data, cause) for data in frames for master in upward),
        ]

    # ---- journals ----

    def _journal_frame(self, frame: Frame, peer: str, link: Link, now_ms: int) -> list[Instruction]:
        match frame.WhichOneof("kind"):
            case "journal_offer":
                return self._offers.answer(frame.journal_offer, peer)
            case "journal_want":
                self._flow.wants(self._permitted(frame.journal_want, link), peer)
                return []
            case _:
                return self._journals.batches(frame.journal_batches, peer, now_ms)

    def _permitted(self, want: JournalWant, link: Link) -> JournalWant:
        """Of what a node wants of a master, the logs of its own site's nodes."""
        if self.membership is not None or link.contact.role == "master":
            return want
        registers = self._registers.shared_with(link)
        known = [log for log in want.logs if registers.get(log.log.node) is not None]
        return JournalWant(logs=known)

    def _acknowledgements(
        self, envelopes: list[bytes], peer: str, now_ms: int
    ) -> list[Instruction]:
        keys = self.heads.trust.keys("acknowledge")
        news = []
        for envelope in envelopes:
            if self._journals.take_acknowledgement(envelope, keys, now_ms) is not None:
                news.append(envelope)
        if not news:
            return []
        frames = acknowledgement_frames(news)
        if not peer:  # a master's own: to its sites
            return self._links.broadcast(frames, "acknowledged")
        told = self._links.spread(frames, "acknowledged", peer)
        return [Notice("acknowledged", peer), *told]

    # ---- time ----

    def _tick(self, now_ms: int) -> list[Instruction]:
        instructions: list[Instruction] = []
        if self.membership is not None:
            instructions += self.membership.tick(now_ms)
            again = self.membership.is_to_answer(now_ms)
            instructions += self._registers.announce(None, again)
        instructions += self._journals.acknowledge_due()
        instructions += self._comparison.wan_round(now_ms)
        instructions += self._comparison.lan_round(self._round, now_ms)
        if self._is_due("offer", OFFER_AGAIN_MS, now_ms):
            instructions += [*self._offers.offer(again=True), *self._journals.resume(self.links)]
        if self._is_due("resume", RESUME_MS, now_ms):
            self._round += 1
            instructions += self._resume()
        return instructions

    def _resume(self) -> list[Instruction]:
        """Asks for what is missing of the newest state: the masters, and one peer, each in turn."""
        if not self.links or self.heads.fetching() is None:
            return []
        one = ranked(f"resume {self.config.name} {self._round}", self.links)[0]
        return self.heads.resume([one, *self.masters()])

    def _is_due(self, what: str, every_ms: int, now_ms: int) -> bool:
        if now_ms - self._due[what] < every_ms:
            return False
        self._due[what] = now_ms
        return True


def _is_news(instruction: Instruction) -> bool:
    """Whether something was taken. What was refused, or asked for, changes nothing in common; if it
    did, two peers that differ in what one of them refuses would compare for ever."""
    return isinstance(instruction, Notice) and instruction.what in NEWS

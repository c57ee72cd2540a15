"""`meshd node`: the agent of one machine.

Start-up needs nobody: the disk, then the runtime and the ports, then the network. No step waits for
a master, a clock, DNS or a neighbour.
"""

import asyncio
import secrets
from typing import Any

from mesh.blobs.instructions import FetchChunks
from mesh.blobs.swarm import Swarm
from mesh.core.admissions import ADMISSIONS
from mesh.core.artifacts import Artifacts as CoreArtifacts
from mesh.core.conflicts import BOOT_FLOOR
from mesh.core.kept import read_kept
from mesh.core.messages import (
    BeginArtifact,
    FinishArtifact,
    RemoveArtifact,
    Renew,
    RestartAsked,
    Run,
    Trouble,
)
from mesh.core.node import NodeCore, NodeFacts
from mesh.desired.units import parse_duration, parse_size
from mesh.events import SaveDocument, WriteJournal
from mesh.exchange.membership import Membership, Self
from mesh.heads.identity import Identity
from mesh.heads.trust import Trust
from mesh.journals.batches import Batch
from mesh.journals.logs import Logs
from mesh.peer import Peer, PeerConfig
from mesh.registers.store import Registers
from node.agent import book
from node.agent.artifacts import Artifacts
from node.agent.away import AwayWatch
from node.agent.blob_sweep import BlobSweep, named_by_node
from node.agent.config import Config, split_peer
from node.agent.cordon import OwnCordon
from node.agent.edge import Edge, now_ms, wall_ms
from node.agent.folder_files import remove_ready
from node.agent.from_disk import FromDisk
from node.agent.housekeeping import ACKNOWLEDGEMENTS, Housekeeping
from node.agent.housekeeping import recall as recall_acknowledgements
from node.agent.journal import OwnJournal
from node.agent.links import Links
from node.agent.local_changes import OwnChanges
from node.agent.machine import capacity
from node.agent.machine_marks import MACHINE, marks, moved, tell
from node.agent.neighbourhood import Neighbourhood
from node.agent.node_backend import NodeBackend, NodeParts
from node.agent.own_address import OwnAddress, advertised
from node.agent.ports import Ports
from node.agent.ready import tell_ready
from node.agent.runtime_client import RuntimeClient, runtime_command, runtime_socket
from node.agent.stores import Stores
from node.agent.tasks import end, until_told
from node.agent.wan import WanKeeper
from node.agent.welcome import Welcome, register_keys
from node.agent.words import say_goodbye, say_hello
from node.disk.authority_keys import NodeKeys
from node.disk.blobs import BlobStore
from node.disk.boot import next_boot
from node.disk.documents import DocumentStore
from node.disk.folder import DataFolder
from node.disk.journals import JournalStore
from protos.documents_pb2 import Boot
from protos.runtime_pb2 import JournalItem


class NodeDaemon:
    """The parts of one agent, wired."""

    def __init__(self, config: Config, folder: DataFolder, keys: NodeKeys) -> None:
        self.config = config
        self.folder = folder
        self.keys = keys
        self.identity = keys.identity
        self.started_ms = wall_ms()
        self.stores = Stores(
            folder.documents,
            BlobStore(folder.folder("blobs")),
            JournalStore(
                folder.folder("journals"), parse_size(config.journal.quota), keys.identity.name
            ),
        )
        self.disk = FromDisk(self.stores, keys.identity.site)
        self.edge: Edge | None = None
        self.boot = self._next_boot(folder.documents)
        self.trust = Trust(keys.root_key, self.disk.document("trust") or keys.trust_envelope)
        kept = self.disk.document(ADMISSIONS) or b""
        self.welcome = Welcome(keys.mesh, keys.identity.site, self.trust, kept)
        self.ports = Ports(
            keys.identity,
            keys.tls,
            self.welcome.authorities,
            self.welcome.revoked,
            lambda: self.welcome.admissions.authorities,
            self.welcome.admissions.check,
        )
        self.links = Links(keys.identity.name, self._feed, self.ports.dial)

    # ---- from the disk ----

    def _next_boot(self, documents: DocumentStore) -> Boot:
        """Above every start that anything knows of: the disk's own count, the journals here, and
        what peers knew when this disk was found to be an old one."""
        own = self.identity.name
        known = [key.counter for key in self.stores.journals.tails() if key.node == own]
        peers_know = Boot.FromString(self.disk.document(BOOT_FLOOR) or b"")
        floor = max([peers_know.counter, *known])
        return next_boot(documents, secrets.token_bytes(8), floor)

    def make_core(self) -> NodeCore:
        """The core, from what the disk holds."""
        heads = self.disk.heads(self.trust)
        me = self.keys.certified
        self.welcome.begin(self.disk.branch(heads), me.der)
        self.registers = Registers(self.identity.site, self.welcome.register_keys)
        own = register_keys(me)
        book.recall(self.disk.document(book.REMEMBERED), self.registers, self.identity.name)
        now = now_ms()
        membership = Membership(Self(own, self.boot, self.keys.signer), self.registers, now)
        peer_config = PeerConfig(
            name=self.identity.name,
            role="node",
            site=self.identity.site,
            boot=self.boot,
            check_certificate=self.welcome.register_keys,
            wan_exchange_ms=parse_duration(self.config.wan.exchange),
        )
        journals = self.stores.journals
        logs = Logs(journals.tails(), own=self.identity.name, sizes=journals.segments())
        acknowledged = self.disk.document(ACKNOWLEDGEMENTS)
        recall_acknowledgements(acknowledged, logs, self.trust.keys("acknowledge"))
        peer = Peer(peer_config, heads, logs, membership, now)
        artifacts = CoreArtifacts(
            Swarm(self.identity.name),
            lambda: self.trust.keys("release"),
            peer.neighbours,
            peer.masters,
        )
        blobs = self.stores.blobs
        artifacts.restored(self.disk.manifests(heads), blobs.held(), now, blobs.envelopes())
        facts = NodeFacts(
            certificate=me.der,
            peer_address="",
            labels=self.config.node.labels,
            capacity=capacity(self.config.node),
            sources=tuple(sorted(self.config.sources)),
            masters=tuple(identity.name for identity, _ in self.masters()),
            moved=moved(self.disk.document(MACHINE), marks()),
        )
        kept = read_kept(self.disk.document)
        core = NodeCore(peer, membership, artifacts, facts, now, kept, self.welcome.admissions)
        self.welcome.core = core
        return core

    def masters(self) -> list[tuple[Identity, str]]:
        """The masters, and where: configured, or as learnt at enrolment."""
        addresses = self.config.master.addresses or book.enrolled_masters(self.folder.path)
        pairs = [split_peer(text) for text in addresses]
        return [(Identity(self.keys.mesh, "master", name), address) for name, address in pairs]

    @property
    def core(self) -> NodeCore | None:
        """The core, once it is made."""
        edge = self.edge
        return edge.core if edge is not None else None  # type: ignore[return-value]

    def _feed(self, event: Any) -> None:
        if self.edge is not None:
            self.edge.feed(event)

    # ---- running ----

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set."""
        remove_ready(self.folder.path)
        core = self.make_core()
        self._wire(core)
        edge = self.edge
        assert edge is not None
        listening = await self.ports.serve(
            self.config.peer.listen,
            NodeBackend(self._parts(core)),
            self.links.accepted,
            self.artifacts.read_chunk,
        )
        peer_address = self._address(listening)
        core.listens(peer_address)
        own = OwnAddress(peer_address, lambda told: self._address(listening, told), self._moved)
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("edge", edge.run()),
                ("journal", self.journal.run()),
                ("runtime", self.runtime.run()),
                ("dial", self.links.dial_neighbours()),
                ("wan", self.wan.run()),
                ("tidy", self.ports.tidy()),
                ("address", own.run()),
                ("sweep", self._sweep(core, edge).run()),
                ("away", self._away_watch(core).run()),
                ("book", self.neighbourhood.run()),
                ("housekeeping", self.housekeeping.run()),
                ("ready", tell_ready(self.folder.path, core, self.started_ms)),
            )
        ]
        self._first_words()
        await self.neighbourhood.announce(peer_address)
        try:
            await until_told(stop, tasks)
        finally:
            await self._shut_down(tasks, "asked to stop" if stop.is_set() else "a fault")

    def _sweep(self, core: NodeCore, edge: Edge) -> BlobSweep:
        return BlobSweep(self.stores.blobs, lambda: named_by_node(core), edge.in_thread)

    def _wire(self, core: NodeCore) -> None:
        self.artifacts = Artifacts(
            self.stores.blobs, lambda digest: core.artifacts.known[digest], self._chunks, self._feed
        )
        self.runtime = self._runtime_client()
        self.edge = Edge(
            core,
            self.stores,
            self.links,
            {
                WriteJournal: self._write_journal,
                Run: self.runtime.tell,
                Renew: self.runtime.deadlines.renew,
                BeginArtifact: self.artifacts.begin,
                FinishArtifact: self.artifacts.finish,
                RemoveArtifact: self.artifacts.remove,
                FetchChunks: self.artifacts.fetch,
            },
            lambda message: self._feed(Trouble("DataFolder", "state", message, "critical")),
        )
        self.journal = OwnJournal(
            self.identity.name,
            self.boot,
            self.keys.signer,
            self._save_own,
            self._feed,
            lambda message: self._feed(Trouble("DataFolder", "journal", message, "critical")),
        )
        self.housekeeping = Housekeeping(
            self.stores.journals,
            core.peer.logs,
            self.edge.in_thread,
            self._save_document,
            self.journal.write,
            self._feed,
            self.stores.blobs.is_short,
        )
        self.neighbourhood = Neighbourhood(
            self.identity,
            self.boot.counter,
            [*book.admitted_neighbours(self.folder.path), *self.config.peer.seeds],
            self.config.discovery,
            self.registers,
            self.links.know,
            self._save_document,
        )
        self.wan = WanKeeper(
            self.links,
            self._feed,
            self.masters(),
            core.wants_wan_link,
            core.peer.gateway,
            parse_duration(self.config.wan.retry_max) / 1000,
        )

    def _runtime_client(self) -> RuntimeClient:
        socket = runtime_socket(self.folder.path)
        socket.parent.mkdir(mode=0o700, exist_ok=True)
        return RuntimeClient(
            socket,
            runtime_command(self.config.path, self.folder.path),
            self.folder.path / "run" / "runtime.log",
            self.stores.blobs,
            self.config.sources,
            self._feed,
            self._pipeline_entry,
            self.welcome.for_runtime,
        )

    def _parts(self, core: NodeCore) -> NodeParts:
        assert self.edge is not None
        return NodeParts(
            core=core,
            links=self.links,
            wan=self.wan,
            artifacts=self.artifacts,
            journals=self.stores.journals,
            in_thread=self.edge.in_thread,
            restart=self._restart,
            cordon=OwnCordon(core, self.stores.documents, self.edge.in_thread, self._feed),
            changes=OwnChanges(core, self.stores.documents, self.edge.in_thread, self._feed),
            write=self.journal.write,
            mdns=lambda: self.neighbourhood.mdns,
            records=lambda: self.journal.records,
            started_ms=self.started_ms,
            masters=lambda: [f"{one.name}@{address}" for one, address in self.masters()],
        )

    async def _restart(self, workload: str) -> int:
        """An operator restarts a workload here: it is given another chance where it crashed."""
        self._feed(RestartAsked(workload))
        return await self.runtime.restart(workload)

    def _away_watch(self, core: NodeCore) -> AwayWatch:
        away, own = lambda: core.membership.away(now_ms()), lambda: core.inference_address
        return AwayWatch(away, own, self._feed)

    def _first_words(self) -> None:
        damaged = self.disk.damaged
        say_hello(self.journal, self._feed, self.identity.name, self.boot.counter, damaged)
        if damaged:
            self._mend_state()
        assert self.core is not None
        tell(self.core.facts.moved, self.identity.name, self._feed, self._save_document)

    def _mend_state(self) -> None:
        """Puts the state that its branches proved back on disk: its own document was damaged."""
        assert self.core is not None
        applied = self.core.peer.heads.state.applied
        if applied is not None:
            self._save_document("state-applied", applied.envelope)

    def _address(self, listening: str, told: str = "") -> str:
        return advertised(listening, self.config.peer.advertise, told)

    async def _moved(self, address: str) -> None:
        """Neighbours reach this node somewhere else from now on: all of them are told."""
        assert self.core is not None
        before = self.core.facts.peer_address
        self.journal.write("record", "node.moved", self.identity.name, "its address is another",
                           {"before": before, "address": address})  # fmt: skip
        self.core.listens(address)
        await self.neighbourhood.moved(address)

    def _save_document(self, name: str, data: bytes) -> bool:
        """Keeps what can be learnt again; False while the disk refuses, because it is not worth
        waiting for."""
        assert self.edge is not None
        if self.edge.disk.refuses:
            return False
        self.edge.carry([SaveDocument(name, data, "to remember")])
        return True

    async def _shut_down(self, tasks: list[asyncio.Task[Any]], cause: str) -> None:
        remove_ready(self.folder.path)
        await say_goodbye(self.journal, self._feed, self.identity.name, cause)
        await self.neighbourhood.stop()
        await self.ports.stop()
        assert self.edge is not None
        await self.edge.disk.settled()
        await end(tasks)

    # ---- what the parts call ----

    def _write_journal(self, i: WriteJournal) -> None:
        self.journal.write(i.kind, i.event, i.subject, i.cause, i.fields)

    def _pipeline_entry(self, item: JournalItem) -> None:
        kind = "record" if item.kind == "record" else "data"
        self.journal.write(
            kind, item.event, item.subject, item.cause, dict(item.fields), item.unix_ms
        )

    async def _save_own(self, batches: list[Batch]) -> None:
        def save() -> None:
            self.stores.journals.append(batches)
            self.stores.journals.flush({batch.key for batch in batches})

        assert self.edge is not None
        await self.edge.in_thread(save)

    async def _chunks(
        self, source: str, artifact: bytes, chunks: tuple[int, ...], wan: bool
    ) -> Any:
        if wan:
            identity, address = next(m for m in self.masters() if m[0].name == source)
            certificate = b""
        else:
            record = self.registers.get(source)
            if record is None:
                raise LookupError(f"{source} is not known")
            identity = Identity(self.keys.mesh, "node", source, self.identity.site)
            address, certificate = record.body.peer_address, record.body.certificate
        async for item in self.ports.fetch(identity, certificate, address, artifact, chunks):
            yield item

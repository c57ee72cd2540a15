"""`meshd master`: the authority's peer. One process on SQLite.

It signs the state, enrols nodes, takes the fleet's journals and acknowledges what is on its disk.
To a node it is a peer like any other, the one that can sign heads.
"""

import asyncio
import os
import secrets
import time
from typing import Any

import grpc
import structlog

from mesh.core.troubles import TROUBLES
from mesh.events import (
    Acknowledge,
    AcknowledgementsSigned,
    LinkDown,
    LinkUp,
    Notice,
    Received,
)
from mesh.exchange.heads_flow import HeadsFlow
from mesh.heads.state import State
from mesh.journals.logs import Logs
from mesh.peer import Peer, PeerConfig
from mesh.registers.store import NodeKeys as RegisterKeys
from node.agent.blob_sweep import BlobSweep
from node.agent.boxes import Boxes
from node.agent.config import Config
from node.agent.edge import Edge, now_ms, wall_ms
from node.agent.folder_files import remove_ready, write_ready
from node.agent.from_disk import FromDisk
from node.agent.links import Links
from node.agent.master_alarms import LOOK_S, MasterAlarms
from node.agent.master_backend import MasterBackend
from node.agent.master_parts import MasterParts
from node.agent.named_by_master import NamedByMaster
from node.agent.own_address import advertised
from node.agent.ports import Ports
from node.agent.stores import Stores
from node.agent.tasks import Background, end
from node.agent.welcome import register_keys
from node.disk.authority_keys import MasterKeys
from node.disk.blobs import BlobStore
from node.disk.boot import next_boot
from node.disk.errors import DiskError
from node.disk.folder import DataFolder
from node.disk.journals import JournalStore
from node.master.authority import Authority
from node.master.cursors import Cursors
from node.master.enrolment import EnrolmentServicer
from node.master.outages import LinkHistory
from node.master.store import SqliteStore, StoreRefused
from node.net.credentials import TlsMaterial
from node.net.identity import calling_operator
from node.net.policy import Policy
from node.net.server import Server
from protos.documents_pb2 import Branch
from protos.enrolment_pb2_grpc import add_EnrolmentServicer_to_server
from protos.peer_pb2 import Documents

JOURNAL_QUOTA_BYTES = 64 << 30
"""Of data entries, for the whole fleet; records are never dropped."""

RETRY_S = 2.0
"""Between two attempts at what a disk refused."""
FORGOTTEN = b"forgotten"
"""Stands for the digest of a head that is not the one of now, whatever its number."""

log = structlog.get_logger(__name__)


class MasterDaemon:
    """The parts of one master, wired."""

    def __init__(self, config: Config, folder: DataFolder, keys: MasterKeys) -> None:
        self.config = config
        self.folder = folder
        self.keys = keys
        self.name = keys.identity.name
        self.started_ms = wall_ms()
        self.stores = Stores(
            folder.documents,
            BlobStore(folder.folder("blobs")),
            JournalStore(folder.folder("journals"), JOURNAL_QUOTA_BYTES),
        )
        self.boot = next_boot(folder.documents, secrets.token_bytes(8))
        self.store = SqliteStore(folder.path / "master.sqlite", keys.mesh)
        self.authority = Authority(self.store, keys, wall_ms, calling_operator)
        self.cursors = Cursors(self.store, self.name, keys.acknowledge_signer)
        self.history = LinkHistory(self.store)
        self.heard_ms: dict[str, int] = {}
        blobs, journals = self.stores.blobs, self.stores.journals
        kept = FromDisk(self.stores, "").document(TROUBLES) or b""
        self.alarms = MasterAlarms(
            journals.reports,
            blobs.is_short,
            asyncio.to_thread,
            kept,
            lambda instructions: self.edge.carry(instructions),
        )
        self.ports = Ports(
            keys.identity,
            keys.tls,
            lambda: self.authority.trust.authorities,
            self._revoked,
            self.authority.delegated,
            self.authority.check_box,
        )
        self.boxes = Boxes(self.authority, self.announce, self.alarms.box)
        self.links = Links(self.name, self._feed, self._no_dial)
        self.enrolment = Server()
        self.peer = self._make_peer()
        self.edge = Edge(
            self.peer,
            self.stores,
            self.links,
            {Acknowledge: self._acknowledge, Notice: self._noticed},
            self.alarms.disk,
        )
        self.peer_address = ""
        self._announced = b""
        self._announcing = asyncio.Lock()
        self._background = Background()

    def _make_peer(self) -> Peer:
        heads = HeadsFlow(self.authority.trust, State(), (), {}, {})
        config = PeerConfig(
            name=self.name,
            role="master",
            site="",
            boot=self.boot,
            check_certificate=self._check_certificate,
            archive=True,
        )
        logs = Logs(self.stores.journals.tails(), archive=True)
        return Peer(config, heads, logs, None, now_ms())

    # ---- checks ----

    def _revoked(self, tls_key: bytes) -> str | None:
        record = self.authority.content.revocations.get(tls_key)
        return None if record is None else (record.reason or "no reason was given")

    def _check_certificate(self, der: bytes) -> RegisterKeys:
        return register_keys(self.ports.check.check(der))

    # ---- running ----

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set."""
        remove_ready(self.folder.path)
        await self.announce()
        backend = MasterBackend(self._parts())
        listening = await self.ports.serve(
            self.config.peer.listen, backend, self.links.accepted, self._read_chunk
        )
        peer_address = self.peer_address = advertised(listening, self.config.peer.advertise)
        enrolment = await self._serve_enrolment(peer_address)
        edge = asyncio.create_task(self.edge.run(), name="edge")
        works = (
            self._announce_again(),
            self.ports.tidy(),
            self.make_sweep().run(),
            self._look(),
            self.boxes.run(),
        )
        loops = [self._background.start(work) for work in works]
        signed = await asyncio.to_thread(self.cursors.all)
        self._feed(AcknowledgementsSigned(tuple(signed.values())))
        write_ready(
            self.folder.path,
            {
                "pid": os.getpid(),
                "peer_address": peer_address,
                "enrolment_address": enrolment,
                "started_unix_ms": self.started_ms,
            },
        )
        log.info("the master serves", peer=peer_address, enrolment=enrolment)
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, edge], return_when=asyncio.FIRST_COMPLETED)
            if edge.done():
                edge.result()
        finally:
            remove_ready(self.folder.path)
            await self.enrolment.stop(1.0)
            await self.ports.stop()
            await end([stopping, *loops])
            self.alarms.ends()
            await self.edge.disk.settled()
            await end([edge])
            self.store.close()

    async def _serve_enrolment(self, peer_address: str) -> str:
        """Opens the enrolment port. Nodes learn no address of this master but their own way to it:
        what they reach is what they dialled."""
        servicer = EnrolmentServicer(self.authority, changed=self.announce)

        def add(server: grpc.aio.Server) -> None:
            add_EnrolmentServicer_to_server(servicer, server)

        tls = self.keys.tls
        material = TlsMaterial(tls.key_pem, tls.certificate_pem, tls.authorities_pem)
        services = [("mesh.v1.Enrolment", add)]
        address = self.config.enrolment.listen
        return await self.enrolment.start(address, material, services, Policy.enrolment())

    def _parts(self) -> MasterParts:
        return MasterParts(
            name=self.name,
            authority=self.authority,
            peer=self.peer,
            links=self.links,
            blobs=self.stores.blobs,
            journals=self.stores.journals,
            history=self.history,
            alarms=self.alarms,
            heard_ms=self.heard_ms,
            changed=self.announce,
            started_ms=self.started_ms,
            address=lambda: self.peer_address,
        )

    async def announce(self) -> None:
        """Tells the peer of the state of now, if it is new: all peers hear of it at once."""
        async with self._announcing:
            envelope = self.authority.state()
            if envelope == self._announced:
                return
            # Of revoked nodes too: their history before that lies with their neighbours.
            for node, signing_key in self.authority.content.signing_keys():
                self.peer.writers.remember(node, signing_key)
            try:
                documents = await asyncio.to_thread(self._all_branches)
            except DiskError as error:
                log.error("a new state is not announced yet", error=str(error))
                return  # it is committed, and tried again every RETRY_S
            self.edge.carry(self.peer.install_state(envelope, documents))
            await self.ports.recheck()
            self._announced = envelope

    async def _announce_again(self) -> None:
        """Announces what could not be announced when it was new. Cancel to end."""
        while True:
            await asyncio.sleep(RETRY_S)
            await self.announce()

    async def _look(self) -> None:
        """Looks at the disk again and again. Cancel to end."""
        while True:
            await self.alarms.look()
            await asyncio.sleep(LOOK_S)

    def make_sweep(self) -> BlobSweep:
        """What removes branches that no state of now has. A state that is announced puts its
        branches, so it waits for a removal, and only for one."""
        named = NamedByMaster(self.authority)
        return BlobSweep(self.stores.blobs, named, asyncio.to_thread, self._announcing)

    def _all_branches(self) -> Documents:
        published = [self.authority.branch(name) for name in self.authority.branch_names()]
        found = [pair for pair in published if pair is not None]
        branches: list[Branch] = [branch for branch, _ in found]
        for _, blob in found:
            self.stores.blobs.put(blob)
        return Documents(branches=branches, blobs=[blob for _, blob in found])

    # ---- what the parts call ----

    def _feed(self, event: Any) -> None:
        match event:
            case LinkUp():
                self._background.start(self._note(event.contact.site, up=True))
            case Received():
                self.heard_ms[event.peer] = time.time_ns() // 1_000_000
            case LinkDown():
                self._lost(event.peer)
        self.edge.feed(event)

    def _lost(self, peer: str) -> None:
        link = self.peer.links.get(peer)
        if link is None:
            return
        site = link.contact.site
        others = [n for n, one in self.peer.links.items() if one.contact.site == site and n != peer]
        if not others:
            self._background.start(self._note(site, up=False))

    async def _note(self, site: str, up: bool) -> None:
        await self.edge.in_thread(self.history.note, site, up, wall_ms())

    def _acknowledge(self, i: Acknowledge) -> None:
        self._background.start(self._sign(i))

    def _noticed(self, i: Notice) -> None:
        forgotten = i.what == "equivocation" and i.subject == "state"
        if i.what == "state-ahead" or forgotten:
            # Restored from a backup, or built anew: what was signed since then is still out there.
            log.warning("peers know a state of this mesh that this master forgot", cause=i.cause)
            self._background.start(self._continue_above(self.peer.heads.state.floor[1]))
        elif i.what == "register":
            self.boxes.heard(i.data)
            self.alarms.conflicts.heard(i.data)
        elif i.what in ("refused", "clone", "fork", "equivocation"):
            log.warning(i.what, subject=i.subject, cause=i.cause)
            if i.what != "refused":
                self.alarms.noticed(i)

    async def _continue_above(self, counter: int) -> None:
        await asyncio.to_thread(self.authority.raise_above, counter, FORGOTTEN)
        await self.announce()

    async def _sign(self, i: Acknowledge) -> None:
        while True:
            try:
                signed = await self.edge.in_thread(self.cursors.acknowledge, dict(i.tails))
                break
            except StoreRefused as error:
                log.error("acknowledgements wait for the disk", error=str(error))
                await asyncio.sleep(RETRY_S)
        self.edge.feed(AcknowledgementsSigned(tuple(signed.values())))

    async def _read_chunk(self, artifact: bytes, chunk: int) -> bytes | None:
        return await asyncio.to_thread(self.stores.blobs.read_chunk, artifact, chunk)

    async def _no_dial(self, *_: Any) -> Any:
        raise AssertionError("a master dials nobody: sites open every connection")

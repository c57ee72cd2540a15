"""A node behind the Admin service: it shows what it knows, and restarts what runs on it.

What only the authority may say is refused here, with the way to where it can be said.
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psutil

from mesh.core.messages import CordonAsked
from mesh.core.node import NodeCore
from mesh.core.runtime_view import key_of
from mesh.registers.watched import Verdict
from node.admin.backend import BadInput, Cordoned, NotFound, NotHere, Restarted
from node.agent import site_documents as documents
from node.agent.alarm_documents import count_now, merged_alarms
from node.agent.artifacts import Artifacts
from node.agent.cordon import OwnCordon, cordon_document
from node.agent.edge import now_ms
from node.agent.event_log import events, own_outages
from node.agent.explain_documents import explanations
from node.agent.lease_documents import lease_of
from node.agent.links import Links
from node.agent.local_changes import OwnChanges, change_documents
from node.agent.looks import VERSION, Document, kinds_of, named, watch_by_looking
from node.agent.masters_alone import MastersAlone
from node.agent.own_site import own_site
from node.agent.rollout_documents import rollout_documents
from node.agent.site_snapshot import site_snapshot
from node.agent.wan import WanKeeper
from node.disk.journals import JournalStore
from node.net.identity import calling_operator
from protos.documents_pb2 import SiteSnapshot


@dataclass
class NodeParts:
    """What a node's backend looks at."""

    core: NodeCore
    links: Links
    wan: WanKeeper
    artifacts: Artifacts
    journals: JournalStore
    in_thread: Callable[..., Awaitable[Any]]
    restart: Callable[[str], Awaitable[int]]
    cordon: OwnCordon
    changes: OwnChanges
    write: Callable[[str, str, str, str, dict[str, str]], None]
    mdns: Callable[[], str]
    records: Callable[[], int]
    started_ms: int
    masters: Callable[[], list[str]]


class NodeBackend(MastersAlone):
    """The Backend of a node (node/admin/backend.py)."""

    def __init__(self, parts: NodeParts) -> None:
        self._p = parts
        self._kinds = kinds_of(self)

    # ---- reading ----

    async def get(self, kind: str, name: str, site: str, limit: int) -> list[Document]:
        """The documents of a kind; see node/admin/documents.py."""
        own = self._p.core.peer.config.site
        if site and site != own:
            raise NotFound(f"this node is of the site {own!r}; ask a master about {site!r}")
        if kind in ("events", "outages"):
            found = await self._events(name if kind == "events" else "", limit)
            return found if kind == "events" else own_outages(found, self._p.core.name)
        if kind == "tokens":
            raise NotHere("only a master has tokens; use a master's address")
        if kind not in self._kinds:
            raise BadInput(f"{kind!r} is no kind of document")
        return named(kind, self._kinds[kind](), name)[:limit]

    async def watch(
        self, kind: str, name: str, site: str, limit: int
    ) -> AsyncIterator[list[Document]]:
        """What `get` gives, then again on each change; of events the new ones alone."""
        async for batch in watch_by_looking(self.get, kind, name, site, limit):
            yield batch

    def status(self) -> Document:
        """The one document about this daemon."""
        p, core = self._p, self._p.core
        heads = core.peer.heads.state
        seen = heads.seen.counter if heads.seen else 0
        applied = heads.applied.counter if heads.applied else 0
        now = time.time_ns() // 1_000_000
        return {
            "role": "node",
            "node": core.name,
            "site": core.peer.config.site,
            "mesh": core.peer.heads.trust.mesh,
            "version": VERSION,
            "boot": core.peer.config.boot.counter,
            "started": p.started_ms,
            "uptime_s": round((now - p.started_ms) / 1000, 1),
            "pid": os.getpid(),
            "wan": {
                "up": core.wan,
                "since": p.wan.since_ms,
                "via_gateway": core.peer.gateway() or "",
                "why_not": "" if core.wan else p.wan.why_not,
            },
            "state": {
                "trust_generation": core.peer.heads.trust.generation,
                "seen": seen,
                "applied": applied,
                "synced": seen == applied and core.in_sync,
                "signed": heads.applied.signed_unix_ms if heads.applied else 0,
            },
            "peers": self._peers(),
            "replicas": self._own_replicas(),
            "pipelines": self._own_pipelines(),
            "asleep": core.share.asleep,
            "artifacts": self.artifacts(),
            "journal": {
                "records": p.records(),
                "unacknowledged": core.unacknowledged_records(),
                "copy_holder": core.register.copy_holder,
            },
            "alarms": count_now(self.alarms()),
            "wan_bytes": self._wan_bytes(),
            **cordon_document(core.register, core.cordon.draining),
            "mdns": p.mdns(),
            "memory": self._memory(),
        }

    def nodes(self) -> list[Document]:
        """The site's nodes as this one sees them."""
        core = self._p.core
        verdicts = {Verdict.ALIVE: "live", Verdict.SUSPECT: "suspect", Verdict.DEAD: "dead"}
        gateway, boxes = core.peer.gateway(), core.admissions.nodes
        return [
            documents.node_document(
                record,
                verdicts[core.membership.liveness.verdict(record.body.node)],
                record.body.node == gateway,
                core.revoked,
            )
            | cordon_document(record.body, core.cordon.held_back().get(record.body.node))
            | ({"admitted": boxes[record.body.node]} if record.body.node in boxes else {})
            for record in core.membership.registers.records()
        ]

    def sites(self) -> list[Document]:
        """This site."""
        alarms = count_now(self.alarms())
        return [own_site(self._p.core, self.nodes(), self._p.wan.since_ms, alarms)]

    def workloads(self) -> list[Document]:
        """Each replica and pipeline of the site; this node's own with their processes."""
        core = self._p.core
        live = set(core.membership.liveness.live())
        found = self._own_replicas() + self._own_pipelines()
        for record in core.membership.registers.records():
            if record.body.node != core.name and record.body.node in live:
                found += documents.workload_documents(record.body)
        found += documents.pending_documents(
            core.peer.config.site, {**core.placement.pending, **core.leases.pending}
        )
        found += documents.asleep_documents(core.peer.config.site, core.share.asleep)
        return sorted(found, key=lambda d: (d["workload"], d["node"], d.get("index", 0)))

    def rollouts(self) -> list[Document]:
        """How far each node is with the present plan; of this one also why."""
        core = self._p.core
        whys = {(s, core.name): turn.why for s, turn in core.share.rollouts.turns.items()}
        bodies = [r.body for r in core.membership.registers.records()]
        return rollout_documents(core.share.base, bodies, whys)

    def explanations(self) -> list[Document]:
        """What was decided of each workload, and why."""
        return explanations(self._p.core)

    def changes(self) -> list[Document]:
        """The local changes that this node goes by."""
        return change_documents(self._p.core.changes.held)

    def delegations(self) -> list[Document]:
        """Who may admit boxes at this site, and the numbers that are known here to be used."""
        core, site = self._p.core, self._p.core.peer.config.site
        used = core.admissions.used()
        return documents.delegation_documents(site, core.branch.delegations, used)

    def loads(self) -> list[Document]:
        """How busy each service is on each live node that serves it."""
        core = self._p.core
        records = core.membership.registers.records()
        live = set(core.membership.liveness.live())
        load_of = core.membership.registers.load
        return documents.load_documents([r.body for r in records if r.body.node in live], load_of)

    def artifacts(self) -> list[Document]:
        """Each artifact that the plan names or that lies on this disk, and why it does."""
        core, counts = self._p.core, self._p.artifacts
        live = set(core.membership.liveness.live())
        bodies = [r.body for r in core.membership.registers.records() if r.body.node in live]
        found = []
        for digest, artifact in sorted(core.artifacts.known.items()):
            complete = digest in core.artifacts.complete
            held = core.artifacts.held_chunks(digest)
            found.append(
                {
                    "artifact": digest.hex(),
                    "name": artifact.manifest.name,
                    "version": artifact.manifest.version,
                    "kind": artifact.manifest.kind,
                    "bytes": artifact.total_bytes,
                    "chunks": len(artifact.chunks),
                    "held": len(artifact.chunks) if complete else held,
                    "complete": complete,
                    "released": True,
                    "wan_bytes": counts.wan_bytes[digest],
                    "lan_bytes": counts.lan_bytes[digest],
                    "nodes": sum(digest in body.artifacts for body in bodies),
                    "why": core.collecting.why(digest, now_ms()),
                }
            )
        return found

    def alarms(self) -> list[Document]:
        """The site's alarms, each once; of nodes that are not reached, what they said last."""
        core = self._p.core
        live = set(core.membership.liveness.live())
        known = live | {entry.node for entry in core.branch.roster}
        bodies = (record.body for record in core.membership.registers.records())
        return merged_alarms((body for body in bodies if body.node in known), live)

    def resources(self, kind: str) -> list[Document]:
        """The resources of a kind, all for "", as they are applied and as they are."""
        core = self._p.core
        applied = core.peer.heads.state.applied
        bodies = [r.body for r in core.membership.registers.records()]
        counter, planned = applied.counter if applied else 0, core.in_force.planned
        found = documents.plan_documents(core.branch, planned, counter, bodies)
        return [
            d | (lease_of(core, d["name"], now_ms()) if d["kind"] == "Pipeline" else {})
            for d in found
            if not kind or d["kind"] == kind
        ]

    # ---- inside ----

    def _own_replicas(self) -> list[Document]:
        core = self._p.core
        statuses = (
            {}
            if core.runtime.gone
            else {
                (s.state.workload, s.state.index, s.state.config): s
                for s in core.runtime.state.replicas
            }
        )
        found = []
        for document in documents.workload_documents(core.register):
            key = (document["workload"], document["index"], document["config"])
            status = statuses.get(key)
            if document["kind"] != "service":
                continue
            if status is not None:
                document |= {
                    "phase": documents.phase_name(status.state.phase),
                    "pid": status.pid,
                    "started": status.started_unix_ms,
                    "restarts": status.restarts,
                }
            found.append(document)
        return found

    def _own_pipelines(self) -> list[Document]:
        core = self._p.core
        if core.runtime.gone:
            return []
        return [
            {
                "site": core.peer.config.site,
                "node": core.name,
                "workload": s.state.workload,
                "kind": "pipeline",
                "index": 0,
                "phase": documents.pipeline_phase(s.state.phase),
                "reason": s.state.reason,
                "config": s.state.config,
                "pid": s.pid,
                "started": s.started_unix_ms,
                "restarts": s.restarts,
            }
            for s in core.runtime.state.pipelines
        ]

    def _peers(self) -> list[Document]:
        now = time.monotonic()
        return [
            {
                "id": peer,
                "role": link.peer.identity.role,
                "site": link.peer.identity.site,
                "wan": wan,
                "since": int(time.time() * 1000 - (now - since) * 1000),
            }
            for peer, link, wan, since in self._p.links.open()
        ]

    def _wan_bytes(self) -> Document:
        chunks = sum(self._p.artifacts.wan_bytes.values())
        counted = self._p.links.wan_bytes()
        return {
            "sent": counted["sent"],
            "received": counted["received"] + chunks,
            "chunks_received": chunks,
        }

    def _memory(self) -> Document:
        memory = {"agent_bytes": psutil.Process().memory_info().rss}
        runtime = self._p.core.runtime
        if not runtime.gone and psutil.pid_exists(runtime.state.pid):
            memory["runtime_bytes"] = psutil.Process(runtime.state.pid).memory_info().rss
            memory["workers_bytes"] = sum(s.resident_bytes for s in runtime.state.replicas)
        return memory

    async def _events(self, name: str, limit: int) -> list[Document]:
        core = self._p.core
        sites = {r.body.node: r.body.site for r in core.membership.registers.records()}
        found: list[Document] = await self._p.in_thread(
            events, self._p.journals, sites, name, limit
        )
        return found

    # ---- writing ----

    async def restart(self, workload: str, site: str, reason: str) -> Restarted:
        """Restarts this node's replicas of a workload, one after the other."""
        core = self._p.core
        own = core.peer.config.site
        if site and site != own:
            raise NotFound(f"this node is of the site {own!r}")
        names = {key_of(s).workload for s in core.runtime.state.replicas}
        names |= {s.state.workload for s in core.runtime.state.pipelines}
        names |= {name for name, _ in core.quarantine.subjects}
        if workload not in names:
            raise NotFound(
                f"no replica of {workload!r} runs on {core.name}; see `meshctl get workloads`"
            )
        why, by = reason or "asked by an operator", {"operator": calling_operator()}
        self._p.write("record", "workload.restart", workload, why, by)
        return Restarted(await self._p.restart(workload), 0)

    async def cordon(self, node: str, cordoned: bool, draining: bool, reason: str) -> Cordoned:
        """Holds this node back, or not any more: kept on its disk, and told to its neighbours."""
        asked = CordonAsked(cordoned, draining, reason, calling_operator())
        return await self._p.cordon.ask(node, asked)

    async def snapshot(self, site: str) -> SiteSnapshot:
        """What a box of this site begins with."""
        return site_snapshot(self._p.core, site, self._p.masters())

    async def draft_change(
        self, workload: str, field: str, value: str, valid_s: int, reason: str
    ) -> bytes:
        """What an operator is to sign."""
        return self._p.changes.draft(workload, field, value, valid_s, reason)

    async def change(self, envelope: bytes) -> bytes:
        """Takes a local change: kept on this node's disk, and told to its neighbours."""
        return await self._p.changes.change(envelope)

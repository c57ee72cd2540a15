"""A master behind the Admin service: the fleet as it is told and reports, and every change."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from mesh.blobs.manifest import Artifact
from mesh.core.site_plan import site_plan
from mesh.desired.problems import ResourcesRefused
from mesh.heads.branches import site_branch_name
from mesh.journals.keys import RECORD
from mesh.registers.store import Record
from mesh.site.changes import Change as LocalChange
from node.admin.backend import (
    Applied,
    BadInput,
    Change,
    Cordoned,
    NewToken,
    NotFound,
    NotHere,
    Pushed,
    Restarted,
    Revoked,
    Steered,
)
from node.agent import resource_documents as resources
from node.agent import site_documents as documents
from node.agent.alarm_documents import count_now
from node.agent.cordon import begun, check_at_master
from node.agent.event_log import events
from node.agent.fleet_alarms import Fleet, fleet_alarms
from node.agent.fleet_documents import fleet_documents, fleet_workloads, undead
from node.agent.local_changes import change_documents, reported_changes, scaled
from node.agent.looks import VERSION, Document, kinds_of, named, watch_by_looking
from node.agent.master_delegations import MasterDelegations
from node.agent.master_parts import MasterParts
from node.agent.rollout_documents import rollout_documents
from node.agent.site_events import site_event
from node.master import steering
from node.master.outages import build_outages
from node.master.steering import Steering
from protos.documents_pb2 import Plan, SiteBranch

OUTAGE_EVENTS_READ = 20_000


class MasterBackend(MasterDelegations):
    """The Backend of a master (node/admin/backend.py)."""

    def __init__(self, parts: MasterParts) -> None:
        super().__init__(parts)
        self._pushed: dict[bytes, Artifact] = {}
        self._kinds = {**kinds_of(self), "tokens": self.tokens}

    # ---- reading ----

    async def get(self, kind: str, name: str, site: str, limit: int) -> list[Document]:
        """The documents of a kind; see node/admin/documents.py."""
        if kind == "events":
            found = await asyncio.to_thread(self._events, name, limit)
        elif kind == "outages":
            found = await asyncio.to_thread(self._outages, site)
            return found[-limit:]
        elif kind in self._kinds:
            found = named(kind, self._kinds[kind](), name)
        else:
            raise BadInput(f"{kind!r} is no kind of document")
        if site:
            found = [d for d in found if d.get("site") == site or site in d.get("sites", ())]
        return found[-limit:] if kind == "events" else found[:limit]

    async def watch(
        self, kind: str, name: str, site: str, limit: int
    ) -> AsyncIterator[list[Document]]:
        """What `get` gives, then again on each change; of events the new ones alone."""
        async for batch in watch_by_looking(self.get, kind, name, site, limit):
            yield batch

    def status(self) -> Document:
        """The one document about this daemon."""
        p = self._p
        now = time.time_ns() // 1_000_000
        counter = p.authority.counter
        links = p.links.open()
        return {
            "role": "master",
            "node": p.name,
            "site": "",
            "mesh": p.authority.trust.mesh,
            "version": VERSION,
            "started": p.started_ms,
            "uptime_s": round((now - p.started_ms) / 1000, 1),
            "pid": os.getpid(),
            "wan": {"up": True, "since": p.started_ms, "via_gateway": ""},
            "state": {
                "trust_generation": p.authority.trust.generation,
                "seen": counter,
                "applied": counter,
                "synced": True,
                "signed": p.authority.signed_unix_ms,
            },
            "peers": [
                {"id": peer, "role": "node", "site": link.peer.identity.site, "wan": wan}
                for peer, link, wan, _ in links
            ],
            "artifacts": self.artifacts(),
            "alarms": count_now(self.alarms()),
            "wan_bytes": {**p.links.wan_bytes()},
        }

    def _records(self) -> list[Record]:
        peer = self._p.peer
        return [r for site in peer.sites() for r in peer.registers_of(site).records()]

    def nodes(self) -> list[Document]:
        """Every enrolled node, with what it last said of itself."""
        enrolled = self._p.authority.content.nodes
        return fleet_documents(enrolled, self._records(), self._linked(), self._p.heard_ms)

    def _live(self) -> frozenset[str]:
        """The nodes that are known to live."""
        return frozenset(node["node"] for node in self.nodes() if node["live"] == "live")

    def _linked(self) -> dict[str, str]:
        """The nodes that have a link to this master, and their sites."""
        return {peer: link.peer.identity.site for peer, link, _, _ in self._p.links.open()}

    def sites(self) -> list[Document]:
        """Each site that has a node or is named."""
        content, linked = self._p.authority.content, set(self._linked().values())
        gateways = {link.peer.identity.site: peer for peer, link, _, _ in self._p.links.open()}
        nodes, alarms = self.nodes(), self.alarms()
        found = []
        for site in sorted(content.known_sites()):
            members = [d for d in nodes if d["site"] == site and not d.get("revoked")]
            live = [d for d in members if d["live"] == "live"]
            document = {
                "site": site,
                "nodes": len(members),
                "live": len(live),
                "wan": "up" if site in linked else "down",
                "gateway": gateways.get(site, ""),
                "out_of_sync": documents.behind(live, self._p.authority.counter),
                "alarms": count_now(a for a in alarms if a["site"] == site),
            }
            if live:
                document["applied"] = min(d.get("applied", 0) for d in live)
                document["seen"] = max(d.get("seen", 0) for d in live)
            found.append(document)
        return found

    def workloads(self) -> list[Document]:
        """Each replica and pipeline that nodes report."""
        return fleet_workloads(self._records(), self._live())

    def rollouts(self) -> list[Document]:
        """How far each node was with its site's plan when it was heard of last."""
        found, peer = [], self._p.peer
        for site in sorted(self._p.authority.content.known_sites()):
            registers = peer.registers_of(site)
            bodies = [record.body for record in registers.records()]
            plan = site_plan(self._plan(site), self._changes_at(site), registers)
            found += rollout_documents(plan, bodies, {})
        return found

    def _plan(self, site: str) -> Plan:
        """What this master's state plans for a site."""
        _, blob = self._p.authority.branch(site_branch_name(site)) or (None, b"")
        return SiteBranch.FromString(blob).plan

    def _changes_at(self, site: str) -> list[LocalChange]:
        """The local changes that count at a site, as its nodes that may live said last."""
        peer, counter = self._p.peer, self._p.authority.counter
        bodies = undead(peer.registers_of(site).records(), self._linked())
        now = time.time_ns() // 1_000_000
        return reported_changes(bodies, peer.heads.trust, self._plan(site), counter, now)

    def explanations(self) -> list[Document]:
        """Raises NotHere: sites decide, so their nodes can say why."""
        address = next((r.body.peer_address for r in self._records()), "HOST:7400")
        raise NotHere(
            "a master decides none of this: ask a node of the site, for instance "
            f"`meshctl explain WORKLOAD --address {address}`"
        )

    def loads(self) -> list[Document]:
        """How busy each service was on each node when it was heard of last."""
        peer = self._p.peer
        return [
            document
            for site in peer.sites()
            for document in documents.load_documents(
                [r.body for r in peer.registers_of(site).records()], peer.registers_of(site).load
            )
        ]

    def changes(self) -> list[Document]:
        """The local changes that count at the sites, as they were heard of last."""
        sites = self._p.authority.content.known_sites()
        return change_documents(one for site in sites for one in self._changes_at(site))

    def artifacts(self) -> list[Document]:
        """What was released."""
        held = [digest for r in self._records() for digest in r.body.artifacts]
        whole = set(self._p.blobs.held())
        return resources.release_documents(self._p.authority.content, whole, held)

    def alarms(self) -> list[Document]:
        """The fleet's alarms, the master's own first."""
        p = self._p
        bodies = [record.body for record in self._records()]
        fleet = Fleet(p.name, self._live(), bodies, p.authority.counter, p.authority.signed_unix_ms)
        own, links = p.alarms.alarms.states(), p.history.changes()
        return fleet_alarms(fleet, p.authority.alarms(), own, links, time.time_ns() // 1_000_000)

    def tokens(self) -> list[Document]:
        """The join tokens that can still be used."""
        return [
            {"id": t.id, "site": t.site, "expires": t.expires_unix_ms, "used_by": t.used_by}
            for t in self._p.authority.tokens()
        ]

    def resources(self, kind: str) -> list[Document]:
        """The resources of a kind, all for "", as they are applied and as they are."""
        bodies = [record.body for record in self._records()]
        content, live = self._p.authority.content, self._live()
        changes = (one for site in content.known_sites() for one in self._changes_at(site))
        return resources.resource_documents(content, bodies, live, scaled(changes), kind)

    def _site_of_node(self) -> dict[str, str]:
        return {name: one.site for name, one in self._p.authority.content.nodes.items()}

    def _events(self, name: str, limit: int) -> list[Document]:
        found = events(self._p.journals, self._site_of_node(), name, limit)
        if name in ("", self._p.name):
            told = self._p.authority.events()
            found += resources.told_documents(told, self._p.name)
        return sorted(found, key=lambda one: one["time"])[-limit:]

    def _outages(self, site: str) -> list[Document]:
        sites = self._site_of_node()
        found = events(self._p.journals, sites, "", OUTAGE_EVENTS_READ, kinds=(RECORD,))
        records = [site_event(event) for event in found]
        outages = build_outages(records, self._p.history.changes(), site)
        return [outage.document() for outage in outages]

    # ---- writing ----

    async def apply(self, yaml: bytes, source: str, dry_run: bool) -> Applied:
        """All of the documents or none."""

        def apply() -> Any:
            try:
                return self._p.authority.apply(yaml, dry_run)
            except ResourcesRefused as refused:
                lines = [problem.text(source) for problem in refused.problems]
                raise BadInput("\n".join([*lines, "nothing was applied"])) from None

        applied = await self._change(apply)
        warnings = [problem.text(source) for problem in applied.warnings]
        return replace(_applied(applied), warnings=warnings)

    async def delete(self, kind: str, name: str) -> Applied:
        """Deletes one resource."""
        return _applied(await self._change(self._p.authority.delete, kind, name))

    async def create_token(self, site: str, valid_s: int) -> NewToken:
        """A join token for one machine of the site."""
        made = await self._change(self._p.authority.create_token, site, valid_s)
        return NewToken(made.text, made.expires_unix_ms)

    async def push_manifest(self, manifest: bytes) -> Pushed:
        """Takes a signed manifest, and says which chunks are missing."""
        artifact = await self._change(self._p.authority.check_artifact, manifest)
        held = await self._change(self._p.blobs.begin, artifact)
        self._pushed[artifact.digest] = artifact
        return Pushed(artifact.digest, [c.index for c in artifact.chunks if c.index not in held])

    async def push_chunk(self, artifact: bytes, chunk: int, data: bytes) -> None:
        """Checks the chunk and keeps it."""
        await self._change(self._p.blobs.write_chunk, artifact, chunk, data)

    async def missing(self, artifact: bytes) -> Sequence[int]:
        """The chunks that are not here yet."""
        pushed = self._of(artifact)
        held = await self._change(self._p.blobs.begin, pushed)
        return [c.index for c in pushed.chunks if c.index not in held]

    async def release(self, artifact: bytes) -> int:
        """Publishes a whole artifact under its name and version."""
        pushed = self._of(artifact)
        await self._change(self._p.blobs.finish, artifact)
        await self._change(self._p.blobs.put, pushed.envelope)
        counter: int = await self._change(self._p.authority.release, pushed.envelope)
        self._pushed.pop(artifact, None)
        return counter

    async def revoke(self, node: str, reason: str) -> Revoked:
        """Takes a node's keys out of the mesh."""
        done = await self._change(self._p.authority.revoke, node, reason)
        return Revoked(done.counter, done.already)

    async def restart(self, workload: str, site: str, reason: str) -> Restarted:
        """Raises the plan's counter, so that the sites restart the workload."""
        authority = self._p.authority
        return Restarted(0, await self._change(authority.restart, workload, site, reason))

    async def rollout(self, service: str, site: str, action: str, reason: str) -> Steered:
        """Holds a service's rollout, lets it go on, or goes back to the version before."""
        actions: dict[str, Callable[[Steering], steering.Steered]] = {
            "undo": lambda s: s.undo(service, reason, self._is_held),
            "pause": lambda s: s.pause(service, site, reason),
            "resume": lambda s: s.resume(service, site, reason),
        }
        return await self._steer(actions[action])

    async def pin(self, service: str, site: str, version: str, reason: str) -> Steered:
        """Keeps a version of a service in a site, or lets it follow the resource again."""
        if not version:
            return await self._steer(lambda s: s.unpin(service, site, reason))
        return await self._steer(lambda s: s.pin(service, site, version, reason, self._is_held))

    async def _steer(self, change: Callable[[Steering], steering.Steered]) -> Steered:
        done = await self._change(self._p.authority.steer, change)
        return Steered(done.sites, done.counter, done.version)

    def _is_held(self, artifact: bytes) -> bool:
        return artifact in self._p.blobs.held()

    async def cordon(self, node: str, cordoned: bool, draining: bool, reason: str) -> Cordoned:
        """Holds a node back, or not any more: the next state of its site says so."""
        body = next((r.body for r in self._records() if r.body.node == node), None)
        check_at_master(self._p.authority.content.nodes.get(node), body, cordoned or draining)
        asked = (node, cordoned, draining, reason)
        return Cordoned(begun(body), await self._change(self._p.authority.cordon, *asked))

    def _of(self, artifact: bytes) -> Artifact:
        if artifact not in self._pushed:
            raise NotFound("no manifest of this artifact was pushed here; push it again")
        return self._pushed[artifact]

    async def draft_change(
        self, workload: str, field: str, value: str, valid_s: int, reason: str
    ) -> bytes:
        """Raises NotHere: a master changes the plan itself."""
        raise NotHere(
            "local changes are made at a node of the site: --address NODE:7400; "
            "at a master, apply the resource"
        )

    async def change(self, envelope: bytes) -> bytes:
        """Raises NotHere: a master changes the plan itself."""
        raise NotHere("local changes are made at a node of the site: --address NODE:7400")


def _applied(applied: Any) -> Applied:
    changes = [Change(c.kind, c.name, c.change) for c in applied.changes]
    return Applied(changes, applied.counter)

"""The nodes of the fleet as documents for people: what was enrolled, and what is known of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mesh.heads.revocations import Revoked
from mesh.registers.store import Record
from node.agent.alarm_documents import LAST_KNOWN, NOW
from node.agent.cordon import cordon_document
from node.agent.site_documents import node_document, workload_documents
from node.master.records import NodeRecord
from protos.documents_pb2 import StableRegister

Document = dict[str, Any]


def fleet_documents(
    enrolled: Mapping[str, NodeRecord],
    records: Sequence[Record],
    linked: Mapping[str, str],
    heard_ms: Mapping[str, int],
) -> list[Document]:
    """Every enrolled node, with what it last said of itself. `linked`: the nodes with a link to
    this master, and their sites; `heard_ms`: when each was heard of last (ms since 1970)."""
    known = {record.body.node: record for record in records}
    sites, offline = set(linked.values()), _offline(records)
    found = []
    for name, node in sorted(enrolled.items()):
        record = known.get(name)
        document: Document = {"node": name, "site": node.site, "live": "unknown"}
        if record is not None:
            live = _live(record.body, offline, sites)
            heard = heard_ms.get(name, 0)
            document = node_document(record, live, name in linked, Revoked(), heard)
            if live == "unknown":
                del document["wan"]  # it has none, whatever it said last
        if node.admitted:
            document["admitted"] = node.admitted
        if node.revoked:
            document |= {"live": "revoked", "revoked": node.revoked}
        said = node.draining if node.cordoned else None
        found.append(document | cordon_document(record.body if record else None, said))
    return found


def fleet_workloads(records: Sequence[Record], live: Collection[str]) -> list[Document]:
    """Each replica and pipeline as its node said last, and whether that node is heard of: `live`
    are."""
    found = []
    for record in records:
        heard = NOW if record.body.node in live else LAST_KNOWN
        found += [one | {"heard": heard} for one in workload_documents(record.body)]
    return sorted(found, key=lambda d: (d["workload"], d["site"], d["node"], d["index"]))


def undead(records: Sequence[Record], linked: Mapping[str, str]) -> list[StableRegister]:
    """The registers of the nodes that may live, as far as this master can tell: one with a link to
    it does, whatever those say who are cut off from it."""
    offline, sites = _offline(records), set(linked.values())
    bodies = [record.body for record in records]
    return [b for b in bodies if b.node in linked or _live(b, offline, sites) != "dead"]


def _offline(records: Sequence[Record]) -> set[tuple[str, str]]:
    """Site and node of those whom a neighbour says to be offline."""
    return {
        (record.body.site, alarm.subject)
        for record in records
        for alarm in record.body.alarms
        if alarm.kind == "Offline" and alarm.subject != record.body.node
    }


def _live(
    body: StableRegister, offline: Collection[tuple[str, str]], sites: Collection[str]
) -> str:
    """A node of a linked site is what its neighbours say; of another, nothing is known."""
    if body.site not in sites:
        return "unknown"
    return "dead" if (body.site, body.node) in offline else "live"

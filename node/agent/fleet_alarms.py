"""The fleet's alarms at a master: its own, those of sites that it does not reach and of nodes that
do not follow, and what the nodes say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh.core.lag import OUT_OF_SYNC_MS
from node.agent.alarm_documents import NOW, Document, merged_alarms
from node.agent.site_documents import in_force
from node.master.outages import LinkChange
from node.master.records import AlarmRecord
from protos.documents_pb2 import AlarmState, StableRegister

UNREACHED = (
    "no node of this site reaches this master: the site goes on by itself; see to its WAN. What "
    "its nodes said last is shown"
)


@dataclass(frozen=True)
class Fleet:
    """What a master knows: `live` are the nodes of linked sites, `counter` and `signed_ms` of the
    state of now."""

    master: str
    live: frozenset[str]
    bodies: Sequence[StableRegister]
    counter: int
    signed_ms: int


def fleet_alarms(
    fleet: Fleet,
    admission: Iterable[AlarmRecord],
    own: Iterable[AlarmState],
    links: Iterable[LinkChange],
    unix_ms: int,
) -> list[Document]:
    """All of them, the master's own first. What the master knows itself is not shown again as the
    word of a node."""
    told = [_document(fleet, one.site, one) for one in admission]
    told += [_document(fleet, "", one) for one in own]
    told += [*unreached(fleet, links), *lagging(fleet, unix_ms)]
    known = {_key(one) for one in told}
    said = merged_alarms(fleet.bodies, fleet.live)
    return told + [one for one in said if _key(one) not in known]


def unreached(fleet: Fleet, links: Iterable[LinkChange]) -> list[Document]:
    """The sites that had a link with this master and have none now."""
    last = {change.site: change for change in links}
    return [
        _document(
            fleet,
            site,
            AlarmState(
                kind="Outage",
                subject=site,
                severity="warning",
                since_unix_ms=change.unix_ms,
                message=UNREACHED,
            ),
        )
        for site, change in sorted(last.items())
        if not change.up
    ]


def lagging(fleet: Fleet, unix_ms: int) -> list[Document]:
    """The nodes in which the state of now does not come into force."""
    if unix_ms - fleet.signed_ms < OUT_OF_SYNC_MS:
        return []
    return [
        _document(
            fleet,
            body.site,
            AlarmState(
                kind="OutOfSync",
                subject=body.node,
                severity="warning",
                since_unix_ms=fleet.signed_ms + OUT_OF_SYNC_MS,
                message=f"state {in_force(body)} is in force there, not {fleet.counter}: see "
                "its own alarms (TooNew, RefusedState), and `meshctl events` for what was refused",
            ),
        )
        for body in fleet.bodies
        if body.node in fleet.live and in_force(body) < fleet.counter
    ]


def _document(fleet: Fleet, site: str, alarm: AlarmState | AlarmRecord) -> Document:
    """An alarm of the master's own."""
    return {
        "site": site,
        "node": fleet.master,
        "kind": alarm.kind,
        "subject": alarm.subject,
        "severity": alarm.severity,
        "since": alarm.since_unix_ms,
        "count": alarm.count if isinstance(alarm, AlarmState) and alarm.count else 1,
        "heard": NOW,
        "message": alarm.message,
    }


def _key(document: Document) -> tuple[str, str, str]:
    return document["site"], document["kind"], document["subject"]

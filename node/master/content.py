"""All that the state is compiled from, as the store holds it: one value that never changes.

An operation makes another `Content` from the one of now, has it compiled, commits the difference
and only then puts it in place. So what is in memory is always what is on disk.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

from mesh.desired.collection import Key, Release, Resources, key_of
from mesh.desired.compile import Inputs
from mesh.desired.history import History, Version
from mesh.desired.holds import Holds, SiteService
from mesh.desired.parse import from_json, to_json
from mesh.desired.resources import Pipeline, Resource, Service
from mesh.heads.certificates import read_certificate
from mesh.heads.identity import Identity
from mesh.heads.limits import NUMBER_MAX
from node.master.records import (
    DelegationRecord,
    HoldRecord,
    NodeRecord,
    ReleaseRecord,
    RevocationRecord,
)
from node.master.store import Store, StoreRefused, Write
from protos.documents_pb2 import (
    Delegation,
    DelegationUse,
    FormerEntry,
    Revocation,
    RosterEntry,
)

RESOURCES = "resource"
GENERATIONS = "generation"
NODES = "node"
RELEASES = "release"
RESTARTS = "restart"
REVOCATIONS = "revocation"
PAUSES = "pause"
PINS = "pin"
VERSIONS = "version"
DELEGATIONS = "delegation"
CONTINUED = "continued"
"""The names of the store's tables."""
COUNTER = "counter"
"""The one name in CONTINUED."""


@dataclass(frozen=True)  # without slots, which have no room for what is made once
class Content:
    """What the authority has been told. `generations`: the state counter of each one's change;
    `versions`: of each service, what it was told to run; `continued`: the counter with which the
    states of this store went on last above states that it did not hold, 0: never."""

    resources: Resources = field(default_factory=Resources)
    generations: Mapping[Key, int] = field(default_factory=dict)
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    releases: Mapping[tuple[str, str], ReleaseRecord] = field(default_factory=dict)
    restarts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    revocations: Mapping[bytes, RevocationRecord] = field(default_factory=dict)
    pauses: Mapping[SiteService, HoldRecord] = field(default_factory=dict)
    pins: Mapping[SiteService, HoldRecord] = field(default_factory=dict)
    versions: Mapping[str, History] = field(default_factory=dict)
    delegations: Mapping[str, DelegationRecord] = field(default_factory=dict)
    continued: int = 0

    def inputs(self) -> Inputs:
        """The same as the compiler takes it."""
        revocations = [
            Revocation(
                subject=one.subject, tls_key=one.tls_key, reason=one.reason, unix_ms=one.unix_ms
            )
            for one in self.revocations.values()
        ]
        return Inputs(
            self.resources,
            self.released(),
            self.rosters(),
            self.restarts,
            revocations,
            self.holds(),
            self.delegations_by_site(),
            self.former(),
            self.continued,
        )

    def holds(self) -> Holds:
        """What operators hold."""
        pinned = {key: one.model for key, one in self.pins.items()}
        return Holds(frozenset(self.pauses), pinned)

    def released(self) -> dict[tuple[str, str], Release]:
        """The artifacts that resources may name."""
        return {
            key: Release(one.digest, one.kind, one.memory_bytes)
            for key, one in self.releases.items()
        }

    def rosters(self) -> dict[str, list[RosterEntry]]:
        """The nodes of each site that are not revoked. A site whose last is revoked stays."""
        rosters: dict[str, list[RosterEntry]] = {}
        for record in self.nodes.values():
            roster = rosters.setdefault(record.site, [])
            if not record.revoked:
                entry = RosterEntry(
                    node=record.node,
                    signing_key=record.signing_key,
                    tls_key=record.tls_key,
                    cordoned=record.cordoned,
                    draining=record.draining,
                    since=record.since,
                )
                roster.append(entry)
        return rosters

    def former(self) -> dict[str, list[FormerEntry]]:
        """The nodes that were in each site's roster, where it is known until when."""
        former: dict[str, list[FormerEntry]] = {}
        for one in self.revocations.values():
            if one.since < one.until:
                who = Identity.from_uri(one.subject)
                entry = FormerEntry(
                    node=who.name, tls_key=one.tls_key, since=one.since, until=one.until
                )
                former.setdefault(who.site, []).append(entry)
        return former

    def delegations_by_site(self) -> Mapping[str, Sequence[Delegation]]:
        """Those that stand: also ended ones, for as long as a box of theirs is enrolled."""
        return self._standing

    @cached_property
    def _standing(self) -> Mapping[str, Sequence[Delegation]]:
        """Made once: it is asked for at each call and register, and a thousand may stand."""
        needed = {one.delegation for one in self.nodes.values() if not one.revoked}
        found: dict[str, list[Delegation]] = {}
        for record in self.delegations.values():
            if not record.ended or record.id in needed:
                found.setdefault(record.site, []).append(_delegation(record))
        return found

    def signing_keys(self) -> list[tuple[str, bytes]]:
        """Each node's ID and signing key, before it those of machines that had the ID earlier."""
        revoked = sorted(self.revocations.values(), key=lambda one: one.unix_ms)
        return [
            *((Identity.from_uri(one.subject).name, one.signing_key) for one in revoked),
            *((record.node, record.signing_key) for record in self.nodes.values()),
        ]

    def known_sites(self) -> set[str]:
        """Every site that has a node, or that a resource names."""
        return {record.site for record in self.nodes.values()} | self.resources.named_sites()

    def sites_of(self, resource: Service | Pipeline) -> list[str]:
        """The known sites that a service or pipeline is for, sorted."""
        known = sorted(self.known_sites())
        return [one for one in known if self.resources.selects(resource.spec.sites, one)]


def load_content(store: Store) -> Content:
    """What the store holds. Of a service whose versions nobody noted, the one of now is known; of a
    delegation that does not say whose places its boxes took, what their certificates say. Raises
    StoreRefused."""
    releases = [ReleaseRecord.decode(data) for _, data in store.scan(RELEASES)]
    revocations = [RevocationRecord.decode(data) for _, data in store.scan(REVOCATIONS)]
    resources = Resources.of(from_json(data) for _, data in store.scan(RESOURCES))
    generations = {_pair(name): count for name, count in _numbers(store, GENERATIONS)}
    noted = {name: _history(data) for name, data in store.scan(VERSIONS)}
    nodes = {name: NodeRecord.decode(data) for name, data in store.scan(NODES)}
    delegations = [DelegationRecord.decode(data) for _, data in store.scan(DELEGATIONS)]
    places = _places_taken(nodes.values())
    return Content(
        resources=resources,
        generations=generations,
        nodes=nodes,
        releases={(one.name, one.version): one for one in releases},
        restarts={_pair(name): count for name, count in _numbers(store, RESTARTS)},
        revocations={one.tls_key: one for one in revocations},
        pauses=_holds(store, PAUSES),
        pins=_holds(store, PINS),
        versions={**_present_versions(resources, generations), **noted},
        delegations={
            one.id: replace(one, replaced={**places.get(one.id, {}), **one.replaced})
            for one in delegations
        },
        continued=dict(_numbers(store, CONTINUED)).get(COUNTER, 0),
    )


def _numbers(store: Store, table: str) -> Iterator[tuple[str, int]]:
    """The names of a table and their numbers. One that is damaged is not taken as 0: who goes by
    too little counts knowledge of another history, and an exclusive pipeline may run twice."""
    for name, data in store.scan(table):
        if not (data.isdigit() and len(data) <= len(str(NUMBER_MAX)) and int(data) <= NUMBER_MAX):
            raise StoreRefused(
                f"the number {table}/{name} in the master's store (master.sqlite) is damaged "
                f"({data[:24]!r}); nothing was changed; restore the store from a backup"
            )
        yield name, int(data)


def _places_taken(nodes: Iterable[NodeRecord]) -> dict[str, dict[str, str]]:
    """By delegation, whose places its boxes took that are nodes, as its record says it, unless it
    was written before records said so."""
    found: dict[str, dict[str, str]] = {}
    for node in nodes:
        replaces = read_certificate(node.certificate).replaces if node.delegation else b""
        if replaces:
            found.setdefault(node.delegation, {})[replaces.hex()] = node.node
    return found


def _delegation(record: DelegationRecord) -> Delegation:
    uses = sorted((int(number), bytes.fromhex(key)) for number, key in record.uses.items())
    return Delegation(
        id=record.id,
        count=record.count,
        until_unix_ms=record.until_unix_ms,
        authority=record.authority,
        operator=record.operator,
        ended=bool(record.ended),
        uses=[DelegationUse(number=number, tls_key=key) for number, key in uses],
    )


def _present_versions(resources: Resources, generations: Mapping[Key, int]) -> dict[str, History]:
    found: dict[str, History] = {}
    for one in resources.services():
        counter = generations.get(key_of(one), 0)
        found[one.metadata.name] = (Version(one.spec.model, counter),)
    return found


def _holds(store: Store, table: str) -> dict[SiteService, HoldRecord]:
    records = [HoldRecord.decode(data) for _, data in store.scan(table)]
    return {(one.site, one.service): one for one in records}


def _history(data: bytes) -> History:
    known = Version.__dataclass_fields__
    return tuple(
        Version(**{key: value for key, value in one.items() if key in known})
        for one in json.loads(data)
    )


def put_resource(resource: Resource, generation: int) -> list[Write]:
    """Keeps a resource and the counter of the state that has it first."""
    name = "/".join(key_of(resource))
    return [
        Write(RESOURCES, name, to_json(resource)),
        Write(GENERATIONS, name, b"%d" % generation),
    ]


def delete_resource(key: Key) -> list[Write]:
    """Forgets a resource."""
    name = "/".join(key)
    return [Write(RESOURCES, name, None), Write(GENERATIONS, name, None)]


def forget_service(content: Content, name: str) -> tuple[Content, list[Write]]:
    """Without what is kept of a service beside its resource: a service that is created again under
    its name is another one."""
    after = replace(
        content,
        pauses={key: one for key, one in content.pauses.items() if key[1] != name},
        pins={key: one for key, one in content.pins.items() if key[1] != name},
        versions={one: history for one, history in content.versions.items() if one != name},
    )
    writes = [
        *delete_holds(PAUSES, (key for key in content.pauses if key[1] == name)),
        *delete_holds(PINS, (key for key in content.pins if key[1] == name)),
        Write(VERSIONS, name, None),
    ]
    return after, writes


def put_holds(table: str, records: Iterable[HoldRecord]) -> list[Write]:
    """Keeps what operators hold; `table` is PAUSES or PINS."""
    return [Write(table, f"{one.site}/{one.service}", one.encode()) for one in records]


def delete_holds(table: str, keys: Iterable[SiteService]) -> list[Write]:
    """Forgets what operators held."""
    return [Write(table, "/".join(key), None) for key in keys]


def put_versions(service: str, history: History) -> Write:
    """Keeps the versions of a service."""
    entries = [asdict(one) for one in history]
    return Write(VERSIONS, service, json.dumps(entries, sort_keys=True).encode())


def put_restarts(restarts: Mapping[tuple[str, str], int]) -> list[Write]:
    """Keeps how often each site's workload is to be restarted."""
    return [Write(RESTARTS, "/".join(key), b"%d" % count) for key, count in restarts.items()]


def put_node(record: NodeRecord) -> Write:
    """Keeps a node."""
    return Write(NODES, record.node, record.encode())


def put_continued(counter: int) -> Write:
    """Keeps with which counter the states went on above others."""
    return Write(CONTINUED, COUNTER, b"%d" % counter)


def put_delegation(record: DelegationRecord) -> Write:
    """Keeps a delegation."""
    return Write(DELEGATIONS, record.id, record.encode())


def put_release(record: ReleaseRecord) -> Write:
    """Keeps a released artifact."""
    return Write(RELEASES, f"{record.name}/{record.version}", record.encode())


def put_revocation(record: RevocationRecord) -> Write:
    """Keeps a revocation."""
    return Write(REVOCATIONS, record.tls_key.hex(), record.encode())


def _pair(name: str) -> tuple[str, str]:
    first, _, second = name.partition("/")
    return first, second


def differences(before: Resources, after: Sequence[Resource]) -> dict[Key, str]:
    """What applying `after` does to each of them: created, configured or unchanged."""
    changes = {}
    for resource in after:
        key = key_of(resource)
        present = before.by_key.get(key)
        same = "unchanged" if present == resource else "configured"
        changes[key] = "created" if present is None else same
    return changes

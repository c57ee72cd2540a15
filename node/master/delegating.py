"""Delegations at the master: who at a site may admit boxes, and the boxes that were.

The rules: the operator's key never comes here, only its certificate; a delegation is for a site
that is known, for a count and a time; a box counts here by the same rules as at its site
(mesh/heads/delegations.py), and is taken into the roster, with its event, in one commit, together
with the revocation of the node whose place it takes. From then on it is a node like any other. One
whose own place another box took before it was heard of here is revoked as it is taken in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mesh.desired.problems import ResourcesRefused
from mesh.heads.certificates import Certified, check_authority, read_certificate
from mesh.heads.delegations import (
    AdmissionRefused,
    Shown,
    check_certificate_first,
    check_counts,
    check_name_free,
    delegation_id,
    shown,
    usable,
)
from mesh.heads.identity import IdentityRefused
from mesh.heads.limits import AUTONOMY_MS_MAX, DELEGATED_MAX, DELEGATIONS_MAX, ROSTER_MAX
from node.master.content import Content, put_delegation, put_node
from node.master.errors import MasterRefused, NotFound
from node.master.events import EventBook, Told, printable
from node.master.publisher import Draft, Publisher
from node.master.records import DelegationRecord, NodeRecord
from node.master.revoking import without_keys
from node.master.store import Write

STANDING_MAX = 1024
"""Delegations of all sites: TLS has each among its roots, 0.6 KiB each."""
DELEGATED = "delegation.made"
ENDED = "delegation.ended"
ADMITTED = "node.admitted"
"""The events."""


@dataclass(frozen=True, slots=True)
class Delegated:
    """A delegation, and the counter of the state that says so."""

    record: DelegationRecord
    counter: int


def _is_taken_in(one: Shown) -> bool:
    return any(use.number == one.certified.serial for use in one.delegation.uses)


def _used(record: DelegationRecord, certified: Certified) -> DelegationRecord:
    """The delegation, with a number that is used by this box, and whose place it takes."""
    uses = {**record.uses, str(certified.serial): certified.tls_key.hex()}
    taken = {certified.replaces.hex(): certified.identity.name} if certified.replaces else {}
    return replace(record, uses=uses, replaced={**record.replaced, **taken})


class Delegating:
    """Makes and ends delegations, and takes in boxes. Its methods but `check` are for one thread at
    a time. `clock` gives milliseconds since 1970."""

    def __init__(
        self, publisher: Publisher, book: EventBook, mesh: str, clock: Callable[[], int]
    ) -> None:
        self._publisher = publisher
        self._book = book
        self._mesh = mesh
        self._clock = clock

    # ---- delegations ----

    def delegate(
        self, site: str, count: int, valid_ms: int, authority: bytes, operator: str
    ) -> Delegated:
        """Lets `operator` admit `count` boxes at `site` for `valid_ms` with the key of `authority`
        (DER). What holds already changes nothing. Raises NotFound, MasterRefused, Busy."""
        content = self._publisher.content
        if site not in content.known_sites():
            raise NotFound(f"there is no site {site!r}; list them: meshctl get sites")
        if not 1 <= count <= DELEGATED_MAX:
            raise MasterRefused(f"a delegation is for 1 to {DELEGATED_MAX} boxes: --count")
        if not 1 <= valid_ms <= AUTONOMY_MS_MAX:
            days = AUTONOMY_MS_MAX // 86_400_000
            raise MasterRefused(f"a delegation lasts at most {days} days: --until")
        self._check_authority(authority)
        name = delegation_id(authority)
        present = content.delegations.get(name)
        if present is not None:
            return Delegated(present, self._publisher.published.counter)
        if len(content.delegations_by_site().get(site, ())) >= DELEGATIONS_MAX:
            raise MasterRefused(
                f"{DELEGATIONS_MAX} delegations stand for site {site!r}; end those that are over: "
                "meshctl get delegations, meshctl delegate --end ID"
            )
        if sum(map(len, content.delegations_by_site().values())) >= STANDING_MAX:
            raise MasterRefused(f"{STANDING_MAX} delegations stand; end those that are over")
        now = self._now()
        record = DelegationRecord(name, site, count, now + valid_ms, authority, operator, now)
        told = Told(DELEGATED, name, f"{count} boxes, by {operator}", [site])
        return Delegated(record, self._commit(content, record, told))

    def _check_authority(self, authority: bytes) -> None:
        try:
            check_authority(authority, self._mesh)
        except IdentityRefused as refused:
            raise MasterRefused(f"the delegated authority: {refused}") from None
        if authority in self._publisher.trust.authorities:
            raise MasterRefused("that is an authority of the mesh itself: make a key of your own")

    def end(self, name: str, reason: str) -> Delegated:
        """Ends a delegation: boxes that were taken into the roster stay, no other counts any more.
        Raises NotFound, MasterRefused, Busy."""
        reason = printable(reason)
        content = self._publisher.content
        present = content.delegations.get(name)
        if present is None:
            raise NotFound(f"there is no delegation {name!r}; list them: meshctl get delegations")
        if present.ended:
            return Delegated(present, self._publisher.published.counter)
        record = replace(present, ended=reason)
        told = Told(ENDED, name, reason, [present.site])
        return Delegated(record, self._commit(content, record, told))

    def _commit(self, content: Content, record: DelegationRecord, told: Told) -> int:
        after = replace(content, delegations={**content.delegations, record.id: record})
        writes = [put_delegation(record), *self._book.writes(told)]
        return self._publisher.commit(self._draft(after), writes)

    # ---- boxes ----

    def check(self, der: bytes) -> Certified:
        """Who the certificate of a box names, if it counts. Raises IdentityRefused, which names the
        rule."""
        one = self._shown(der)
        gone = self._place_taken(one.certified)
        if gone:
            raise AdmissionRefused(f"{one.certified.identity.uri} counts no longer: {gone}")
        if not _is_taken_in(one):
            self._check_keys(one.certified)
        return one.certified

    def _shown(self, der: bytes) -> Shown:
        content = self._publisher.content
        site = read_certificate(der).identity.site
        delegations = usable(content.delegations_by_site().get(site, ()), self._mesh)
        one = shown(der, delegations, self._mesh, site)
        check_counts(one, None, self._now())
        standing = [node for node in content.nodes.values() if not node.revoked]
        enrolled = {node.tls_key: (node.node, node.signing_key) for node in standing}
        first = {node.tls_key: node.certificate for node in standing if node.admitted}
        bound = first.get(one.certified.tls_key) if _is_taken_in(one) else None
        check_certificate_first(one, bound, enrolled)
        if not _is_taken_in(one):
            check_name_free(one, {node.tls_key: node.node for node in standing})
        return one

    def take_in(self, der: bytes) -> int:
        """Makes the box of this certificate a node; the state's counter. Of one that is a node
        nothing changes. Raises IdentityRefused, MasterRefused, Busy."""
        one = self._shown(der)
        if _is_taken_in(one):
            return self._publisher.published.counter
        content, certified = self._publisher.content, one.certified
        self._check_keys(certified)
        if len(content.rosters().get(certified.identity.site, ())) >= ROSTER_MAX:
            raise MasterRefused(f"site {certified.identity.site!r} has {ROSTER_MAX} nodes")
        record = content.delegations[one.delegation.id]
        by = f"admitted at the site by {record.operator} ({one.name})"
        node = NodeRecord(
            certified.identity.name,
            record.site,
            der,
            certified.tls_key,
            certified.signing_key,
            self._now(),
            admitted=f"{record.operator} ({one.name})",
            delegation=record.id,
            revoked=self._place_taken(certified),
            since=self._publisher.next_counter,
        )
        used = _used(record, certified)
        after = replace(content, delegations={**content.delegations, used.id: used})
        after, writes, replaced = self._replaced(after, certified, by)
        after = replace(after, nodes={**after.nodes, node.node: node})
        if node.revoked:
            after, gone = self._without_keys(after, node)
            writes = [*writes, gone]
        fields = {"replaces": replaced}
        told = Told(ADMITTED, node.node, by, [node.site], fields, record.operator)
        writes = [*writes, put_node(node), put_delegation(used), *self._book.writes(told)]
        return self._publisher.commit(self._draft(after), writes)

    def _replaced(
        self, content: Content, certified: Certified, by: str
    ) -> tuple[Content, list[Write], str]:
        """`content` without the node whose place the box takes, what keeps that, and its ID."""
        name, site = certified.identity.name, certified.identity.site
        old = next(
            (
                one
                for one in content.nodes.values()
                if one.tls_key == certified.replaces and one.site == site and not one.revoked
            ),
            None,
        )
        if old is None:
            return content, [], ""
        gone = replace(old, revoked=f"{name} takes its place, {by}")
        after = replace(content, nodes={**content.nodes, old.node: gone})
        after, write = self._without_keys(after, gone)
        return after, [put_node(gone), write], old.node

    def _without_keys(self, content: Content, gone: NodeRecord) -> tuple[Content, Write]:
        counter = self._publisher.next_counter
        return without_keys(content, self._mesh, gone, self._now(), counter)

    def _place_taken(self, certified: Certified) -> str:
        """Why a box counts no longer before it ever did here: of two that came one after the other
        in an outage, the second may be heard of first. "": nobody has taken its place."""
        key = certified.tls_key.hex()
        for one in self._publisher.content.delegations.values():
            if key in one.replaced and one.site == certified.identity.site:
                by = f"admitted by {one.operator} ({one.id})"
                return f"{one.replaced[key]} has taken its place, {by}"
        return ""

    def _check_keys(self, certified: Certified) -> None:
        """Keys count once, and never again once they were revoked: that is for good, whatever else
        changes. Raises AdmissionRefused."""
        content, uri = self._publisher.content, certified.identity.uri
        keys, way_out = (certified.tls_key, certified.signing_key), "admit the box with new keys"
        for one in content.revocations.values():
            if one.tls_key == keys[0] or one.signing_key == keys[1]:
                raise AdmissionRefused(f"the keys of {uri} were revoked; {way_out}")
        for record in content.nodes.values():
            if record.tls_key == keys[0] or record.signing_key == keys[1]:
                raise AdmissionRefused(f"{uri} has keys of {record.node!r}; {way_out}")

    def _draft(self, content: Content) -> Draft:
        try:
            return self._publisher.draft(content)
        except ResourcesRefused as refused:
            raise MasterRefused(f"the site's branch has no room for more: {refused}") from None

    def _now(self) -> int:
        return max(self._clock(), self._publisher.published.signed_unix_ms)

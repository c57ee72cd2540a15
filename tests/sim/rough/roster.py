"""Who is in the roster of the simulated site, and who was: what a master's store holds of that."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.heads.certificates import Certified
from protos.documents_pb2 import (
    Delegation,
    DelegationUse,
    FormerEntry,
    Revocation,
    Revocations,
    RosterEntry,
    SiteBranch,
)
from tests.sim.boxes import delegation


@dataclass(frozen=True)
class _Gone:
    certified: Certified
    since: int
    until: int


class Roster:
    """As node/master/content.py. `counter` is always that of the state that says it first."""

    def __init__(self, nodes: Iterable[Certified]) -> None:
        self.nodes: dict[str, Certified] = {}
        self._since: dict[str, int] = {}
        self._gone: list[_Gone] = []
        self._uses: dict[int, bytes] = {}
        for one in nodes:
            self.enrol(one, 1)

    # ---- what changes ----

    def enrol(self, certified: Certified, counter: int) -> None:
        """Another node, or an ID that nobody has any more with other keys."""
        self.nodes[certified.identity.name] = certified
        self._since[certified.identity.name] = counter

    def take_out(self, node: str, counter: int) -> None:
        """Its keys count no more."""
        self._gone.append(_Gone(self.nodes.pop(node), self._since.pop(node), counter))

    def take_in(self, box: Certified, counter: int) -> None:
        """A box that was admitted at the site, in the place of whom it replaces."""
        for node, certified in list(self.nodes.items()):
            if certified.tls_key == box.replaces:
                self.take_out(node, counter)
        self._uses[box.serial] = box.tls_key
        self.enrol(box, counter)

    # ---- what follows ----

    @property
    def tls_keys(self) -> set[bytes]:
        """Of the nodes."""
        return {one.tls_key for one in self.nodes.values()}

    @property
    def revoked(self) -> set[bytes]:
        """The TLS keys that count no more."""
        return {one.certified.tls_key for one in self._gone}

    def delegation(self) -> Delegation:
        """Who may admit boxes at the site, and whom he did."""
        uses = [DelegationUse(number=n, tls_key=key) for n, key in sorted(self._uses.items())]
        return delegation(uses=uses)

    def tell(self, branch: SiteBranch) -> None:
        """Writes all of it into the site's branch."""
        for node, one in sorted(self.nodes.items()):
            entry = RosterEntry(node=node, signing_key=one.signing_key, tls_key=one.tls_key)
            entry.since = self._since[node]
            branch.roster.append(entry)
        for gone in sorted(self._gone, key=lambda one: (one.until, one.certified.identity.name)):
            branch.former.append(
                FormerEntry(
                    node=gone.certified.identity.name,
                    tls_key=gone.certified.tls_key,
                    since=gone.since,
                    until=gone.until,
                )
            )
        branch.delegations.append(self.delegation())

    def signing_keys(self) -> list[tuple[str, bytes]]:
        """By node, also of machines that had the ID before; theirs first."""
        every = [*(gone.certified for gone in self._gone), *self.nodes.values()]
        return [(one.identity.name, one.signing_key) for one in every]

    def revocations(self, *others: Certified) -> Revocations:
        """Of all that are out of it, and of these others."""
        entries = [
            Revocation(subject=one.identity.uri, tls_key=one.tls_key, reason="stolen")
            for one in (*(gone.certified for gone in self._gone), *others)
        ]
        return Revocations(entries=sorted(entries, key=lambda one: (one.subject, one.tls_key)))

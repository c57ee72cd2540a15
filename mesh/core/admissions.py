"""The boxes that an operator at the site admitted while no master was reached, as a node sees
them.

A box shows a certificate of a delegated authority (mesh/heads/delegations.py). Which certificate
showed a number first is remembered, and kept on disk: others of the same number are refused, with
an alarm. A box that replaces a node shuts that one out of this site at once; the master does so for
the mesh when it hears of it. Certificates travel in the registers of their boxes; of a box whose
register is gone, because it was replaced in its turn, the others repeat it.
"""

from collections.abc import Collection, Sequence

from google.protobuf.message import DecodeError

from mesh.events import Instruction, SaveDocument, WriteJournal
from mesh.heads.certificates import Certified
from mesh.heads.delegations import (
    AdmissionRefused,
    Shown,
    check_certificate_first,
    check_counts,
    check_name_free,
    shown,
    usable,
)
from mesh.heads.identity import IdentityRefused
from mesh.heads.trust import Trust
from protos.documents_pb2 import Delegation, KeptAdmissions, SiteBranch

ADMISSIONS = "admissions"
"""The document: a KeptAdmissions."""
REPEATED_MAX = 4
"""Certificates that a register repeats: 2.8 of its 16 KiB. Boxes that were replaced in their turn,
all in one outage: the disks of those that saw the others hold them all the same."""
CLASHES_MAX = 16
"""Numbers that two boxes have shown, remembered for the alarm."""


class Admissions:
    """Who was admitted at this site. `document` is what the disk holds, or empty; `unix_ms` is the
    time by which delegations end (design rule 10), kept by the caller."""

    def __init__(self, site: str, trust: Trust, document: bytes) -> None:
        self._site = site
        self._trust = trust
        self.unix_ms = 0
        self._delegations: list[Delegation] = []
        self._roster: dict[bytes, tuple[str, bytes]] = {}
        self._bound: dict[tuple[str, int], Shown] = {}
        self._news: list[Shown] = []
        self._clashes: dict[str, str] = {}
        try:
            kept = list(KeptAdmissions.FromString(document).certificates)
        except DecodeError:
            kept = []  # of another release: their boxes show them again
        self._kept = kept

    # ---- what holds ----

    @property
    def authorities(self) -> tuple[bytes, ...]:
        """The delegated authorities' certificates (DER): TLS lets their boxes come so far that they
        can be judged."""
        return tuple(one.authority for one in self._delegations)

    @property
    def certificates(self) -> list[bytes]:
        """Those of the boxes that count, by delegation and number (DER)."""
        return [self._bound[key].certified.der for key in sorted(self._bound)]

    @property
    def tls_keys(self) -> tuple[bytes, ...]:
        """The keys of the boxes that count, sorted."""
        return tuple(sorted(one.certified.tls_key for one in self._bound.values()))

    @property
    def nodes(self) -> dict[str, str]:
        """The boxes that count, by ID, and by whom they were admitted, for people."""
        return {
            one.certified.identity.name: f"{one.delegation.operator} ({one.name})"
            for one in self._bound.values()
        }

    @property
    def clashes(self) -> dict[str, str]:
        """Numbers that two boxes have shown, and what to do about each."""
        return dict(self._clashes)

    def replaced(self) -> dict[bytes, str]:
        """The keys of this site's nodes whose place a box has taken, and which. An operator of one
        site can so shut out nobody but nodes of that site. Who stands in one roster with a box was
        not replaced by it, whatever its certificate says: a master that takes a box in revokes
        whose place it takes."""
        known = {*self._roster, *self.tls_keys}
        return {
            one.certified.replaces: f"{one.certified.identity.name} takes its place, "
            f"admitted by {one.delegation.operator} ({one.name})"
            for one in self._bound.values()
            if one.certified.replaces in known
            and not {one.certified.tls_key, one.certified.replaces} <= self._roster.keys()
        }

    def used(self) -> dict[str, list[int]]:
        """The numbers of each delegation that are known to be used, whoever knows it."""
        return {
            one.id: sorted(
                {use.number for use in one.uses}
                | {number for name, number in self._bound if name == one.id}
            )
            for one in self._delegations
        }

    # ---- what the authority says ----

    def use(self, branch: SiteBranch) -> None:
        """Goes by this branch of the site from now on: what counted and does under it goes on."""
        self._delegations = usable(branch.delegations, self._trust.mesh)
        self._roster = {one.tls_key: (one.node, one.signing_key) for one in branch.roster}
        before = [one.certified.der for one in self._bound.values()] + self._kept
        self._bound, self._kept, news = {}, [], self._news
        if not branch.site:  # no state is known here, and unknown is not absent
            self._kept = before
        for der in before:
            self._again(der)
        self._news = [one for one in news if one.key in self._bound]
        standing = {one.id for one in self._delegations if not one.ended}
        self._clashes = {
            name: text for name, text in self._clashes.items() if name.split("/")[0] in standing
        }

    def _again(self, der: bytes) -> None:
        """What was bound before, whatever the time is now: its number stays its own."""
        try:
            one = shown(der, self._delegations, self._trust.mesh, self._site)
            check_counts(one, one.certified.tls_key, self.unix_ms)
            check_certificate_first(one, None, self._roster)
        except IdentityRefused:
            return  # the authority ended it, or says that others have its number
        self._bound.setdefault(one.key, one)

    # ---- what boxes show ----

    def check(self, der: bytes) -> Certified:
        """Who the certificate of a box names, if it counts here. The first that shows a number has
        it. Raises IdentityRefused, which names the rule."""
        one = shown(der, self._delegations, self._trust.mesh, self._site)
        bound = self._bound.get(one.key)
        try:
            check_counts(one, bound.certified.tls_key if bound else None, self.unix_ms)
            check_certificate_first(one, bound.certified.der if bound else None, self._roster)
        except AdmissionRefused as refused:
            if refused.clash:
                self._clash(one, bound)
            raise
        if bound is None:
            check_name_free(one, self._holders())
            self._bound[one.key] = one
            self._news.append(one)
        return one.certified

    def heard(self, certificates: Sequence[bytes]) -> None:
        """What a neighbour's register repeats: each is judged as if its box had shown it. No honest
        one repeats more than REPEATED_MAX."""
        for der in certificates[:REPEATED_MAX]:
            try:
                self.check(der)
            except IdentityRefused:
                continue  # it counts here by no rule, whoever repeats it

    def _holders(self) -> dict[bytes, str]:
        """The keys that have IDs here, and which: also of those whose place was taken, which other
        parts of the site may count yet."""
        boxes = {one.certified.tls_key: one.certified.identity.name for one in self._bound.values()}
        return boxes | {key: node for key, (node, _) in self._roster.items()}

    def _clash(self, one: Shown, first: Shown | None) -> None:
        if len(self._clashes) < CLASHES_MAX:
            kept = first.certified.identity.name if first is not None else "one that the master has"
            self._clashes[one.name] = (
                f"{kept} and {one.certified.identity.name} show this number of a delegation, the "
                "first is kept: find out who admitted both, and end it at a master: "
                f"meshctl delegate --end {one.delegation.id}"
            )

    # ---- what follows ----

    def look(self) -> list[Instruction]:
        """Keeps and journals the boxes that are new since the last look."""
        news, self._news = self._news, []
        if not news:
            return []
        kept = KeptAdmissions(certificates=[one.certified.der for one in self._bound.values()])
        save = SaveDocument(ADMISSIONS, kept.SerializeToString(), "a box was admitted")
        return [save, *(_entry(one) for one in news)]

    def to_repeat(self, shown: Collection[bytes]) -> list[bytes]:
        """The certificates that this node's register repeats: of boxes of which neither the state
        tells, nor a register here (`shown`: the certificates in those)."""
        told = {use.tls_key for one in self._delegations for use in one.uses}
        boxes = (self._bound[key].certified for key in sorted(self._bound))
        untold = [one.der for one in boxes if one.tls_key not in told and one.der not in shown]
        return untold[:REPEATED_MAX]


def _entry(one: Shown) -> WriteJournal:
    certified, delegation = one.certified, one.delegation
    fields = {
        "delegation": delegation.id,
        "number": str(certified.serial),
        "operator": delegation.operator,
        "tls_key": certified.tls_key.hex(),
        "replaces": certified.replaces.hex(),
    }
    cause = f"admitted at the site by {delegation.operator}, number {one.name}"
    return WriteJournal("record", "node.admitted", certified.identity.name, cause, fields)

"""Admitting a box at a site, by an operator with a delegation: whether it may be, and its
certificate. It needs the folder of the delegation and what is known of the site, and no network."""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.heads.admission_request import Asked
from mesh.heads.certificates import Certified, issue
from mesh.heads.delegations import Shown, check_counts, check_name_free, shown, usable
from mesh.heads.identity import Identity, IdentityRefused
from mesh.heads.snapshot import Foundation, open_snapshot
from node.admin.failures import bad_input, refused
from node.disk.delegation_folder import DelegationFolder
from protos.documents_pb2 import AdmissionBundle, Delegation, SiteSnapshot


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the operator carries back to the box, and what is to be said of it."""

    bundle: AdmissionBundle
    number: int
    count: int
    certificate: bytes


class Desk:
    """Where one operator admits boxes: a delegation's folder, and what is known of its site."""

    def __init__(self, folder: DelegationFolder, snapshot: SiteSnapshot, unix_ms: int) -> None:
        """Raises SnapshotRefused, Failure."""
        self._folder = folder
        self._snapshot = snapshot
        self._known = open_snapshot(snapshot, folder.site)
        self._unix_ms = max(unix_ms, self._known.head.signed_unix_ms)
        self._delegation = _delegation(folder, self._known)

    def admit(self, asked: Asked, number: int, replaces: str) -> Admitted:
        """Admits the box that asked; `number` 0: the next one. The same box gets again what it was
        given. Raises Failure, which names the rule."""
        site = self._folder.site
        if asked.site != site:
            raise refused(f"the box asks for site {asked.site!r}; this delegation is for {site!r}")
        given = self._given(asked)
        before = given.get(number or max(given, default=0))
        number = number or max(given, default=0) or self._next()
        if before is None and number in self._folder.admitted():
            text = f"number {number} was given to another box with this folder"
            raise refused(f"{text}: leave out --number")
        if before is not None and replaces:
            self._check_same_place(before, number, replaces)
        certificate = before.der if before else self._issue(asked, number, replaces)
        self._check(certificate)
        self._folder.keep_admitted(number, certificate)
        bundle = AdmissionBundle(certificate=certificate, snapshot=self._snapshot)
        return Admitted(bundle, number, self._delegation.count, certificate)

    def _given(self, asked: Asked) -> dict[int, Certified]:
        """What this very box was given before, by number."""
        keys = (asked.tls_key, asked.signing_key, asked.node)
        return {
            number: one
            for number, one in self._folder.admitted().items()
            if (one.tls_key, one.signing_key, one.identity.name) == keys
        }

    def _check_same_place(self, before: Certified, number: int, replaces: str) -> None:
        """Whose place a box takes stands in its certificate: what was given shuts nobody else out.
        Raises Failure."""
        taken = self._named().get(before.replaces, "another" if before.replaces else "nobody")
        if taken != replaces:
            raise refused(
                f"{before.identity.name} was admitted before, as number {number}, in the place of "
                f"{taken}: --replaces {replaces} would change nothing. To get the same again leave "
                "it out; if the box has not joined yet, give --number with one that is free; else "
                f"shut {replaces} out at a master: meshctl node revoke {replaces}"
            )

    def _next(self) -> int:
        """The lowest number that nobody is known to have. Raises Failure if all are used."""
        used = {use.number for use in self._delegation.uses} | self._folder.admitted().keys()
        boxes = (one.key for one in self._boxes())
        used |= {number for name, number in boxes if name == self._folder.id}
        count = self._delegation.count
        free = (number for number in range(1, count + 1) if number not in used)
        number = next(free, 0)
        if not number:
            raise refused(
                f"the delegation {self._folder.id} is used up: all {count} boxes were admitted; "
                "make another at a master: meshctl delegate"
            )
        return number

    def _boxes(self) -> list[Shown]:
        """The boxes that the site has admitted so far, by whichever delegation."""
        mesh, site = self._known.trust.mesh, self._folder.site
        standing = usable(self._known.branch.delegations, mesh)
        found = []
        for der in self._snapshot.admitted:
            try:
                found.append(shown(der, standing, mesh, site))
            except IdentityRefused:
                continue  # what a node says of others is no proof
        return found

    def _named(self) -> Mapping[bytes, str]:
        """The keys that are known at the site, with their IDs, also those that count no more."""
        roster = {entry.tls_key: entry.node for entry in self._known.branch.roster}
        boxes = [one.certified for one in self._boxes()]
        return roster | {one.tls_key: one.identity.name for one in boxes}

    def _holders(self) -> Mapping[bytes, str]:
        """Those of them whose place a box may take: they count, as far as is known."""
        gone = {one.certified.replaces for one in self._boxes()}
        return {
            key: node
            for key, node in self._named().items()
            if key not in gone and self._known.revoked.is_revoked(key) is None
        }

    def _issue(self, asked: Asked, number: int, replaces: str) -> bytes:
        replaced = b""
        if replaces:
            holders = {node: key for key, node in self._holders().items()}
            if replaces not in holders:
                raise bad_input(
                    f"--replaces {replaces}: site {asked.site!r} has no such node; it has "
                    f"{', '.join(sorted(holders)) or 'none'}"
                )
            replaced = holders[replaces]
        return issue(
            self._folder.key,
            self._folder.authority,
            Identity(self._known.trust.mesh, "node", asked.node, asked.site),
            asked.tls_public_key,
            asked.signing_key,
            number,
            replaced,
        )

    def _check(self, certificate: bytes) -> None:
        """By the rules by which the site's nodes judge it: what they would refuse is not made."""
        mesh, site = self._known.trust.mesh, self._folder.site
        try:
            one = shown(certificate, usable(self._known.branch.delegations, mesh), mesh, site)
            bound = next((b.certified.tls_key for b in self._boxes() if b.key == one.key), None)
            check_counts(one, bound, self._unix_ms)
            check_name_free(one, self._named())
        except IdentityRefused as error:
            raise refused(str(error)) from None


def _delegation(folder: DelegationFolder, known: Foundation) -> Delegation:
    found = next((one for one in known.branch.delegations if one.id == folder.id), None)
    if found is not None:
        return found
    raise refused(
        f"state {known.head.counter} of site {folder.site!r} knows no delegation {folder.id}: it "
        "was ended, or the state is of before it was made; see `meshctl get delegations`"
    )

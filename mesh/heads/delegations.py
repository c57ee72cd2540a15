"""Delegations: who at a site may admit a box there while no master is reached.

A delegated authority is a key pair that an operator made and keeps. The state says for which site
it counts, for how many boxes and until when. The certificate that it issues to a box is all that
there is of an admission: its serial number says which of the count it is, an extension which node
it replaces. So whoever sees the certificate can judge it, and nothing else has to travel.

The rules, in the order in which they are judged: the delegation stands in the state and the box is
a node of its site; the number is one of its count; a number belongs to the keys that showed it
first, and what the state says of it comes before anything else; nobody new once it has ended; of
those keys it is one certificate that counts, so that nobody is given an ID, or a place, twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mesh.hashing import sha256
from mesh.heads import checks
from mesh.heads.certificates import Certified, check_authority, is_issued_by, read_certificate
from mesh.heads.identity import IdentityRefused
from mesh.heads.limits import CERTIFICATE_MAX_BYTES, DELEGATED_MAX, NUMBER_MAX
from protos.documents_pb2 import Delegation

ID_CHARACTERS = 12
"""Of a delegation's name: 48 bits, told apart by people; nobody gains by two that are alike, since
only an operator of the mesh can delegate."""
OPERATOR_MAX = 63
"""Characters of the operator's name."""
ISSUERS_REMEMBERED = 1024
"""Whether an authority issued a certificate, remembered: 2 KiB each at worst, saves 0.2 ms."""


class AdmissionRefused(IdentityRefused):
    """A box's certificate is genuine, and counts here by no rule. The text says by which not.

    `clash`: the delegation and number that other keys have shown before; "" where it is not that.
    `ended`: an operator at a master wanted it so.
    """

    def __init__(self, text: str, clash: str = "", ended: bool = False) -> None:
        super().__init__(text)
        self.clash = clash
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate of a delegated authority, and the delegation that it rests on."""

    certified: Certified
    delegation: Delegation

    @property
    def key(self) -> tuple[str, int]:
        """The delegation and the number: what belongs to one pair of keys."""
        return (self.delegation.id, self.certified.serial)

    @property
    def name(self) -> str:
        """The same for people."""
        return f"{self.delegation.id}/{self.certified.serial}"


def delegation_id(authority: bytes) -> str:
    """The name of the delegation of an authority's certificate (DER)."""
    return sha256(authority).hex()[:ID_CHARACTERS]


def check_delegation(delegation: Delegation) -> None:
    """A delegation as it stands in a site's branch. Raises BranchRefused."""
    place = f"delegations.{delegation.id[:ID_CHARACTERS]}"
    if delegation.id != delegation_id(delegation.authority):
        raise checks.refused(place, "is not named as its authority's certificate")
    size = len(delegation.authority)
    checks.between(f"the size of {place}.authority", size, 1, CERTIFICATE_MAX_BYTES)
    checks.between(f"{place}.count", delegation.count, 1, DELEGATED_MAX)
    checks.between(f"{place}.until", delegation.until_unix_ms, 0, NUMBER_MAX)
    checks.text(f"{place}.operator", delegation.operator, OPERATOR_MAX)
    for use in delegation.uses:
        checks.between(f"{place}.uses.number", use.number, 1, delegation.count)
        checks.digest(f"{place}.uses.{use.number}", use.tls_key)
    numbers = [use.number for use in delegation.uses]
    if numbers != sorted(set(numbers)):
        raise checks.refused(f"{place}.uses", "is not sorted, or has something twice")


def usable(delegations: Iterable[Delegation], mesh: str) -> list[Delegation]:
    """Those whose authority's certificate is one of this mesh: what a signed state says wrong of
    one must not take the others away."""
    return [one for one in delegations if _is_authority(one.authority, mesh)]


def shown(der: bytes, delegations: Iterable[Delegation], mesh: str, site: str) -> Shown:
    """The certificate in `der` and its delegation, if one of `delegations`, all of `site`, issued
    it to a node of that site, with a number of its count. Raises IdentityRefused."""
    certified = read_certificate(der)
    identity = certified.identity
    found = next((one for one in delegations if _issued(der, one.authority, mesh)), None)
    if found is None or identity.mesh != mesh:
        raise IdentityRefused(
            f"the certificate of {identity.uri} was issued by no authority of this mesh, and by no "
            f"delegation that the state of site {site!r} knows: see `meshctl get delegations`"
        )
    if identity.role != "node" or identity.site != site:
        raise AdmissionRefused(
            f"{identity.uri}: the delegation {found.id} admits nodes of site {site!r} alone"
        )
    if not 1 <= certified.serial <= found.count:
        raise AdmissionRefused(
            f"{identity.uri} is number {certified.serial} of the delegation {found.id}, which "
            f"counts {found.count}: make another delegation at a master"
        )
    return Shown(certified, found)


def check_counts(one: Shown, bound: bytes | None, unix_ms: int) -> None:
    """Whether what was shown counts at `unix_ms`. `bound` is the key (SHA-256 of the
    SubjectPublicKeyInfo) that showed the number first here; None: none did. Raises
    AdmissionRefused."""
    uri, tls_key = one.certified.identity.uri, one.certified.tls_key
    number, delegation = one.certified.serial, one.delegation
    used = {use.number: use.tls_key for use in delegation.uses}.get(number)
    first = used or bound
    if first is not None and first != tls_key:
        raise AdmissionRefused(
            f"{uri}: number {number} of the delegation {delegation.id} belongs to other keys, "
            "which showed it first and are kept; admit this box anew, under another number",
            clash=one.name,
        )
    if used is not None:
        return
    if delegation.ended:
        raise AdmissionRefused(
            f"{uri}: the delegation {delegation.id} was ended at a master; "
            "make another there, or enrol this box with a token",
            ended=True,
        )
    if bound is None and unix_ms >= delegation.until_unix_ms:
        raise AdmissionRefused(
            f"{uri}: the time of the delegation {delegation.id} is over; "
            "make another at a master, or enrol this box with a token"
        )


def check_certificate_first(
    one: Shown, bound: bytes | None, enrolled: Mapping[bytes, tuple[str, bytes]]
) -> None:
    """Whether this is the certificate that its number belongs to: the keys of TLS alone do not say
    so, since the authority can issue them any ID. `bound`: the one (DER) that showed the number
    first here; `enrolled`: ID and signing key, by TLS key, of the nodes that the state has. For
    after `check_counts`. Raises AdmissionRefused."""
    certified = one.certified
    uri, keys = certified.identity.uri, certified.tls_key
    taken_in = any(use.number == certified.serial for use in one.delegation.uses)
    if taken_in and keys not in enrolled:
        raise AdmissionRefused(f"{uri} is no longer a node: a master took it in, and out again")
    own = (certified.identity.name, certified.signing_key)
    if bound not in (None, certified.der) or (taken_in and enrolled[keys] != own):
        raise AdmissionRefused(
            f"{uri}: number {certified.serial} of the delegation {one.delegation.id} belongs to "
            "another certificate, which showed it first and is kept; admit this box anew, under "
            "another number",
            clash=one.name,
        )


def check_name_free(one: Shown, holders: Mapping[bytes, str]) -> None:
    """Raises AdmissionRefused if another node has its ID, also one that it replaces: in a split the
    other part counts that one under this ID, and to whoever meets both they were one node.
    `holders`: the keys that have IDs now, and which."""
    certified = one.certified
    name = certified.identity.name
    if any(node == name and key != certified.tls_key for key, node in holders.items()):
        raise AdmissionRefused(
            f"{certified.identity.uri}: another node has this ID and is kept; admit the box under "
            f"another ID, also where it takes that node's place (--replaces {name})"
        )


def _is_authority(der: bytes, mesh: str) -> bool:
    try:
        check_authority(der, mesh)
    except IdentityRefused:
        return False
    return True


@lru_cache(maxsize=ISSUERS_REMEMBERED)
def _issued(der: bytes, authority: bytes, mesh: str) -> bool:
    return _is_authority(authority, mesh) and is_issued_by(der, authority)

"""Who is welcome at a node: whom the trust head's authorities named, and the boxes that were
admitted at its site; nobody who is revoked."""

from collections.abc import Sequence

from mesh.core.admissions import Admissions
from mesh.core.node import NodeCore
from mesh.heads.certificates import Certified, UnknownIssuer, check_certificate
from mesh.heads.identity import IdentityRefused
from mesh.heads.trust import Trust
from mesh.registers.store import NodeKeys as RegisterKeys
from protos.documents_pb2 import SiteBranch
from protos.runtime_pb2 import RuntimeSpec


class Welcome:
    """What the ports, the registers and the runtime of one node go by. `document` is what the disk
    holds of boxes; `core` is set once it is made."""

    def __init__(self, mesh: str, site: str, trust: Trust, document: bytes) -> None:
        self._mesh = mesh
        self._trust = trust
        self.admissions = Admissions(site, trust, document)
        self.core: NodeCore | None = None

    def begin(self, branch: SiteBranch, own: bytes) -> None:
        """Goes by what the disk holds, before any core is made. `own` is this node's certificate
        (DER): a box knows of itself whose place it takes."""
        self.admissions.use(branch)
        try:
            self._certified(own)
        except IdentityRefused:
            return  # it was ended, or its state is not here yet: neighbours say what they think

    def authorities(self) -> Sequence[bytes]:
        """The certificates (DER) that the trust head names."""
        return self._trust.authorities

    def revoked(self, tls_key: bytes) -> str | None:
        """Why a TLS key (its digest) counts no more; None if it does."""
        return self.core.revoked.is_revoked(tls_key) if self.core is not None else None

    def register_keys(self, der: bytes) -> RegisterKeys:
        """What the certificate in a register says. Raises ValueError."""
        certified = self._certified(der)
        reason = self.revoked(certified.tls_key)
        if reason is not None:
            raise ValueError(f"{certified.identity.uri} is revoked: {reason}")
        return register_keys(certified)

    def _certified(self, der: bytes) -> Certified:
        try:
            return check_certificate(der, self._trust.authorities, self._mesh)
        except UnknownIssuer:
            return self.admissions.check(der)

    def for_runtime(self) -> RuntimeSpec:
        """Whom the runtime is to let in and to refuse: these fields of its spec alone."""
        revoked = self.core.revoked.tls_keys if self.core is not None else ()
        return RuntimeSpec(
            revoked_tls_keys=sorted(revoked),
            authorities=self._trust.authorities,
            delegated=self.admissions.authorities,
            admitted_tls_keys=self.admissions.tls_keys,
        )


def register_keys(certified: Certified) -> RegisterKeys:
    """What a node's certificate says, as registers need it. Raises ValueError for no node's."""
    identity = certified.identity
    if identity.role != "node":
        raise ValueError(f"{identity.uri} is no node")
    return RegisterKeys(
        identity.name,
        identity.site,
        certified.signing_key,
        certified.tls_key,
    )

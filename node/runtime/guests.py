"""Who else is welcome between nodes, and who is not: boxes that were admitted at the site, and keys
that were revoked.

The agent says so. It is kept, so that a runtime that starts without its agent lets in nobody who
was shut out, and nobody less.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from mesh.heads.certificates import Certified, is_issued_by, pem, read_certificate
from mesh.heads.identity import IdentityRefused
from node.disk.errors import DiskError
from node.disk.files import Disk, replace_file
from protos.runtime_pb2 import RuntimeSpec

log = logging.getLogger(__name__)


class Guests:
    """What the agent said last of boxes and revoked keys, kept in the file `kept`. Boxes are nodes
    of this `site`."""

    def __init__(self, kept: Path, mesh: str, site: str) -> None:
        self._mesh = mesh
        self._site = site
        self._kept = kept
        self._set(RuntimeSpec())
        try:
            self._set(RuntimeSpec.FromString(kept.read_bytes()))
        except FileNotFoundError:
            pass  # no agent has said anything here yet
        except (OSError, DecodeError, IdentityRefused) as error:
            log.error("who is revoked, kept in %s, cannot be read: %s", kept, error)

    @property
    def revoked(self) -> Sequence[bytes]:
        """The TLS keys (SHA-256 of their SubjectPublicKeyInfos) that are refused."""
        return self._said.revoked_tls_keys

    @property
    def pem(self) -> bytes:
        """The certificates of the authorities that admitted boxes: TLS lets their boxes come so far
        that they can be looked at."""
        return self._pem

    def replace(self, spec: RuntimeSpec) -> None:
        """Goes by these from now on, and after a restart."""
        said = RuntimeSpec(
            revoked_tls_keys=spec.revoked_tls_keys,
            delegated=spec.delegated,
            admitted_tls_keys=spec.admitted_tls_keys,
        )
        if said == self._said:
            return
        self._set(said)
        try:
            replace_file(Disk(), self._kept, said.SerializeToString())
        except (DiskError, OSError) as error:
            log.error("who is revoked is not kept over a restart: %s", error)

    def check(self, der: bytes) -> Certified:
        """Who the certificate names, if it is a box's that was admitted. The agent has judged it;
        here it is recognised: its authority could issue the same key any other name. Raises
        IdentityRefused."""
        certified = read_certificate(der)
        identity = certified.identity
        if (identity.mesh, identity.role, identity.site) != (self._mesh, "node", self._site):
            raise IdentityRefused(
                f"{identity.uri}: those who admit boxes here admit nodes of {self._site!r} alone, "
                "and no authority of this mesh issued its certificate"
            )
        known = certified.tls_key in self._said.admitted_tls_keys
        if known and any(is_issued_by(der, one) for one in self._said.delegated):
            return certified
        raise IdentityRefused(
            f"{certified.identity.uri}: no authority of this mesh issued its certificate, and no "
            "box of this key was admitted at this site"
        )

    def _set(self, said: RuntimeSpec) -> None:
        self._pem = b"".join(pem(der) for der in said.delegated)
        self._said = said

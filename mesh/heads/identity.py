"""Who a peer is: one SPIFFE URI, and the DNS name that stands for it in TLS.

The rules: an identity has exactly one spelling of each form; the role is part of the name, so that
a node's name can never be read as a master's; nothing that is not a DNS label gets into a name, so
a name is safe in a URI, a DNS name, a log and a file's name.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from mesh.heads.limits import NAME_MAX, URI_MAX

Role = Literal["node", "master", "operator", "release"]
ROLES: tuple[Role, ...] = get_args(Role)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_URI_SCHEME = "spiffe://"
_DNS_SUFFIX = "mesh.internal"


class IdentityRefused(ValueError):
    """A name, an identity or a certificate is not what it should be. Nothing was changed.

    The text says whose fault it is, what is wrong where, and what to do next.
    """


def check_name(kind: str, name: str) -> str:
    """`name`, if it is a DNS label; `kind` says in the error what it should have named.

    Raises IdentityRefused if it is empty, too long, or has other characters than a-z, 0-9 and -.
    """
    if _LABEL.fullmatch(name):
        return name
    shown = name if len(name) <= NAME_MAX else name[:NAME_MAX] + "..."
    raise IdentityRefused(
        f"{kind} {shown!r} is no valid name: use 1 to {NAME_MAX} of the characters a-z, 0-9 and -, "
        "with neither a first nor a last -"
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """A node, master, operator or release signer of one mesh.

    `name` is unique in the mesh among those of its role, whatever the site. `site` is what a node
    is enrolled for, and empty for all others. Raises IdentityRefused when made of anything else.
    """

    mesh: str
    role: Role
    name: str
    site: str = ""

    def __post_init__(self) -> None:
        check_name("mesh", self.mesh)
        if self.role not in ROLES:
            raise IdentityRefused(f"role {self.role!r} is none of {', '.join(ROLES)}")
        check_name(self.role, self.name)
        if self.role == "node":
            check_name("site", self.site)
        elif self.site:
            raise IdentityRefused(
                f"{self.role} {self.name!r} names the site {self.site!r}: only nodes have a site"
            )

    @property
    def uri(self) -> str:
        """`spiffe://MESH/site/SITE/node/ID` for a node, `spiffe://MESH/ROLE/NAME` for others."""
        place = f"site/{self.site}/" if self.site else ""
        return f"{_URI_SCHEME}{self.mesh}/{place}{self.role}/{self.name}"

    @property
    def dns_name(self) -> str:
        """`NAME.ROLE.MESH.mesh.internal`: never looked up; who dials expects it in TLS."""
        return f"{self.name}.{self.role}.{self.mesh}.{_DNS_SUFFIX}"

    @classmethod
    def from_uri(cls, uri: str) -> "Identity":
        """The identity that `uri` spells. Raises IdentityRefused if it spells none."""
        if len(uri) > URI_MAX:
            raise IdentityRefused(
                f"an identity's URI has {len(uri)} characters; {URI_MAX} are allowed"
            )
        if not uri.startswith(_URI_SCHEME):
            raise _not_an_identity(uri)
        match uri.removeprefix(_URI_SCHEME).split("/"):
            case [mesh, "site", site, "node", name]:
                return cls(mesh, "node", name, site)
            case [mesh, "master" | "operator" | "release" as role, name]:
                return cls(mesh, role, name)
            case _:
                raise _not_an_identity(uri)


def _not_an_identity(uri: str) -> IdentityRefused:
    return IdentityRefused(
        f"{uri!r} is no identity: expected spiffe://MESH/site/SITE/node/ID or "
        "spiffe://MESH/ROLE/NAME with the role master, operator or release"
    )

"""What a node says of itself by mDNS, and what is believed of what others say. No I/O.

Anyone on the LAN can say anything, so what is found is a hint where to dial and no more: mutual
TLS decides who answers. Everything is checked for size and form before it is passed on, what names
another mesh or site is ignored, and what is remembered is bounded.
"""

import hashlib
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SERVICE_TYPE = "_meshd._tcp.local."

HINTS_MAX = 256
"""Remembered; as many as a site may have nodes. Worst case 256 hints of 1 KB."""

ADDRESSES_MAX = 4
"""Of one hint: a machine with more addresses on one LAN is rare, and each costs a dial."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
"""A mesh, a site or a node ID."""

BOOT = re.compile(r"[0-9]{1,19}", re.ASCII)

PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What this node says of itself: `addresses` are IP addresses, `port` is the peer port."""

    mesh: str
    site: str
    id: str
    boot: int
    addresses: tuple[str, ...]
    port: int

    def __post_init__(self) -> None:
        for name in (self.mesh, self.site, self.id):
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} cannot be advertised by mDNS: up to 63 of A-Z a-z 0-9 ._-"
                )
        for address in self.addresses:
            ipaddress.ip_address(address)

    def properties(self) -> dict[str, str]:
        """The TXT record."""
        return {"mesh": self.mesh, "site": self.site, "id": self.id, "boot": str(self.boot)}

    def label(self) -> str:
        """The instance's DNS label, the same at each boot, and another in each mesh and site.

        The same, so that a node killed without a goodbye takes its old records' place.
        """
        whole = "\0".join((self.mesh, self.site, self.id)).encode()
        readable = re.sub(r"[^a-z0-9-]", "-", self.id.lower())[:40]
        return f"{readable}-{hashlib.sha256(whole).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Hint:
    """Where a neighbour may be: `addresses` are HOST:PORT, to be tried each."""

    id: str
    boot: int
    addresses: tuple[str, ...]


def hint_of(
    own: Advertisement,
    properties: Mapping[bytes, bytes | None],
    addresses: Iterable[str],
    port: int | None,
) -> Hint | None:
    """Make a hint of a service's records; None: of another mesh or site, our own, or malformed."""
    if _text(properties, "mesh") != own.mesh or _text(properties, "site") != own.site:
        return None
    node, boot = _text(properties, "id"), _text(properties, "boot")
    if node == own.id or not NAME.fullmatch(node) or not BOOT.fullmatch(boot):
        return None
    if port is None or not 0 < port <= PORT_MAX:
        return None
    usable = [shown for address in addresses if (shown := _host(address)) is not None]
    if not usable:
        return None
    unique = tuple(f"{host}:{port}" for host in dict.fromkeys(usable))
    return Hint(node, int(boot), unique[:ADDRESSES_MAX])


def _text(properties: Mapping[bytes, bytes | None], key: str) -> str:
    return (properties.get(key.encode()) or b"").decode("ascii", errors="replace")


def _host(address: str) -> str | None:
    """An address as it stands in HOST:PORT; None for what cannot be dialled."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    # A link-local IPv6 address is one only together with an interface, which a hint has not.
    if (
        parsed.is_multicast
        or parsed.is_unspecified
        or (parsed.version == 6 and parsed.is_link_local)
    ):
        return None
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)


@dataclass(slots=True)
class Hints:
    """The hints that were passed on last, by node, so that the same is not passed on twice."""

    _by_id: OrderedDict[str, Hint] = field(default_factory=OrderedDict)
    forgotten: int = 0

    def is_news(self, hint: Hint) -> bool:
        """Note a hint; True: it is the first of its node, or differs from the last."""
        if self._by_id.get(hint.id) == hint:
            self._by_id.move_to_end(hint.id)
            return False
        self._by_id[hint.id] = hint
        self._by_id.move_to_end(hint.id)
        if len(self._by_id) > HINTS_MAX:
            self._by_id.popitem(last=False)
            self.forgotten += 1
        return True

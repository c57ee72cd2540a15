"""Addresses as HOST:PORT, and nothing else.

An address may come from another node. gRPC understands schemes in it (a Unix socket, a proxy
service), so it is taken apart and put together again, and never handed on as it came.
"""

import ipaddress
import re

_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
HOST_CHARACTERS_MAX = 253
"""Of a DNS name (RFC 1035, 2.3.4, in its written form)."""


class AddressRefused(ValueError):
    """Not HOST:PORT. Nothing was dialled."""


def split_address(address: str, *, port_zero: bool = False) -> tuple[str, int]:
    """Host and port of HOST:PORT or [IPV6]:PORT. Raises AddressRefused."""
    host, _, port = address.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    lowest = 0 if port_zero else 1
    if not lowest <= number <= 65535 or not _is_host(host):
        shown = address[: HOST_CHARACTERS_MAX + 8]
        raise AddressRefused(f"{shown!r} is no address: give HOST:PORT, as 10.0.0.5:7400")
    return host.removeprefix("[").removesuffix("]"), number


def join_address(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target(address: str) -> str:
    """The address for gRPC, with a scheme of our choosing. Raises AddressRefused."""
    host, port = split_address(address)
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return f"dns:///{host}:{port}"
    return f"ipv{version}:{join_address(host, port)}"


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            return ipaddress.ip_address(host[1:-1]).version == 6
        except ValueError:
            return False
    return len(host) <= HOST_CHARACTERS_MAX and _HOST.fullmatch(host) is not None

"""Addresses as HOST:PORT, and nothing else.

An address may come from another node. gRPC understands schemes in it (a Unix socket, a proxy
service), so it is taken apart and put together again, and never handed on as it came.
"""

import functools
import ipaddress
import re

_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9a-fA-F]*)")
"""A name that ends like this is read as an IPv4 address by resolvers: 127.1, 0x7f000001."""
HOST_CHARACTERS_MAX = 253
"""Of a DNS name (RFC 1035, 2.3.4, in its written form)."""

ADDRESSES_KEPT = 1024
"""Addresses remembered as taken apart, at most 0.6 KB each: those of neighbours come with every
register."""

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(ValueError):
    """Not HOST:PORT, or of no other machine. Nothing was dialled."""


@functools.lru_cache(maxsize=ADDRESSES_KEPT)
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
    """The address for gRPC, with a scheme of our choosing.

    Raises AddressRefused, also for addresses of every interface or of many machines: nobody in
    particular is there, and the system would connect to itself.
    """
    host, port = split_address(address)
    ip = _ip(host)
    if ip is None:
        return f"dns:///{host}:{port}"
    if ip.is_unspecified or ip.is_multicast:
        raise AddressRefused(f"{address!r} is no machine's address: give one that is")
    return f"ipv{ip.version}:{join_address(host, port)}"


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT is on the machine itself, as far as its text says. Raises
    AddressRefused."""
    host, _ = split_address(address, port_zero=True)
    ip = _ip(host)
    if ip is None:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    return ip.is_loopback


def refusal(address: str, own: str) -> str:
    """Why nobody is dialled at `address`, which another node may have written; "" if it may be.

    `own` is where this node itself listens, "" while that is not known. Only who is on loopback, as
    in a trial on one machine, has neighbours there: else such an address would make it knock at
    its own machine's doors.
    """
    try:
        target(address)
        if not is_loopback(address) or (own and is_loopback(own)):
            return ""
    except AddressRefused as refused:
        return str(refused)
    return f"{address!r} is this machine's own loopback interface, and no neighbour's address"


def as_reached(listening: str, known: str) -> str:
    """Where others reach a port that listens at `listening`, on a machine whose other port they
    reach at `known`; "" where it cannot be said."""
    try:
        host, port = split_address(listening)
        ip = _ip(host)
        if ip is None or not ip.is_unspecified:
            return listening
        return join_address(split_address(known)[0], port)
    except AddressRefused:
        return ""


def _ip(host: str) -> _Ip | None:
    """The IP address that `host` writes; that within an IPv6 address which stands for IPv4."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _is_host(host: str) -> bool:
    if len(host) > HOST_CHARACTERS_MAX:  # also of an IPv6 address, whose zone has no bound
        return False
    if host.startswith("[") and host.endswith("]"):
        try:
            return ipaddress.ip_address(host[1:-1]).version == 6
        except ValueError:
            return False
    if _HOST.fullmatch(host) is None:
        return False
    return _NUMBER.fullmatch(host) is None or _ip(host) is not None

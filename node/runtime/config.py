"""What the runtime is told at its start. It changes only by starting the runtime anew."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path


class ConfigRefused(ValueError):
    """The configuration asks for something that the runtime does not do; nothing was started."""


@dataclass(frozen=True, slots=True)
class TlsPaths:
    """PEM files of the node's identity on the mTLS inference port. Key and certificate are read at
    each handshake."""

    key: Path
    certificate: Path
    authorities: Path
    """As at enrolment: the agent tells of others."""


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """Where the runtime listens, and as whom.

    `inference_address` is the clear port and must be on the loopback interface.
    `peer_inference_address` (None: no such port) speaks mTLS and needs `tls`.
    """

    socket_path: Path
    data_dir: Path
    node: str
    mesh: str
    site: str
    inference_address: str = "127.0.0.1:7410"
    peer_inference_address: str | None = None
    tls: TlsPaths | None = None

    @property
    def authorities(self) -> Path:
        """Where the runtime keeps the authorities that it was told of."""
        return self.data_dir / "run" / "authorities.pem"

    @property
    def guests(self) -> Path:
        """Where the runtime keeps which boxes were admitted, and which keys revoked."""
        return self.data_dir / "run" / "guests"

    @property
    def scratch(self) -> Path:
        """A folder for what workers write while they load; emptied at each start."""
        return self.data_dir / "run" / "scratch"

    def __post_init__(self) -> None:
        """Raises ConfigRefused if a value makes no sense."""
        check_loopback(self.inference_address)
        if self.peer_inference_address is not None and self.tls is None:
            raise ConfigRefused(
                "inference.peer_listen needs the node's identity: run `meshd node join` first"
            )


def check_loopback(address: str) -> None:
    """Raises ConfigRefused unless `address` (host:port) is on the loopback interface."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigRefused(
            f"inference.listen {address!r}: the clear port listens on loopback only, for example "
            "127.0.0.1:7410; for other machines set inference.peer_listen, which speaks mTLS"
        )

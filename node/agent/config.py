"""The configuration of a daemon: a TOML file, and MESHD_SECTION_KEY in the environment above it.

Every key has a default, so that a machine that was enrolled runs without a file. A key that is not
known is an error, not a silence: a typo in `advertise` costs a site otherwise.
"""

import difflib
import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mesh.addresses import target
from mesh.desired.units import parse_duration, parse_size

DEFAULT_PATH = Path("/etc/meshd/meshd.toml")
FILE_BYTES_MAX = 256 * 1024
"""A site with a thousand sources needs about 100 KiB."""
PORTS = 65_536
LEVELS = ("debug", "info", "warning", "error", "critical")
NO_ENVIRONMENT = frozenset({"MESHD_CONFIG", "MESHD_DATA"})


class ConfigError(ValueError):
    """The configuration cannot be used: where, why, and what would do. Nothing was started."""


@dataclass(frozen=True)
class NodeSection:
    """What this machine says of itself."""

    labels: dict[str, str] = field(default_factory=dict)
    cores: int = 0
    """0: as many as the machine has."""
    memory: str = ""
    """Empty: three quarters of the machine's."""
    devices: list[str] = field(default_factory=lambda: ["CPU"])


@dataclass(frozen=True)
class PeerSection:
    """The peer port: other nodes, masters, and `meshctl`."""

    listen: str = "0.0.0.0:7400"
    advertise: str = ""
    """HOST:PORT at which neighbours reach this node; empty: found out."""
    seeds: list[str] = field(default_factory=list)
    """ID@HOST:PORT of neighbours, where multicast does not work."""


@dataclass(frozen=True)
class MasterSection:
    """Where masters are."""

    addresses: list[str] = field(default_factory=list)
    """ID@HOST:PORT; empty: as learnt when the node was enrolled."""


@dataclass(frozen=True)
class WanSection:
    """The link to a master."""

    retry_max: str = "30s"
    """The longest wait between two attempts; the wait itself is drawn between 0 and that."""
    exchange: str = "60s"
    """Between two exchanges when nothing happens; 300s on metered links."""


@dataclass(frozen=True)
class DiscoverySection:
    """mDNS."""

    mdns: bool = True
    interfaces: list[str] = field(default_factory=list)
    """Addresses of the interfaces to use; empty: all."""


@dataclass(frozen=True)
class InferenceSection:
    """The inference ports."""

    listen: str = "127.0.0.1:7410"
    """In the clear, loopback only."""
    peer_listen: str = "0.0.0.0:7412"
    """mTLS, for neighbours."""


@dataclass(frozen=True)
class EnrolmentSection:
    """The enrolment port of a master."""

    listen: str = "0.0.0.0:7401"


@dataclass(frozen=True)
class JournalSection:
    """The node's journal."""

    quota: str = "256MiB"
    """For `data` entries; records are never dropped."""


@dataclass(frozen=True)
class LogSection:
    """The daemon's log, on stderr."""

    level: str = "info"


@dataclass(frozen=True)
class Source:
    """One source of frames: a file, a device or a stream."""

    url: str


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    node: NodeSection = field(default_factory=NodeSection)
    peer: PeerSection = field(default_factory=PeerSection)
    master: MasterSection = field(default_factory=MasterSection)
    wan: WanSection = field(default_factory=WanSection)
    discovery: DiscoverySection = field(default_factory=DiscoverySection)
    inference: InferenceSection = field(default_factory=InferenceSection)
    enrolment: EnrolmentSection = field(default_factory=EnrolmentSection)
    journal: JournalSection = field(default_factory=JournalSection)
    log: LogSection = field(default_factory=LogSection)
    sources: dict[str, Source] = field(default_factory=dict)
    path: Path | None = None


SECTIONS: dict[str, type] = {
    "node": NodeSection,
    "peer": PeerSection,
    "master": MasterSection,
    "wan": WanSection,
    "discovery": DiscoverySection,
    "inference": InferenceSection,
    "enrolment": EnrolmentSection,
    "journal": JournalSection,
    "log": LogSection,
}


def load_config(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Reads the file (None: the default one if it exists) and the environment.

    Raises ConfigError, which names the file and the key.
    """
    used = path if path is not None else (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
    table = _read(used) if used is not None else {}
    where = str(used) if used is not None else "the environment"
    _overlay(table, environment)
    sources = _sources(table.pop("sources", {}), where)
    for name in table:
        if name not in SECTIONS:
            raise ConfigError(f"{where}: unknown section [{name}]{_near(name, SECTIONS)}")
    sections = {name: _section(name, kind, table, where) for name, kind in SECTIONS.items()}
    config = Config(**sections, sources=sources, path=used)
    try:
        _check_values(config)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return config


def split_peer(text: str) -> tuple[str, str]:
    """ID and HOST:PORT of `ID@HOST:PORT`. Raises ConfigError."""
    node, at, address = text.partition("@")
    host, colon, port = address.rpartition(":")
    if not (at and node and colon and host and port.isdigit()):
        raise ConfigError(f"{text!r} is no peer: write ID@HOST:PORT")
    return node, address


def _check_values(config: Config) -> None:
    """Raises ValueError for the first value that is of the right type and still not usable."""
    for key, value, check in (
        ("wan.retry_max", config.wan.retry_max, parse_duration),
        ("wan.exchange", config.wan.exchange, parse_duration),
        ("journal.quota", config.journal.quota, parse_size),
        ("node.memory", config.node.memory or "1B", parse_size),
        ("peer.listen", config.peer.listen, _check_address),
        ("peer.advertise", config.peer.advertise or "localhost:1", target),
        ("enrolment.listen", config.enrolment.listen, _check_address),
        ("inference.listen", config.inference.listen, _check_address),
        ("inference.peer_listen", config.inference.peer_listen, _check_address),
        ("log.level", config.log.level, _check_level),
        *(("peer.seeds", seed, split_peer) for seed in config.peer.seeds),
        *(("master.addresses", master, split_peer) for master in config.master.addresses),
    ):
        try:
            check(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None


def _check_address(text: str) -> None:
    host, _, port = text.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError(f"{text!r} is no address of this machine: write IP:PORT") from None
    if not (port.isdigit() and int(port) < PORTS):
        raise ValueError(f"{text!r} has no port from 0 to {PORTS - 1}: write IP:PORT")


def _check_level(text: str) -> None:
    if text.lower() not in LEVELS:
        raise ValueError(f"{text!r} is none of {', '.join(LEVELS)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()[: FILE_BYTES_MAX + 1]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name another with --config") from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: more than {FILE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _overlay(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Puts MESHD_SECTION_KEY=VALUE above the file; lists are comma-separated."""
    for variable in sorted(environment):
        if not variable.startswith("MESHD_") or variable in NO_ENVIRONMENT:
            continue
        section, _, key = variable.removeprefix("MESHD_").lower().partition("_")
        if section not in SECTIONS or not key:
            raise ConfigError(f"the environment: {variable} names no key of the configuration")
        values = table.setdefault(section, {})
        if isinstance(values, dict):  # else it is refused with its place, later
            values[key] = _typed(section, key, environment[variable])


def _typed(section: str, key: str, text: str) -> Any:
    kind = type(getattr(SECTIONS[section](), key, ""))
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    if kind is int and text.isdigit():
        return int(text)
    return text


def _section(name: str, kind: type, table: dict[str, Any], where: str) -> Any:
    given = table.get(name, {})
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: [{name}] must be a section")
    known = {f.name: f for f in fields(kind)}
    default = kind()
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {name}.{key}{_near(key, known)}")
        expected = type(getattr(default, key))
        if type(value) is not expected:
            raise ConfigError(f"{where}: {name}.{key} must be of type {expected.__name__}")
        inner = value.values() if isinstance(value, dict) else value
        if isinstance(value, (list, dict)) and not all(isinstance(one, str) for one in inner):
            raise ConfigError(f"{where}: {name}.{key} must hold strings")
    return kind(**given)


def _sources(given: Any, where: str) -> dict[str, Source]:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: [sources] must be a section")
    sources = {}
    for name, value in given.items():
        if not isinstance(value, dict) or set(value) != {"url"}:
            raise ConfigError(f"{where}: [sources.{name}] has exactly one key, `url`")
        sources[name] = Source(url=str(value["url"]))
    return sources


def _near(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"

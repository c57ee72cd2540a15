"""What a master keeps of nodes, tokens, releases and alarms: one small record each, as JSON.

Bytes are written as hex, so that a person can read a backup.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R", bound="Record")


@dataclass(frozen=True, slots=True)
class Record:
    """Something that is kept under a name, and reads back as it was written."""

    def encode(self) -> bytes:
        """The record as JSON."""
        values = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in asdict(self).items()
        }
        return json.dumps(values, sort_keys=True).encode()

    @classmethod
    def decode(cls: type[R], data: bytes) -> R:
        """The record in `data`. What a newer release added is left out."""
        values = json.loads(data)
        kinds = get_type_hints(cls)
        known = {one.name for one in fields(cls)} & set(values)
        return cls(**{name: _read(kinds[name], values[name]) for name in known})


def _read(kind: Any, value: Any) -> Any:
    return bytes.fromhex(value) if kind is bytes else value


@dataclass(frozen=True, slots=True)
class NodeRecord(Record):
    """A node that was enrolled. `revoked` says why its keys count no longer; empty: they do.
    `cordoned`: it takes no new work, says an operator; `draining`: its work moves off as well.
    `admitted`: by whom, for people, if that was at its site; `delegation`: under which one.
    `since`: the counter of the first state that has it with these keys; 0: not known."""

    node: str
    site: str
    certificate: bytes
    tls_key: bytes
    signing_key: bytes
    enrolled_unix_ms: int
    revoked: str = ""
    cordoned: bool = False
    draining: bool = False
    admitted: str = ""
    delegation: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class DelegationRecord(Record):
    """Who at a site may admit boxes there. `authority` is the certificate (DER) of the key that
    does; `ended` says why it was ended by hand; empty: it was not. `uses`: of each number that was
    used, in decimal, the box's TLS key (hex); `replaced`: by the TLS key (hex) of each node whose
    place was taken, the ID of the box that took it, which stays known when that box is gone."""

    id: str
    site: str
    count: int
    until_unix_ms: int
    authority: bytes
    operator: str
    made_unix_ms: int
    ended: str = ""
    uses: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RevocationRecord(Record):
    """Keys that count no longer. They outlive the node's record: the ID may be given again.
    `since` and `until`: the counter of the first state that had the node in its site's roster, and
    of the first that has not; `until` 0: not known."""

    subject: str
    tls_key: bytes
    signing_key: bytes
    reason: str
    unix_ms: int
    since: int = 0
    until: int = 0


@dataclass(frozen=True, slots=True)
class TokenRecord(Record):
    """A join token; of its secret only the hash. `used_by` is the node that used it up; `operator`
    made it, "" if an older release did."""

    id: str
    secret_hash: bytes
    site: str
    expires_unix_ms: int
    used_by: str = ""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseRecord(Record):
    """An artifact that may be used under its name and version, which never change their meaning."""

    name: str
    version: str
    digest: bytes
    kind: str
    memory_bytes: int
    total_bytes: int
    chunks: int
    released_unix_ms: int


@dataclass(frozen=True, slots=True)
class HoldRecord(Record):
    """What an operator holds about a service in one site; `model`, NAME@VERSION, is empty where it
    is the rollout that is held."""

    site: str
    service: str
    model: str
    reason: str
    unix_ms: int


@dataclass(frozen=True, slots=True)
class AlarmRecord(Record):
    """A condition that a person should know of now."""

    kind: str
    subject: str
    site: str
    message: str
    severity: str
    since_unix_ms: int

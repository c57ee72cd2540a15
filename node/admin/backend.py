"""What stands behind the Admin service: a protocol that the agent fulfils, and its refusals.

A node's backend answers the reading half and `restart`, and raises NotHere for the rest; a
master's answers everything. Every method may be called many times at once.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.admin.documents import Document
from protos.documents_pb2 import SiteSnapshot

ROLLOUT_ACTIONS = ("undo", "pause", "resume")


class Refusal(Exception):
    """A request that is not carried out. Nothing was changed; the text says what to do next."""


class BadInput(Refusal):
    """The request itself is wrong: bad YAML, a bad manifest, a chunk that is not what it says."""


class NotHere(Refusal):
    """Another daemon could do this: "only a master can apply; ..."."""


class NotFound(Refusal):
    """What the request names does not exist here."""


class Refused(Refusal):
    """The caller may not do this, or the thing asked for is forbidden."""


class Exhausted(Refusal):
    """Too large, too many, or the disk is full."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a request made of one resource: created, configured, unchanged or deleted."""

    kind: str
    name: str
    change: str


@dataclass(frozen=True, slots=True)
class Applied:
    """The changes, the counter of the state head that says so (the old one if none), and what was
    taken all the same but should be looked at."""

    changes: Sequence[Change]
    counter: int
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NewToken:
    token: str
    expires_unix_ms: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """An artifact's digest and which of its chunks are not here yet, in order."""

    artifact: bytes
    missing: Sequence[int]


@dataclass(frozen=True, slots=True)
class Restarted:
    """How many replicas were restarted here; at a master 0 and the counter that asks for it."""

    replicas: int
    counter: int


@dataclass(frozen=True, slots=True)
class Steered:
    """Where something changed (nowhere: it was so already), the counter of the state that says so,
    and the version that is planned now, NAME@VERSION."""

    sites: Sequence[str]
    counter: int
    version: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """The counter of the state in which a node is revoked; `already` is the reason of an earlier
    revocation, which stands: "" if this one is new."""

    counter: int
    already: str = ""


@dataclass(frozen=True, slots=True)
class Cordoned:
    """How many workloads still run on the node, as far as this daemon knows; the counter of the
    state that holds it back, 0 at the node itself."""

    workloads: int
    counter: int


@dataclass(frozen=True, slots=True)
class DelegationMade:
    """A delegation's name, when nobody new is admitted by it any more, and the counter of the state
    that says so."""

    id: str
    until_unix_ms: int
    counter: int


class Backend(Protocol):
    """The daemon behind the Admin service. All methods may raise any Refusal."""

    async def get(self, kind: str, name: str, site: str, limit: int) -> list[Document]:
        """The documents of one of `documents.KINDS`; "" for all names and sites.

        At most `limit` of them: of events and outages the latest, of other kinds the first.
        """
        ...

    def watch(self, kind: str, name: str, site: str, limit: int) -> AsyncIterator[list[Document]]:
        """First what `get` gives, then more on each change, until closed.

        Of `events` each item holds the new ones only; of other kinds the whole list again.
        """
        ...

    async def apply(self, yaml: bytes, source: str, dry_run: bool) -> Applied:
        """All of the documents or none. `source` is the file's name, for messages."""
        ...

    async def delete(self, kind: str, name: str) -> Applied: ...

    async def create_token(self, site: str, valid_s: int) -> NewToken:
        """`valid_s` 0: the daemon's own default."""
        ...

    async def push_manifest(self, manifest: bytes) -> Pushed:
        """Takes a signed manifest; going on after a break gives what is still missing."""
        ...

    async def push_chunk(self, artifact: bytes, chunk: int, data: bytes) -> None:
        """Checks the chunk against its manifest and keeps it; it lies on disk when this returns."""
        ...

    async def missing(self, artifact: bytes) -> Sequence[int]: ...

    async def release(self, artifact: bytes) -> int:
        """Publishes a whole artifact under its name and version; the counter that says so."""
        ...

    async def revoke(self, node: str, reason: str) -> Revoked: ...

    async def restart(self, workload: str, site: str, reason: str) -> Restarted: ...

    async def rollout(self, service: str, site: str, action: str, reason: str) -> Steered:
        """`action` is one of ROLLOUT_ACTIONS; `site` "": wherever the service is for."""
        ...

    async def pin(self, service: str, site: str, version: str, reason: str) -> Steered:
        """`version` of the service's model; "": the sites follow the resource again."""
        ...

    async def draft_change(
        self, workload: str, field: str, value: str, valid_s: int, reason: str
    ) -> bytes:
        """The local change (a LocalChange) that an operator is to sign."""
        ...

    async def change(self, envelope: bytes) -> bytes:
        """Takes a local change that an operator signed; its digest."""
        ...

    async def delegate(
        self, site: str, count: int, valid_ms: int, authority: bytes
    ) -> DelegationMade:
        """Lets the caller admit `count` boxes at a site with the key of `authority` (DER)."""
        ...

    async def end_delegation(self, name: str, reason: str) -> DelegationMade: ...

    async def snapshot(self, site: str) -> SiteSnapshot:
        """What a box of the site begins with."""
        ...

    async def cordon(self, node: str, cordoned: bool, draining: bool, reason: str) -> Cordoned:
        """`draining` implies `cordoned`; neither: the node takes work again."""
        ...

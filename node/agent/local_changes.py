"""Local changes as daemons answer for them: what to sign, what was signed, and what counts."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from mesh.core.changes import HELD_MAX, LOCAL_CHANGES
from mesh.core.messages import ChangeMade
from mesh.core.node import NodeCore
from mesh.hashing import sha256
from mesh.heads.trust import Trust
from mesh.site.changes import (
    CHOSEN,
    FIELDS,
    LOCAL_RESTART,
    PIN,
    REASON_MAX,
    RESTART,
    ROLLBACK,
    SCALE,
    Change,
    ChangeRefused,
    base_of,
    open_change,
    why_not,
)
from node.admin.backend import BadInput, Exhausted, NotFound, Refused
from node.disk.documents import DocumentStore
from node.disk.errors import DiskError
from protos.documents_pb2 import LocalChange, Plan, StableRegister

Document = dict[str, Any]
VALID_S_MAX = 400 * 24 * 3600
"""The longest that any plan may allow."""


class OwnChanges:
    """Takes an operator's changes at a node: its disk has one before anybody goes by it, or is told
    that it counts. `feed` gives the core what was checked here."""

    def __init__(
        self,
        core: NodeCore,
        documents: DocumentStore,
        in_thread: Callable[..., Awaitable[Any]],
        feed: Callable[[ChangeMade], None],
    ) -> None:
        self._core = core
        self._documents = documents
        self._in_thread = in_thread
        self._feed = feed

    def draft(self, workload: str, field: str, value: str, valid_s: int, reason: str) -> bytes:
        """What an operator is to sign. Raises a Refusal where it could not count."""
        core = self._core
        if field not in FIELDS:
            raise BadInput(f"{field[:32]!r} cannot be changed locally; {', '.join(FIELDS)} can")
        if not 1 <= len(reason) <= REASON_MAX or not reason.isprintable():
            raise BadInput(f"give a reason of at most {REASON_MAX} characters: --reason")
        if not 1 <= valid_s <= VALID_S_MAX:
            raise BadInput(f"give a time from 1 second to {VALID_S_MAX // 86_400} days: --for")
        service = next((s for s in core.in_force.planned.services if s.name == workload), None)
        if service is None:
            raise NotFound(f"no service {workload!r} is planned here; see `meshctl get services`")
        artifact = b""
        if field == PIN and value:
            artifact = self._artifact(service.model, value)
        elif field in (RESTART, ROLLBACK) and value:
            value, artifact = self._chosen(workload, field, value)
        now = core.unix_ms()
        body = LocalChange(
            mesh=core.peer.heads.trust.mesh,
            site=core.peer.config.site,
            base_counter=core.in_force.counter,
            base=base_of(service, field),
            workload=workload,
            field=field,
            value=value,
            artifact=artifact,
            counter=core.changes.counter_after((workload, field)),
            made_unix_ms=now,
            until_unix_ms=core.changes.until((workload, field), value, now + valid_s * 1000),
            reason=reason,
        )
        return body.SerializeToString(deterministic=True)

    def _chosen(self, workload: str, field: str, value: str) -> tuple[str, bytes]:
        """The value of a restart or a rollback, and its artifact, which the node knows."""
        if value != CHOSEN:
            raise BadInput(f"a {field} takes no value: the node says what it is")
        share = self._core.share
        service = next((s for s in share.base.services if s.name == workload), None)
        if service is None:
            raise Refused("this node has just started: try again in a moment")
        if field == RESTART:
            return str(service.restarts // LOCAL_RESTART + 1), b""
        earlier = share.rollouts.earlier(service)
        if earlier is None:
            raise Refused(
                f"this node knows of no good version of {workload} before "
                f"{service.model_version}: ask a node that runs it, or `meshctl local pin` one of "
                "those that `meshctl model ls` shows"
            )
        return earlier.model_version, self._artifact(service.model, earlier.model_version)

    def _artifact(self, model: str, version: str) -> bytes:
        """The version of the model, which must be here: an outage brings no other."""
        known = self._core.artifacts.known
        versions = {
            artifact.manifest.version: digest
            for digest, artifact in known.items()
            if artifact.manifest.name == model
        }
        if version not in versions:
            here = ", ".join(sorted(versions)) or "none"
            raise NotFound(f"{model}@{version} is not known at this site; versions here: {here}")
        return versions[version]

    async def change(self, envelope: bytes) -> bytes:
        """Takes a change that an operator signed; returns its digest. Raises Refused, with the
        rule, or Exhausted, and nothing was changed."""
        changes = self._core.changes
        await self._keep(changes.document(self._checked(envelope)))
        try:
            self._checked(envelope)  # time has passed
        except Refused:
            await self._keep(changes.document())
            raise
        self._feed(ChangeMade(envelope))
        return sha256(envelope)

    async def _keep(self, document: bytes) -> None:
        try:
            await self._in_thread(self._documents.put, LOCAL_CHANGES, document)
        except DiskError as error:
            raise Exhausted(f"it cannot be kept, and nothing was changed: {error}") from None

    def _checked(self, envelope: bytes) -> Change:
        try:
            return self._core.changes.check(envelope, self._core.unix_ms())
        except ChangeRefused as refused:
            raise Refused(f"the change does not count: {refused}") from None


def change_documents(changes: Iterable[Change]) -> list[Document]:
    """One document for each change that counts."""
    return [
        {
            "workload": change.body.workload,
            "site": change.body.site,
            "field": change.body.field,
            "value": change.body.value or "as planned",
            "until": change.body.until_unix_ms,
            "made": change.body.made_unix_ms,
            "operator": change.body.operator,
            "reason": change.body.reason,
            "base_counter": change.body.base_counter,
            "counter": change.body.counter,
            "change": sha256(change.envelope).hex(),
        }
        for change in sorted(changes, key=lambda one: (one.body.site, one.key))
    ]


def scaled(changes: Iterable[Change]) -> dict[str, dict[str, int]]:
    """Of each service that was scaled at sites: how many replicas it has at each. Of the changes of
    one site the highest counts, and one that ends another says nothing."""
    found: dict[str, dict[str, int]] = {}
    for one in sorted(changes, key=lambda change: change.rank):
        if one.body.field != SCALE:
            continue
        of_service = found.setdefault(one.body.workload, {})
        of_service.pop(one.body.site, None)
        if one.body.value:
            of_service[one.body.site] = int(one.body.value)
    return found


def reported_changes(
    bodies: Iterable[StableRegister], trust: Trust, plan: Plan, counter: int, unix_ms: int
) -> list[Change]:
    """The changes that a site's registers list, each once, and that count there under the state
    `counter` and its `plan`: what a master tells of a site. A node that lists others is behind."""
    found: dict[bytes, Change] = {}
    for body in bodies:
        for envelope in body.local_changes[:HELD_MAX]:
            if envelope in found:
                continue
            try:
                change = open_change(envelope, trust.keys("operator"), trust.mesh, body.site)
            except ChangeRefused:
                continue  # its site's nodes refuse it as well, and journal that
            made_here = change.body.base_counter <= counter
            if made_here and not why_not(change, plan, counter, unix_ms):
                found[envelope] = change
    return list(found.values())

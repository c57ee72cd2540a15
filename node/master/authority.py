"""The authority: every change of what the mesh is told, one at a time.

Each operation checks its input against all that holds, makes the content that would follow, has it
compiled, commits and signs; or it is refused and nothing was changed. What already holds changes
nothing, not even the counter. One lock orders the writers; what peers read is swapped whole and
needs none. All methods are synchronous and may take as long as the disk does: a daemon calls them
in a thread.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from mesh.blobs.manifest import Artifact, open_manifest
from mesh.desired.collection import Key, key_of
from mesh.desired.parse import Parsed, parse
from mesh.desired.problems import Problem, ResourcesRefused
from mesh.desired.references import Finding, check_references, locate
from mesh.desired.resources import KINDS, Pipeline, Resource, Service
from mesh.heads.certificates import Certified
from mesh.heads.limits import NUMBER_MAX
from mesh.heads.trust import Trust
from node.disk.authority_keys import MasterKeys
from node.master.admission import ALARMS, Admission, Enrolled, NewToken
from node.master.content import (
    Content,
    delete_resource,
    differences,
    forget_service,
    put_node,
    put_release,
    put_resource,
    put_restarts,
)
from node.master.delegating import Delegating
from node.master.errors import MasterRefused, NotFound
from node.master.events import EventBook, EventRecord, Told, printable
from node.master.publisher import Draft, Publisher
from node.master.records import AlarmRecord, ReleaseRecord, TokenRecord
from node.master.requests import EnrolmentRequest
from node.master.revoking import Revoked, without_keys
from node.master.steering import Steered, Steering
from node.master.store import Store, Write
from protos.documents_pb2 import Branch

T = TypeVar("T")
MANIFESTS = "manifest"
"""The name of the store's table."""
CORDON_EVENTS = {
    (False, False): "node.uncordoned",
    (True, False): "node.cordoned",
    (True, True): "node.draining",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one resource: `change` is created, configured, unchanged or deleted."""

    kind: str
    name: str
    change: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of each resource, the counter of the state that says so, and what to look at."""

    changes: tuple[Change, ...]
    counter: int
    warnings: tuple[Problem, ...] = ()


class Authority:
    """One mesh's authority, on its store. `clock` gives milliseconds since 1970, `asking` the name
    of the operator whose call is served, or "". Raises StoreRefused or ResourcesRefused if the
    store holds what this release cannot read.
    """

    def __init__(
        self, store: Store, keys: MasterKeys, clock: Callable[[], int], asking: Callable[[], str]
    ) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self.trust = Trust(keys.root_key, keys.trust_envelope)
        self._publisher = Publisher(store, keys.state_signer, self.trust, clock)
        self._book = EventBook(store, clock, asking)
        self._admission = Admission(store, self._publisher, self._book, keys, clock)
        self._steering = Steering(self._publisher, self._book, clock)
        self._delegating = Delegating(self._publisher, self._book, keys.mesh, clock)

    @property
    def content(self) -> Content:
        """All that holds now."""
        return self._publisher.content

    @property
    def counter(self) -> int:
        """Of the state head of now."""
        return self._publisher.published.counter

    @property
    def signed_unix_ms(self) -> int:
        """When the state head of now was signed."""
        return self._publisher.published.signed_unix_ms

    def state(self) -> bytes:
        """The envelope of the state head of now."""
        return self._publisher.published.envelope

    def branch(self, name: str) -> tuple[Branch, bytes] | None:
        """A branch of the state of now with its proof, and its blob; None if there is none."""
        published = self._publisher.published
        if name not in published.branches:
            return None
        return published.tree.branch(name), published.branches[name]

    def branch_names(self) -> list[str]:
        """The branches of the state of now."""
        return sorted(self._publisher.published.branches)

    @property
    def blobs(self) -> Mapping[bytes, bytes]:
        """The branches' blobs of the state of now, by digest: another object for each state."""
        return self._publisher.published.blobs

    def blob(self, digest: bytes) -> bytes | None:
        """The branch's blob or the manifest of that digest, or None."""
        return self.blobs.get(digest) or self._store.get(MANIFESTS, digest.hex())

    def apply(self, yaml: bytes, dry_run: bool = False) -> Applied:
        """Takes all of the resources in `yaml`, or none.

        `dry_run`: says what would be, and does nothing. Raises ResourcesRefused, Busy.
        """
        parsed = parse(_decode(yaml))
        with self._lock:
            before = self.content
            resources = [one.resource for one in parsed]
            after = replace(before, resources=before.resources.with_all(resources))
            warnings = self._check(after, parsed)
            differs = differences(before.resources, resources)
            changes = tuple(Change(*key, change) for key, change in differs.items())
            draft = self._publisher.draft(after)
            changed = [one for one in resources if differs[key_of(one)] != "unchanged"]
            if changed and not dry_run:
                self._take(draft, changed)
            return Applied(changes, draft.counter, warnings)

    def _take(self, draft: Draft, changed: Sequence[Resource]) -> None:
        """Commits `draft`, whose content has these resources in a form that is new."""
        counter = draft.counter
        writes = [write for one in changed for write in put_resource(one, counter)]
        generations = {**draft.content.generations, **{key_of(one): counter for one in changed}}
        after = replace(draft.content, generations=generations)
        services = [one for one in changed if isinstance(one, Service)]
        after, noted = self._steering.note_versions(after, services, counter)
        self._publisher.commit(replace(draft, content=after), [*writes, *noted])

    def delete(self, kind: str, name: str) -> Applied:
        """Takes one resource away. Raises NotFound, or MasterRefused while another needs it."""
        with self._lock:
            before = self.content
            key = (_kind(kind), name)
            if key not in before.resources.by_key:
                raise NotFound(f"there is no {key[0]} {name!r}; list them: meshctl get {key[0]}")
            after = replace(
                before,
                resources=before.resources.without(key),
                generations={one: n for one, n in before.generations.items() if one != key},
            )
            writes = delete_resource(key)
            if key[0] == "Service":
                after, forgotten = forget_service(after, name)
                writes += forgotten
            self._check_not_needed(key, after)
            counter = self._publisher.commit(self._publisher.draft(after), writes)
            return Applied((Change(*key, "deleted"),), counter)

    def create_token(self, site: str, valid_s: int = 0) -> NewToken:
        """A join token for one machine of `site`. Raises MasterRefused."""
        with self._lock:
            return self._admission.create_token(site, valid_s)

    def tokens(self) -> list[TokenRecord]:
        """The tokens that can still be used."""
        return self._admission.tokens()

    def redeem(self, request: EnrolmentRequest) -> Enrolled:
        """Admits a machine. Raises EnrolRefused, Busy."""
        with self._lock:
            return self._admission.redeem(request)

    def check_artifact(self, envelope: bytes) -> Artifact:
        """The artifact that a manifest describes, if it may be released.

        Raises ManifestRefused, or MasterRefused if its name and version are taken.
        """
        artifact = open_manifest(envelope, self.trust.keys("release"))
        name, version = artifact.manifest.name, artifact.manifest.version
        present = self.content.releases.get((name, version))
        if present is not None and present.digest != artifact.digest:
            raise MasterRefused(
                f"{name} {version} was released with other content, and a version never changes; "
                f"push it under a new version: meshctl model push PATH --name {name} --version NEW"
            )
        return artifact

    def release(self, envelope: bytes) -> int:
        """Publishes an artifact under its name and version; the state's counter.

        The caller has all of its chunks on disk. Raises as `check_artifact` does, and Busy.
        """
        with self._lock:
            artifact = self.check_artifact(envelope)
            manifest = artifact.manifest
            key = (manifest.name, manifest.version)
            before = self.content
            if key in before.releases:
                return self.counter
            record = ReleaseRecord(
                name=manifest.name,
                version=manifest.version,
                digest=artifact.digest,
                kind=manifest.kind,
                memory_bytes=manifest.limits.memory_bytes,
                total_bytes=artifact.total_bytes,
                chunks=len(artifact.chunks),
                released_unix_ms=self._clock(),
            )
            after = replace(before, releases={**before.releases, key: record})
            writes = [put_release(record), Write(MANIFESTS, artifact.digest.hex(), envelope)]
            return self._publisher.commit(self._publisher.draft(after), writes)

    def revoke(self, node: str, reason: str) -> Revoked:
        """Takes a node's keys out of the mesh. What is revoked stays so, for the reason that was
        given then. Raises NotFound, Busy."""
        reason = printable(reason)
        with self._lock:
            before = self.content
            present = before.nodes.get(node)
            if present is None:
                raise NotFound(f"there is no node {node!r}; list them: meshctl get nodes")
            if present.revoked:
                return Revoked(self.counter, present.revoked)
            revoked = replace(present, revoked=reason)
            after = replace(before, nodes={**before.nodes, node: revoked})
            next_counter = self._publisher.next_counter
            after, gone = without_keys(after, self.trust.mesh, revoked, self._clock(), next_counter)
            writes = [put_node(revoked), gone]
            writes.append(Write(ALARMS, f"Clone/{node}", None))
            writes += self._book.writes(Told("node.revoked", node, reason, [present.site]))
            return Revoked(self._publisher.commit(self._publisher.draft(after), writes))

    def cordon(self, node: str, cordoned: bool, draining: bool, reason: str) -> int:
        """Whether a node takes work; `draining` implies `cordoned`, neither lets it take work
        again. The state's counter. Raises NotFound, MasterRefused, Busy."""
        reason = printable(reason)
        with self._lock:
            before = self.content
            present = before.nodes.get(node)
            if present is None:
                raise NotFound(f"there is no node {node!r}; list them: meshctl get nodes")
            if present.revoked:
                raise MasterRefused(
                    f"{node} is revoked and takes no work; it would have to join anew"
                )
            held = replace(present, cordoned=cordoned or draining, draining=draining)
            if held == present:
                return self.counter
            after = replace(before, nodes={**before.nodes, node: held})
            event = CORDON_EVENTS[held.cordoned, held.draining]
            noted = self._book.writes(Told(event, node, reason, [present.site]))
            return self._publisher.commit(self._publisher.draft(after), [put_node(held), *noted])

    def restart(self, workload: str, site: str = "", reason: str = "") -> int:
        """Asks a site, or all that run it, to restart a workload; the state's counter.

        Raises NotFound, MasterRefused, Busy.
        """
        reason = printable(reason)
        with self._lock:
            before = self.content
            sites = [one for one in self._sites_of(workload) if site in ("", one)]
            if not sites:
                where = f" in site {site!r}" if site else ""
                raise NotFound(
                    f"there is no workload {workload!r}{where}; list them: meshctl get workloads"
                )
            raised = {(one, workload): before.restarts.get((one, workload), 0) + 1 for one in sites}
            after = replace(before, restarts={**before.restarts, **raised})
            noted = self._book.writes(Told("workload.restart", workload, reason, sites))
            writes = [*put_restarts(raised), *noted]
            return self._publisher.commit(self._publisher.draft(after), writes)

    def steer(self, change: Callable[[Steering], Steered]) -> Steered:
        """Makes an operator's change: `change` calls one method of Steering. Raises as that does,
        and Busy."""
        with self._lock:
            return change(self._steering)

    def delegating(self, change: Callable[[Delegating], T]) -> T:
        """Makes a change of delegations, or takes a box in: `change` calls one method of
        Delegating. Raises as that does, and Busy."""
        with self._lock:
            return change(self._delegating)

    def check_box(self, der: bytes) -> Certified:
        """Who the certificate of a delegated authority names, if it counts. Raises
        IdentityRefused."""
        return self._delegating.check(der)

    def take_in(self, der: bytes) -> int:
        """Makes the box of this certificate a node; the state's counter. Raises IdentityRefused,
        MasterRefused, Busy."""
        return self.delegating(lambda d: d.take_in(der))

    def delegated(self) -> list[bytes]:
        """The certificates (DER) of the delegated authorities that stand."""
        by_site = self.content.delegations_by_site().values()
        return [one.authority for standing in by_site for one in standing]

    def events(self) -> list[EventRecord]:
        """What operators asked for, oldest first."""
        return self._book.all()

    def raise_above(self, counter: int, digest: bytes = b"") -> int:
        """Continues above a head that a peer reports, if ours is not it; the state's counter.

        `counter` and `digest` (of the payload) are of a head under the trust generation of now. So
        a master that was restored from a backup, or built anew, does not stall the fleet.
        """
        with self._lock:
            published = self._publisher.published
            ours = counter == published.counter and digest in (b"", published.digest)
            if counter < published.counter or ours:
                return published.counter
            if counter >= NUMBER_MAX:
                raise MasterRefused(
                    f"a peer has a state head with the counter {counter}, above which there is "
                    "none: a stolen key signed it; sign a new trust generation with the root key"
                )
            return self._publisher.commit(self._publisher.draft(self.content, above=counter), [])

    def alarms(self) -> list[AlarmRecord]:
        """What a person should know of enrolments."""
        return [AlarmRecord.decode(data) for _, data in self._store.scan(ALARMS)]

    def _check(self, content: Content, parsed: list[Parsed]) -> tuple[Problem, ...]:
        """The warnings of `content`. Raises ResourcesRefused for what is worse."""
        found = self._findings(content)
        errors = [finding for finding in found if not finding.warning]
        if errors:
            raise ResourcesRefused(locate(errors, parsed))
        written = {(one.resource.kind, one.resource.metadata.name) for one in parsed}
        return tuple(locate([one for one in found if one.resource in written], parsed))

    def _findings(self, content: Content) -> list[Finding]:
        enrolled = {record.site for record in content.nodes.values()}
        return check_references(content.resources, content.released(), enrolled)

    def _check_not_needed(self, key: Key, after: Content) -> None:
        needs = [one.resource for one in self._findings(after) if not one.warning]
        if needs:
            names = ", ".join(f"{kind} {name!r}" for kind, name in sorted(set(needs)))
            raise MasterRefused(f"{key[0]} {key[1]!r} is needed by {names}; delete that first")
        for (site, service), pin in after.pins.items():
            if key == ("Model", pin.model.partition("@")[0]):
                raise MasterRefused(
                    f"Model {key[1]!r} is needed in {site}, where {service!r} is pinned to "
                    f"{pin.model}; unpin that first: meshctl unpin {service} --site {site}"
                )

    def _sites_of(self, workload: str) -> list[str]:
        content, found = self.content, set()
        for kind in ("Service", "Pipeline"):
            resource = content.resources.by_key.get((kind, workload))
            if isinstance(resource, Service | Pipeline):
                found.update(content.sites_of(resource))
        return sorted(found)


def _decode(yaml: bytes) -> str:
    try:
        return yaml.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = yaml[: error.start].count(b"\n") + 1
        advice = "save the file as UTF-8"
        raise ResourcesRefused([Problem(line, 1, "", "this is not UTF-8", advice)]) from None


def _kind(word: str) -> str:
    """The kind that `word` names, in any case, singular or plural; else `word` itself."""
    folded = word.casefold()
    return next((kind for kind in KINDS if folded in (kind.lower(), kind.lower() + "s")), word)

"""The local changes that one node knows: heard from neighbours, or made here by an operator.

They travel in registers: who holds one repeats it, so it outlives the node at which it was made, a
restart, and the outage. Each node checks each itself, and all by the same rules.
"""

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from mesh.blobs.manifest import Artifact
from mesh.core.in_force import InForce
from mesh.events import Instruction, Notice, SaveDocument, WriteJournal
from mesh.hashing import sha256
from mesh.heads.trust import Trust
from mesh.site.changes import (
    CHANGES_MAX,
    VERSIONS,
    Change,
    ChangeRefused,
    Key,
    check_made,
    open_change,
    why_not,
)
from protos.documents_pb2 import KeptChanges

LOCAL_CHANGES = "local-changes"
"""The document: a KeptChanges."""
HELD_MAX = 2 * CHANGES_MAX
"""That are held at most: what two halves of a split may each have taken. 8 KiB of a register. Of
more the highest count, whichever came first, so that all nodes go by the same ones; as many more
wait for room, 8 KiB."""
SEEN_MAX = 64
"""Workloads and fields whose last change is remembered after it has ended. 64 KiB."""
REFUSED_KEPT = 256
"""Digests of changes that were refused, so that each is checked and told once. 16 KiB."""


class LocalChanges:
    """The changes that count at this site, as this node knows them. `artifacts` are those whose
    manifests are known, by digest; `document` is what the disk holds, or empty."""

    def __init__(
        self,
        site: str,
        trust: Trust,
        in_force: InForce,
        artifacts: Mapping[bytes, Artifact],
        document: bytes,
    ) -> None:
        self._site = site
        self._trust = trust
        self._in_force = in_force
        self._artifacts = artifacts
        self._held: dict[Key, Change] = {}
        self._waiting: dict[Key, Change] = {}
        """Those that would count if there were room."""
        self._seen: dict[Key, Change] = {}
        """The highest of each field that ever counted: what is lower never counts again, also when
        a node comes back that has yet to hear of its end."""
        self._refused: set[bytes] = set()
        try:
            kept = KeptChanges.FromString(document)
        except DecodeError:
            kept = KeptChanges()  # of another release: neighbours repeat what counts
        for envelope in [*kept.ended, *kept.counting]:
            self._restore(envelope, envelope in kept.counting)
        self._give_way()

    def _restore(self, envelope: bytes, counting: bool) -> None:
        """What was checked before it was kept: whether it still counts shows at the next look."""
        try:
            change = self._open(envelope)
        except ChangeRefused:
            return
        self._seen[change.key] = change
        if counting:
            self._held[change.key] = change

    def _operators(self) -> list[bytes]:
        return self._trust.keys("operator")

    # ---- what counts ----

    @property
    def held(self) -> list[Change]:
        """Those that count, by workload and field."""
        return [self._held[key] for key in sorted(self._held)]

    def envelopes(self) -> list[bytes]:
        """What this node's register repeats."""
        return [change.envelope for change in self.held]

    # ---- taking ----

    def check(self, envelope: bytes, unix_ms: int) -> Change:
        """The change of an operator here and now, if it would count. Raises ChangeRefused."""
        change = self._open(envelope)
        check_made(change, unix_ms)
        counting = sum(1 for one in self._held.values() if one.body.value)
        if change.key not in self._held and counting >= CHANGES_MAX:
            raise ChangeRefused(f"{CHANGES_MAX} changes count here already: end one first")
        self._check_alone(change)
        self._check(change, unix_ms)
        return change

    def _check_alone(self, change: Change) -> None:
        """Raises ChangeRefused where another change says which version the service runs."""
        body = change.body
        if body.field not in VERSIONS or not body.value:
            return
        (field,) = (one for one in VERSIONS if one != body.field)
        other = self._held.get((body.workload, field))
        if other is not None and other.body.value:
            raise ChangeRefused(
                f"a {field} of {body.workload} counts already: "
                f"`meshctl local end {body.workload} {field}` ends it"
            )

    def document(self, change: Change | None = None) -> bytes:
        """What the disk is to hold, with one more change that is to count."""
        more = {} if change is None else {change.key: change}
        held = {**self._held, **more}
        ended = [one.envelope for key, one in self._seen.items() if key not in held]
        kept = KeptChanges(counting=[held[key].envelope for key in sorted(held)], ended=ended)
        return kept.SerializeToString(deterministic=True)

    def counter_after(self, key: Key) -> int:
        """The counter of the next change of a workload's field."""
        known = self._known(key)
        return known.body.counter + 1 if known is not None else 1

    def until(self, key: Key, value: str, until_ms: int) -> int:
        """Until when a change lasts that is asked for until `until_ms`. An end lasts as long as
        what it ends: who was away, or has a wrong clock, hears of it while it would go by that."""
        held = self._held.get(key)
        return until_ms if value or held is None else max(until_ms, held.body.until_unix_ms)

    def _known(self, key: Key) -> Change | None:
        """The highest of a workload's field that is known here."""
        return self._waiting.get(key) or self._seen.get(key)

    def _open(self, envelope: bytes) -> Change:
        return open_change(envelope, self._operators(), self._trust.mesh, self._site)

    def _check(self, change: Change, unix_ms: int) -> None:
        why = self._why_not(change, unix_ms)
        if why:
            raise ChangeRefused(why)
        if change.body.base_counter > self._in_force.counter:
            raise ChangeRefused("it was made under a state that is not here yet")
        known = self._known(change.key)
        if known is not None and change.rank <= known.rank:
            raise ChangeRefused("one that was made after it counts, or has ended")

    def heard(self, envelopes: Sequence[bytes], node: str, unix_ms: int) -> list[Instruction]:
        """Those that a node's register lists, or that an operator made here: then `node` is this
        one. What a neighbour has that counts no more is its delay; what nobody signed is a lie."""
        known = {one.envelope for one in [*self._held.values(), *self._waiting.values()]}
        done: list[Instruction] = []
        for envelope in envelopes[:HELD_MAX]:
            if envelope in known or sha256(envelope) in self._refused:
                continue
            try:
                change = self._open(envelope)
                self._check_artifact(change)
            except ChangeRefused as refused:
                self._remember(envelope)
                done.append(Notice("refused", node, f"local change: {refused}"))
                continue
            try:
                self._check(change, unix_ms)
            except ChangeRefused:
                self._remember(envelope)
                continue
            done += self._take(change)
        return done

    def _remember(self, envelope: bytes) -> None:
        if len(self._refused) < REFUSED_KEPT:
            self._refused.add(sha256(envelope))

    def _take(self, change: Change) -> list[Instruction]:
        self._waiting.pop(change.key, None)
        self._held[change.key] = change
        gone = self._give_way()
        if change in gone:
            return []
        entries = [_ended(one, f"{HELD_MAX} that were made later count") for one in gone]
        return [*self._count(change), *entries]

    def _give_way(self) -> list[Change]:
        """Where more are held than may be, the lowest wait: those that do so from now on."""
        gone: list[Change] = []
        while len(self._held) > HELD_MAX:
            lowest = min(self._held.values(), key=_weight)
            del self._held[lowest.key]
            if self._seen.get(lowest.key) is lowest:
                del self._seen[lowest.key]  # else it could not count again
            self._waiting[lowest.key] = lowest
            gone.append(lowest)
        while len(self._waiting) > HELD_MAX:
            lowest = min(self._waiting.values(), key=_weight)
            del self._waiting[lowest.key]
            self._remember(lowest.envelope)
        return gone

    def _count(self, change: Change) -> list[Instruction]:
        self._seen.pop(change.key, None)
        self._seen[change.key] = change
        while len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        body = change.body
        fields = {
            "field": body.field,
            "value": body.value or "as planned",
            "operator": body.operator,
            "until": str(body.until_unix_ms),
            "change": sha256(change.envelope).hex()[:16],
        }
        entry = WriteJournal("record", "change.began", body.workload, body.reason, fields)
        return [*self._changed("a local change"), entry]

    # ---- ending ----

    def look(self, unix_ms: int) -> list[Instruction]:
        """Ends those that count no more."""
        done: list[Instruction] = []
        for change in self.held:
            why = self._why_not(change, unix_ms)
            if why:
                del self._held[change.key]
                done.append(_ended(change, why))
        done += self._fill(unix_ms)
        if not done:
            return []
        self._refused.clear()  # there is room again
        return [*self._changed("a local change has ended"), *done]

    def _fill(self, unix_ms: int) -> list[Instruction]:
        """Those that waited for room and would still count do so, the highest first."""
        done: list[Instruction] = []
        while self._waiting and len(self._held) < HELD_MAX:
            highest = max(self._waiting.values(), key=_weight)
            del self._waiting[highest.key]
            try:
                self._check(self._open(highest.envelope), unix_ms)
            except ChangeRefused:
                continue
            done += self._take(highest)
        return done

    def _why_not(self, change: Change, unix_ms: int) -> str:
        """Why it counts no more; "" also where no plan is known: unknown is not absent."""
        if not self._in_force.branch.site:
            return ""
        why = why_not(change, self._in_force.planned, self._in_force.counter, unix_ms)
        if why:
            return why
        try:
            self._check_artifact(change)
        except ChangeRefused as refused:
            return str(refused)
        return ""

    def _check_artifact(self, change: Change) -> None:
        """Raises ChangeRefused where a pinned artifact is another than the change says. The node
        that drafted it may lie; who has yet to see the manifest finds out when it comes."""
        body, artifact = change.body, self._artifacts.get(change.body.artifact)
        services = self._in_force.planned.services
        model = next((s.model for s in services if s.name == body.workload), "")
        if body.field not in VERSIONS or not body.value or artifact is None or not model:
            return
        name, version = artifact.manifest.name, artifact.manifest.version
        if (name, version) != (model, body.value):
            raise ChangeRefused(f"what it pins as {model}@{body.value} is {name}@{version}")

    def authority_spoke(self) -> list[Instruction]:
        """Another plan or other keys: what was refused under the last may count now, and what an
        operator signed who is none any more does not."""
        self._refused.clear()
        done: list[Instruction] = []
        for change in self.held:
            try:
                self._open(change.envelope)
            except ChangeRefused as refused:
                del self._held[change.key]
                fields = {"field": change.body.field, "value": change.body.value}
                workload = change.body.workload
                done.append(WriteJournal("record", "change.ended", workload, str(refused), fields))
        self._in_force.use_changes(self._held)
        return [*self._changed("other keys"), *done] if done else []

    def _changed(self, cause: str) -> list[Instruction]:
        self._in_force.use_changes(self._held)
        return [SaveDocument(LOCAL_CHANGES, self.document(), cause)]


def _weight(change: Change) -> tuple[bool, tuple[int, int, bytes]]:
    """Of more than may be held those with the highest are; an end gives way to any change."""
    return bool(change.body.value), change.rank


def _ended(change: Change, why: str) -> WriteJournal:
    fields = {"field": change.body.field, "value": change.body.value or "as planned"}
    return WriteJournal("record", "change.ended", change.body.workload, why, fields)

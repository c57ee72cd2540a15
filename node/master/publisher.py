"""From content to a signed state head: commit first, sign then.

The rules: a counter is given once, by a compare-and-set on the store's revision, together with the
body that it stands for; signing and publishing come after the commit. Ed25519 is deterministic, so
a master that stops between commit and signature signs the same bytes when it is back, and two
masters with keys of their own sign the same payload: no equivocation. What compiles to the same
blobs keeps its counter. The state that is served is one value, swapped whole: readers never wait
for a writer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mesh.desired.compile import compile_all
from mesh.hashing import sha256
from mesh.heads.outcome import READER_VERSION
from mesh.heads.state import KIND
from mesh.heads.tree import Tree
from mesh.heads.trust import Trust
from mesh.signed import Signer
from node.master.content import Content, load_content, put_continued
from node.master.errors import Busy
from node.master.store import Expected, Store, Write
from protos.documents_pb2 import StateBody

HEADS = "head"
BRANCHES = "branch"
"""The names of the store's tables."""
REVISION = "revision"
BODY = "body"


@dataclass(frozen=True, slots=True)
class Published:
    """A state as peers get it: the signed head, and everything that its root reaches."""

    envelope: bytes
    digest: bytes
    """SHA-256 of the head's payload."""
    counter: int
    trust_generation: int
    signed_unix_ms: int
    tree: Tree
    branches: Mapping[str, bytes]
    blobs: Mapping[bytes, bytes]
    """The branches' blobs by digest."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a content compiles to, not yet committed. `counter` is of the state that will say so."""

    content: Content
    branches: Mapping[str, bytes]
    counter: int
    changed: bool


class Publisher:
    """Holds the content and the state of now. Its methods are for one thread at a time.

    Only `published` may be read by any thread. `clock` gives milliseconds since 1970.
    """

    def __init__(
        self, store: Store, signer: Signer, trust: Trust, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._signer = signer
        self.trust = trust
        self._clock = clock
        self._revision: bytes | None = None
        self.content = Content()
        self.published = self._load()

    @property
    def next_counter(self) -> int:
        """Of the state that the next change of a roster makes."""
        return self.published.counter + 1

    def draft(self, content: Content, above: int = 0) -> Draft:
        """Compiles `content`. Raises ResourcesRefused.

        The counter is the present one if nothing changes, unless `above`, a counter of states that
        the store does not hold, is not below it.
        """
        now = self.published.counter
        following = max(now, above) + 1
        if 0 < now <= above:
            content = replace(content, continued=following)
        branches = compile_all(content.inputs(), self.published.branches, following)
        changed = branches != self.published.branches or above >= now
        return Draft(content, branches, following if changed else now, changed)

    def commit(self, draft: Draft, writes: Sequence[Write]) -> int:
        """Makes `draft` the state, and returns its counter. `writes` bring the store to it.

        Raises Busy if somebody else changed the store; the content is read anew then.
        """
        revision = b"%d" % (int(self._revision or b"0") + 1)
        body = self._body(draft) if draft.changed else b""
        everything = [*writes, Write(HEADS, REVISION, revision), *self._state_writes(draft, body)]
        if draft.content.continued != self.content.continued:
            everything.append(put_continued(draft.content.continued))
        try:
            self._store.commit(everything, [Expected(HEADS, REVISION, self._revision)])
        except Busy:
            self.published = self._load()
            raise
        self._revision, self.content = revision, draft.content
        if body:
            self.published = self._publish(body, draft.branches)
        return draft.counter

    def _load(self) -> Published:
        self._revision = self._store.get(HEADS, REVISION)
        self.content = load_content(self._store)
        body = self._store.get(HEADS, BODY)
        if body is None:
            return self._begin()
        published = self._publish(body, dict(self._store.scan(BRANCHES)))
        if published.trust_generation == self.trust.generation:
            return published
        self.published = published
        self.commit(self.draft(self.content, above=published.counter), [])
        return self.published

    def _begin(self) -> Published:
        """The first state: nothing is desired yet, and that is signed too."""
        self.published = Published(b"", b"", 0, 0, 0, Tree({}), {}, {})
        self.commit(self.draft(self.content), [])
        return self.published

    def _body(self, draft: Draft) -> bytes:
        tree = Tree({name: sha256(blob) for name, blob in draft.branches.items()})
        body = StateBody(
            mesh=self.trust.mesh,
            trust_generation=self.trust.generation,
            counter=draft.counter,
            root=tree.root,
            leaves=tree.count,
            signed_unix_ms=max(self._clock(), self.published.signed_unix_ms),
            min_reader=READER_VERSION,
        )
        return body.SerializeToString(deterministic=True)

    def _state_writes(self, draft: Draft, body: bytes) -> list[Write]:
        if not draft.changed:
            return []
        before = self.published.branches
        writes = [Write(HEADS, BODY, body)]
        for name, blob in draft.branches.items():
            if before.get(name) != blob:
                writes.append(Write(BRANCHES, name, blob))
        gone = sorted(set(before) - set(draft.branches))
        return writes + [Write(BRANCHES, name, None) for name in gone]

    def _publish(self, payload: bytes, branches: Mapping[str, bytes]) -> Published:
        body = StateBody.FromString(payload)
        digests = {name: sha256(blob) for name, blob in branches.items()}
        return Published(
            envelope=self._signer.sign(KIND, payload),
            digest=sha256(payload),
            counter=body.counter,
            trust_generation=body.trust_generation,
            signed_unix_ms=body.signed_unix_ms,
            tree=Tree(digests),
            branches=branches,
            blobs={digests[name]: blob for name, blob in branches.items()},
        )

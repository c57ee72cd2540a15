"""What a node and a master answer alike: the kinds of documents, picked by name, and the watch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from node.agent.site_documents import NAME_KEYS

VERSION = "0.1.0"
WATCH_S = 0.5
"""Between two looks at what is watched."""
Document = dict[str, Any]


class Source(Protocol):
    """Gives the documents of each kind as they are now: see node/admin/documents.py."""

    def status(self) -> Document: ...
    def nodes(self) -> list[Document]: ...
    def sites(self) -> list[Document]: ...
    def workloads(self) -> list[Document]: ...
    def rollouts(self) -> list[Document]: ...
    def explanations(self) -> list[Document]: ...
    def loads(self) -> list[Document]: ...
    def changes(self) -> list[Document]: ...
    def delegations(self) -> list[Document]: ...
    def artifacts(self) -> list[Document]: ...
    def alarms(self) -> list[Document]: ...
    def resources(self, kind: str) -> list[Document]: ...


def kinds_of(source: Source) -> dict[str, Callable[[], list[Document]]]:
    """What gives the documents of each kind that nodes and masters both have."""
    return {
        "status": lambda: [source.status()],
        "nodes": source.nodes,
        "sites": source.sites,
        "workloads": source.workloads,
        "rollouts": source.rollouts,
        "explanations": source.explanations,
        "loads": source.loads,
        "changes": source.changes,
        "delegations": source.delegations,
        "models": lambda: source.resources("Model"),
        "services": lambda: source.resources("Service"),
        "pipelines": lambda: source.resources("Pipeline"),
        "resources": lambda: source.resources(""),
        "artifacts": source.artifacts,
        "alarms": source.alarms,
    }


def named(kind: str, found: list[Document], name: str) -> list[Document]:
    """Those of the kind that have this name; all for ""."""
    return [document for document in found if not name or name in _names(kind, document)]


def _names(kind: str, document: Document) -> tuple[object, ...]:
    """What a document may be called: an artifact also with its version, as what is pushed is."""
    own = document.get(NAME_KEYS.get(kind, "name"))
    return (own, f"{own}@{document['version']}") if kind == "artifacts" else (own,)


async def watch_by_looking(
    get: Callable[[str, str, str, int], Awaitable[list[Document]]],
    kind: str,
    name: str,
    site: str,
    limit: int,
) -> AsyncIterator[list[Document]]:
    """A watch on anything that can be looked at: the list, even an empty one, and again when it
    has changed; of events the new ones alone."""
    last: list[Document] | None = None
    seen: set[tuple[Any, ...]] = set()
    while True:
        found = news = await get(kind, name, site, limit)
        if kind == "events":
            keys = [(d["node"], d["boot"], d["nonce"], d["kind"], d["sequence"]) for d in found]
            news = [d for d, key in zip(found, keys, strict=True) if key not in seen]
            seen = set(keys)
        if last is None or (news if kind == "events" else found != last):
            yield news
        last = found
        await asyncio.sleep(WATCH_S)

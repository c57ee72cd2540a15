"""Journals read back for people: the entries on this daemon's disk as documents."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from mesh.journals.keys import DATA, RECORD, LogKey
from node.disk.journals import JournalStore
from protos.documents_pb2 import JournalBatch
from protos.signed_pb2 import Envelope

Document = dict[str, Any]
READ_BYTES = 1 << 20
ENTRIES_READ_MAX = 200_000
"""Of all logs together, in one answer, the latest; about 100 MiB, twice that at worst while
they are gathered."""


def events(
    store: JournalStore,
    site_of: dict[str, str],
    name: str = "",
    limit: int = 1000,
    kinds: Collection[str] = (RECORD, DATA),
) -> list[Document]:
    """The latest `limit` entries of all logs held, oldest first; `name`: of that node alone.

    `site_of` gives each node's site. Only logs of `kinds` are read.
    """
    limit = min(limit, ENTRIES_READ_MAX)
    found: list[Document] = []
    for key in sorted(store.tails()):
        if key.kind in kinds and (not name or key.node == name):
            found += _log(store, key, site_of.get(key.node, ""), limit)
            if len(found) > ENTRIES_READ_MAX:
                found = _latest(found, limit)
    return _latest(found, limit)


def _latest(found: list[Document], limit: int) -> list[Document]:
    found.sort(key=lambda event: (event["time"], event["node"], event["boot"], event["sequence"]))
    return found[-limit:]


def _log(store: JournalStore, key: LogKey, site: str, limit: int) -> list[Document]:
    tail = store.tails().get(key)
    after = max(0, tail.sequence - max(limit, 1)) if tail is not None else 0
    documents: list[Document] = []
    while True:
        before = after
        for first, batch in _batches(store.read(key, after, READ_BYTES)):
            after = max(after, first + len(batch.entries) - 1)
            documents += _entries(key, site, first, batch)
        if after == before:  # the end, or nothing but batches that cannot be read
            return documents[-limit:]


def _batches(envelopes: Iterable[bytes]) -> Iterable[tuple[int, JournalBatch]]:
    for envelope in envelopes:
        try:
            batch = JournalBatch.FromString(Envelope.FromString(envelope).payload)
        except DecodeError:
            continue  # the store checks each frame; this one was never written by this release
        yield batch.first, batch


def _entries(key: LogKey, site: str, first: int, batch: JournalBatch) -> list[Document]:
    return [
        {
            "time": entry.unix_ms,
            "node": key.node,
            "site": site,
            "boot": key.counter,
            "nonce": key.nonce.hex(),
            "sequence": first + place,
            "kind": key.kind,
            "event": entry.event,
            "subject": entry.subject,
            "cause": entry.cause,
            "fields": dict(entry.fields),
        }
        for place, entry in enumerate(batch.entries)
    ]


def own_outages(found: Sequence[Document], node: str) -> list[Document]:
    """The outages that a node's own journal tells of."""
    outages: list[Document] = []
    for event in found:
        if event["node"] != node:
            continue
        if event["event"] == "outage.began":
            outages.append({"site": event["site"], "began": event["time"], "events": []})
        elif outages and "ended" not in outages[-1]:
            if event["event"] == "outage.ended":
                outages[-1]["ended"] = event["time"]
                outages[-1]["duration_s"] = (event["time"] - outages[-1]["began"]) / 1000
            else:
                outages[-1]["events"].append(event)
    return outages

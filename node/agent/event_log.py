"""Journals read back for people: the entries on this daemon's disk as documents."""

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from mesh.journals.keys import LogKey
from node.disk.journals import JournalStore
from protos.documents_pb2 import JournalBatch
from protos.signed_pb2 import Envelope

Document = dict[str, Any]
READ_BYTES = 1 << 20
ENTRIES_READ_MAX = 200_000
"""Of all logs together, the newest of each log first to go into the answer; about 100 MiB."""


def events(
    store: JournalStore, site_of: dict[str, str], name: str = "", limit: int = 1000
) -> list[dict[str, object]]:
    """The latest `limit` entries of all logs held, oldest first; `name`: of that node alone.

    `site_of` gives each node's site.
    """
    found: list[dict[str, object]] = []
    for key in sorted(store.tails()):
        if not name or key.node == name:
            found += _log(store, key, site_of.get(key.node, ""), limit)
    found.sort(key=lambda event: (event["time"], event["node"], event["boot"], event["sequence"]))
    return found[-limit:]


def _log(store: JournalStore, key: LogKey, site: str, limit: int) -> list[dict[str, object]]:
    last = store.tails()[key].sequence
    after = max(0, last - max(limit, 1))
    documents: list[dict[str, object]] = []
    while len(documents) < ENTRIES_READ_MAX:
        envelopes = store.read(key, after, READ_BYTES)
        if not envelopes:
            return documents
        for first, batch in _batches(envelopes):
            after = first + len(batch.entries) - 1
            documents += _entries(key, site, first, batch)
    return documents


def _batches(envelopes: Iterable[bytes]) -> Iterable[tuple[int, JournalBatch]]:
    for envelope in envelopes:
        try:
            batch = JournalBatch.FromString(Envelope.FromString(envelope).payload)
        except DecodeError:
            continue  # the store checks each frame; this one was never written by this release
        yield batch.first, batch


def _entries(key: LogKey, site: str, first: int, batch: JournalBatch) -> list[dict[str, object]]:
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

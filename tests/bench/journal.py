"""How fast a node's journal grows on its disk: signed, chained, framed and synced."""

import tempfile
import time
from pathlib import Path

from mesh.journals.batches import BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from mesh.journals.limits import ENTRIES_MAX
from node.disk.journals import JournalStore
from protos.documents_pb2 import JournalEntry
from tests.bench.figures import Figure, Series
from tests.bench.runs import Runs
from tests.sim import identities

ROUNDS = 5
QUOTA_BYTES = 256 << 20
NODE = "north-1"


def measure(runs: Runs) -> list[Figure]:
    """Records one by one, each on disk before the next; then as many at once as fit a batch."""
    series = Series()
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as folder:
        store = JournalStore(Path(folder), QUOTA_BYTES, NODE)
        for turn in range(ROUNDS):
            series.add("records", _append(store, turn, runs.records // ROUNDS, 1))
            series.add(
                "entries", _append(store, ROUNDS + turn, runs.records // ROUNDS, ENTRIES_MAX)
            )
    where = "the temporary folder's disk"
    return [
        series.figure(
            "records", "journal, records one by one", "records/s",
            f"each signed, appended and fsynced before the next, on {where}",
        ),
        series.figure(
            "entries", f"journal, {ENTRIES_MAX} records a batch", "records/s",
            f"each batch signed, appended and fsynced before the next, on {where}",
        ),
    ]  # fmt: skip


def _append(store: JournalStore, turn: int, batches: int, entries: int) -> float:
    """Entries a second of a log of its own."""
    key = LogKey(NODE, turn + 1, bytes(8), "record")
    writer = BatchWriter(key, identities.signer(NODE))
    group = [_entry()] * entries
    began = time.perf_counter()
    for _ in range(batches):
        store.append([writer.batch(group)])
    return batches * entries / (time.perf_counter() - began)


def _entry() -> JournalEntry:
    fields = {"pid": "12345", "replica": "0", "reason": "killed"}
    return make_entry(
        "replica.ended", "faces", "signal 9", fields, unix_ms=1_700_000_000_000, monotonic_ms=1_000
    )

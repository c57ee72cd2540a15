"""Counting journal records where they lie: on every node's disk, and on the master's.

Folders are copied first, because their daemons go on writing, and the copies are opened with the
stores' own code. The nodes' are copied before the master's, so that the master has had the chance
to have all that is asked of it.
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mesh.hashing import sha256
from mesh.journals.keys import LogKey
from node.disk.journals import JournalStore
from protos.documents_pb2 import JournalBatch
from protos.signed_pb2 import Envelope

JOURNALS = "journals"
"""The folder of journals in a daemon's data folder."""

NO_QUOTA_BYTES = 1 << 40
"""The copy is only read."""

READ_BYTES = 1 << 20

RECORD = "record"

Place = tuple[LogKey, int]
"""A log and a sequence."""


@dataclass(slots=True)
class Held:
    """What a folder holds: each entry's digest, how often it is there, and whether in order."""

    digests: dict[Place, bytes] = field(default_factory=dict)
    times: Counter[Place] = field(default_factory=Counter)
    unordered: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Audit:
    """The comparison: records of all nodes, and those that are not at the master as they should."""

    records: int
    logs: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    altered: tuple[str, ...]
    unordered: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.altered or self.unordered)


def read_copy(data: Path, scratch: Path) -> Held:
    """The records in a daemon's data folder, read from a copy in `scratch`."""
    copy = scratch / data.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data / JOURNALS, copy)
    store = JournalStore(copy, NO_QUOTA_BYTES)
    held = Held()
    for key, tail in store.tails().items():
        if key.kind == RECORD:
            _read_log(store, key, tail.sequence, held)
    return held


def compare(nodes: Iterable[Held], master: Held) -> Audit:
    """Every record on any node's disk against the master's."""
    everywhere: dict[Place, bytes] = {}
    for held in nodes:
        everywhere.update(held.digests)
    return Audit(
        records=len(everywhere),
        logs=len({key for key, _ in everywhere}),
        lost=_names(place for place in everywhere if place not in master.digests),
        duplicated=_names(place for place, times in master.times.items() if times > 1),
        altered=_names(
            place
            for place, digest in everywhere.items()
            if master.digests.get(place, digest) != digest
        ),
        unordered=tuple(master.unordered),
    )


def _read_log(store: JournalStore, key: LogKey, last: int, held: Held) -> None:
    after = 0
    while after < last:
        envelopes = store.read(key, after, READ_BYTES)
        if not envelopes:
            held.unordered.append(f"{key}: ends at {after}, not at {last}")
            return
        for data in envelopes:
            batch = JournalBatch.FromString(Envelope.FromString(data).payload)
            if batch.first != after + 1:
                held.unordered.append(f"{key}: {batch.first} follows {after}")
            for sequence, entry in enumerate(batch.entries, batch.first):
                held.digests[key, sequence] = sha256(entry.SerializeToString(deterministic=True))
                held.times[key, sequence] += 1
            after = max(after, batch.first + len(batch.entries) - 1)


def _names(places: Iterable[Place]) -> tuple[str, ...]:
    return tuple(f"{key} #{sequence}" for key, sequence in sorted(places))

"""Acknowledgements: up to where each log lies on the master's disk.

The caller has the entries on disk before it asks. A cursor is committed before its envelope is
signed, and it never goes back.
"""

import threading
from collections.abc import Mapping

from mesh.journals import LogKey, acknowledge
from mesh.signed import Signer
from node.master.store import Store, Write

CURSORS = "cursor"
"""The name of the store's table."""


class Cursors:
    """The cursor of every log. May be used from any thread."""

    def __init__(self, store: Store, master: str, signer: Signer) -> None:
        self._store = store
        self._master = master
        self._signer = signer
        self._lock = threading.Lock()
        self._sequences = {_read_key(name): int(data) for name, data in store.scan(CURSORS)}

    def acknowledge(self, tails: Mapping[LogKey, int]) -> dict[LogKey, bytes]:
        """Moves the cursors to `tails`, the last sequence on disk of each log, in one commit.

        Returns the envelope of each log's cursor, which may stand beyond the tail given.
        """
        with self._lock:
            moved = {
                key: sequence
                for key, sequence in sorted(tails.items())
                if sequence > self._sequences.get(key, 0)
            }
            if moved:
                self._store.commit([Write(CURSORS, str(key), b"%d" % moved[key]) for key in moved])
                self._sequences.update(moved)
            return {key: self._sign(key) for key in tails if key in self._sequences}

    def all(self) -> dict[LogKey, bytes]:
        """The envelope of every cursor, for a master that starts."""
        with self._lock:
            return {key: self._sign(key) for key in self._sequences}

    def sequences(self) -> dict[LogKey, int]:
        """The cursor of every log."""
        with self._lock:
            return dict(self._sequences)

    def _sign(self, key: LogKey) -> bytes:
        return acknowledge(key, self._sequences[key], self._master, self._signer)


def _read_key(name: str) -> LogKey:
    node, boot, kind = name.split("/")
    counter, nonce = boot.split("-")
    return LogKey(node, int(counter), bytes.fromhex(nonce), kind)

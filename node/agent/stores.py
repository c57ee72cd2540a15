"""The stores of one data folder, together."""

from dataclasses import dataclass

from node.disk.blobs import BlobStore
from node.disk.documents import DocumentStore
from node.disk.journals import JournalStore


@dataclass(frozen=True, slots=True)
class Stores:
    """What a daemon keeps on its disk."""

    documents: DocumentStore
    blobs: BlobStore
    journals: JournalStore

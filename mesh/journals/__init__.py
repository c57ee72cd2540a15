"""Journals: append-only logs of one node's events, in signed batches chained by digest.

The merge rule is a union by (node, boot, sequence): see `logs`.
"""

from mesh.journals.acknowledgements import (
    Acknowledgement,
    AcknowledgementRefused,
    acknowledge,
    open_acknowledgement,
)
from mesh.journals.batches import Batch, BatchRefused, BatchWriter, open_batch
from mesh.journals.entries import make_entry
from mesh.journals.keys import DATA, RECORD, LogKey, LogNameRefused
from mesh.journals.logs import Logs
from mesh.journals.outcomes import (
    Accepted,
    Acknowledged,
    Duplicate,
    Fork,
    Full,
    Gap,
    Known,
    NoRoom,
    Refused,
    Tail,
    Verdict,
)

__all__ = [
    "DATA",
    "RECORD",
    "Accepted",
    "Acknowledged",
    "Acknowledgement",
    "AcknowledgementRefused",
    "Batch",
    "BatchRefused",
    "BatchWriter",
    "Duplicate",
    "Fork",
    "Full",
    "Gap",
    "Known",
    "LogKey",
    "LogNameRefused",
    "Logs",
    "NoRoom",
    "Refused",
    "Tail",
    "Verdict",
    "acknowledge",
    "make_entry",
    "open_acknowledgement",
    "open_batch",
]

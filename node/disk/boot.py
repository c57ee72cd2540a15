"""The boot counter: counted up and made durable before the first message of a start.

Two starts never share a counter, not even where the last copy is damaged: the older copy is then
one behind, so the count goes on two above it. Where both are damaged, the floor is all there is;
peers who know a higher boot of this node say so, and the caller counts again above that.
"""

from node.disk.documents import DocumentDamaged, DocumentStore
from protos.documents_pb2 import Boot

BOOT_DOCUMENT = "boot"
NONCE_BYTES = 8


def next_boot(store: DocumentStore, nonce: bytes, floor: int = 0) -> Boot:
    """Counts this start: above every counter on this disk and above `floor`.

    `nonce`: 8 random bytes of this start. Raises DiskFull or DiskFailed: the node must then not
    send anything under a new boot.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a boot's nonce has 8 bytes, not {len(nonce)}")
    counter = max(_last_boot(store), floor) + 1
    boot = Boot(counter=counter, nonce=nonce)
    store.put(BOOT_DOCUMENT, boot.SerializeToString(deterministic=True))
    return boot


def _last_boot(store: DocumentStore) -> int:
    try:
        found = store.find(BOOT_DOCUMENT)
    except DocumentDamaged:
        return 0
    if found is None:
        return 0
    counter = Boot.FromString(found.data).counter
    return counter + 1 if found.recovered else counter

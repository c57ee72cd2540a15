"""Whether a data folder is still on the machine where it was: a copied disk votes twice otherwise.

Two machines with one disk that reach each other find it out by gossip. Two that do not could both
grant the lease of an exclusive pipeline. So the folder remembers marks of its machine: digests of
the board's UUID, of its serial number and of the network cards' addresses. It was moved if this
machine has some kind of mark that it has too, and none of these agrees; a card or a board that is
replaced alone moves nothing. Cards by themselves say nothing: a machine with another card is as
likely as another machine. An x86 machine shows its board's UUID to root alone: an agent that is
not root knows it where its unit hands it over, and can tell nothing where none does.

`/etc/machine-id` is no mark: a copy of the disk has it too.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mesh.core.messages import Trouble

MACHINE = "machine"
"""The document that holds the marks, as JSON: kind to digests."""
BOARD = "sys/class/dmi/id/product_uuid"
"""For root's eyes alone."""
HANDED_OVER = "run/meshd-board"
"""Its copy, which the unit makes at each start: see deploy/systemd/meshd-node.service."""
ONE_LINE = {"board": (BOARD, HANDED_OVER), "serial": ("proc/device-tree/serial-number",)}
"""Files that hold one mark each; the first one counts that holds anything."""
CARDS = "sys/class/net"
LOCALLY_GIVEN = frozenset("2367abef")
"""The second digit of an address that some program made up, and may make up anew: as for privacy on
Wi-Fi, or for virtual machines."""
READ_BYTES_MAX = 256

Marks = dict[str, list[str]]


def marks(root: Path = Path("/")) -> Marks:
    """The marks of this machine, as digests: what they are of is nobody's business."""
    texts = {kind: _first(root, paths) for kind, paths in ONE_LINE.items()}
    found = {kind: [_digest(text)] for kind, text in texts.items() if text}
    cards = sorted(_digest(address) for address in _cards(root))
    return {**found, "cards": cards} if cards else found


def _cards(root: Path) -> Iterator[str]:
    """Addresses of the cards that are devices, as their makers gave them: others change."""
    for card in sorted((root / CARDS).glob("*")):
        address = _read(root, f"{CARDS}/{card.name}/address")
        given = address.strip("0:") and address[1:2] not in LOCALLY_GIVEN
        if given and (card / "device").exists():
            yield address


def _first(root: Path, paths: Iterable[str]) -> str:
    return next(filter(None, (_read(root, path) for path in paths)), "")


def _read(root: Path, path: str) -> str:
    try:
        with (root / path).open("rb") as file:
            return file.read(READ_BYTES_MAX).decode("ascii", "replace").strip("\0 \n").lower()
    except OSError:
        return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def moved(kept: bytes | None, here: Marks) -> str:
    """Which marks differ, if the folder comes from another machine; "" if it does not, or if
    nothing can be told."""
    before: Marks = json.loads(kept) if kept else {}
    common = sorted(before.keys() & here.keys())
    agree = any(set(before[kind]) & set(here[kind]) for kind in common)
    if agree or common in ([], ["cards"]):
        return ""
    return f"{' and '.join(common)} of that machine and of this one differ"


def tell(
    differs: str, node: str, feed: Callable[[Any], None], save: Callable[[str, bytes], object]
) -> None:
    """Raises the alarm where the folder was moved; else keeps the marks of now."""
    if not differs:
        save(MACHINE, written(marks()))
        return
    message = (
        f"the data folder comes from another machine ({differs}): this node takes no part in "
        "leases, because its twin may do so elsewhere. If this machine is the node from now on, "
        "and no other has its disk: stop meshd here, `meshd node moved`, and start it again; else "
        "enrol this machine with an ID of its own"
    )
    feed(Trouble("Clone", node, message, "critical"))


def written(here: Marks) -> bytes:
    """The marks as they are kept."""
    return json.dumps(here, sort_keys=True).encode()

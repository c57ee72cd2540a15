"""The peers that a node remembers: the registers it last saw, and what is configured.

Peers are remembered on disk and dialled for ever. Addresses come from, in this order: what the
peer says of itself, hints by mDNS, and the configuration. All of them are candidates, none is
trusted: mTLS says who is really there.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mesh.heads.identity import Identity, IdentityRefused
from mesh.registers.store import Registers
from node.agent.config import split_peer
from protos.peer_pb2 import Documents

REMEMBERED = "registers"
"""The document in which registers are kept."""
REMEMBERED_BYTES_MAX = 3 * 1024 * 1024
"""Of that document, below the limit of any document: 256 registers of 12 KiB. An ordinary one has
2 KiB; what is beyond it is learnt again from the first neighbour."""
HINTS_A_NODE_MAX = 4


class Book:
    """The addresses of a site's nodes."""

    def __init__(self, mesh: str, site: str, seeds: Sequence[str]) -> None:
        self._mesh = mesh
        self._site = site
        self._seeds = dict(split_peer(seed) for seed in seeds)
        self._hints: dict[str, list[str]] = {}

    def hint(self, node: str, addresses: Iterable[str]) -> None:
        """Where a neighbour may be, by mDNS."""
        self._hints[node] = list(addresses)[:HINTS_A_NODE_MAX]

    def targets(self, registers: Registers) -> list[tuple[Identity, list[str]]]:
        """Who is to be dialled, and at which addresses."""
        said = {r.body.node: r.body.peer_address for r in registers.records()}
        targets = []
        for node in sorted(said.keys() | self._hints.keys() | self._seeds.keys()):
            known = [said.get(node, ""), *self._hints.get(node, []), self._seeds.get(node, "")]
            addresses = list(dict.fromkeys(address for address in known if address))
            try:
                targets.append((Identity(self._mesh, "node", node, self._site), addresses))
            except IdentityRefused:
                continue  # a hint or a seed with an impossible name
        return targets


def remember(registers: Registers) -> bytes:
    """The registers, as the document to keep."""
    envelopes: list[bytes] = []
    size = 0
    for record in registers.records():
        size += len(record.envelope) + 8
        if size > REMEMBERED_BYTES_MAX:
            break
        envelopes.append(record.envelope)
    return Documents(registers=envelopes).SerializeToString()


def recall(data: bytes | None, registers: Registers, own: str) -> None:
    """Takes the remembered registers back; those that are refused now are left out."""
    for envelope in Documents.FromString(data or b"").registers:
        try:
            registers.accept(envelope, protected=own)
        except ValueError:
            continue


def admitted_neighbours(data: Path) -> list[str]:
    """ID@HOST:PORT of the neighbours that a node knew of when it was admitted at its site."""
    path = data / "keys" / "neighbours"
    return path.read_text().split() if path.exists() else []


def enrolled_masters(data: Path) -> list[str]:
    """ID@HOST:PORT of the masters, as learnt when the node of this data folder was enrolled."""
    path = data / "keys" / "masters"
    return path.read_text().split() if path.exists() else []

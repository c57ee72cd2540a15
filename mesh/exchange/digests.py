"""Comparing what two peers have: the names and versions first, then only what the other lacks."""

from collections.abc import Iterable, Sequence

from mesh.exchange.journal_flow import read_logs
from mesh.journals.keys import LogKey
from mesh.journals.logs import Logs
from mesh.registers.store import Registers
from protos.documents_pb2 import Boot
from protos.peer_pb2 import Digests, HeadDigest, LogDigest, RegisterDigest

Acknowledgements = Sequence[tuple[LogKey, int, bytes]]
"""Log, sequence and envelope of each, by log."""
Order = tuple[int, int]
"""(trust generation, counter) of a head; (0, 0) where there is none."""
BOOTS_COMPARED = 16
"""Of each node, the newest boots whose acknowledgements are compared. Acknowledgements live on for
ever, and a node makes two at each boot; those of old boots change no more."""
ACKNOWLEDGEMENTS_COMPARED = 2_000
"""Of a site, in one frame of digests: 111 bytes each with the longest names, 222 of its 256 KiB
(the registers of 256 nodes are 26). Where a site has more than 62 nodes, fewer boots of each."""


def describe(
    trust: HeadDigest,
    state: HeadDigest,
    registers: Registers | None,
    acknowledged: Acknowledgements,
) -> Digests:
    """All that this end has in common with a peer: heads, a site's registers, and those of the
    acknowledgements that are `compared`."""
    records = registers.records() if registers else []
    return Digests(
        trust=trust,
        state=state,
        registers=[
            RegisterDigest(node=r.body.node, boot=r.body.boot, version=r.body.version)
            for r in records
        ],
        acknowledged=[
            LogDigest(log=key.name(), sequence=sequence) for key, sequence, _ in acknowledged
        ],
    )


def compared(logs: Logs, nodes: set[str]) -> Acknowledgements:
    """The acknowledgements that are in common with a peer. `nodes` are those of the site, whose
    logs the two have in common."""
    known = logs.acknowledgements()
    newest = newest_logs((key for key, _, _ in known), nodes)
    return [item for item in known if item[0] in newest]


def newest_logs(keys: Iterable[LogKey], nodes: set[str]) -> set[LogKey]:
    """Of `keys`, the logs of the newest boots of each of `nodes`. The same content gives the same
    logs at both ends."""
    boots = max(1, min(BOOTS_COMPARED, ACKNOWLEDGEMENTS_COMPARED // (2 * max(1, len(nodes)))))
    of_node: dict[str, dict[tuple[int, bytes], list[LogKey]]] = {}
    for key in keys:
        if key.node in nodes:
            of_boot = of_node.setdefault(key.node, {})
            of_boot.setdefault((key.counter, key.nonce), []).append(key)
    return {
        key
        for of_boot in of_node.values()
        for boot in sorted(of_boot, reverse=True)[:boots]
        for key in of_boot[boot]
    }


def order_of(head: HeadDigest) -> Order:
    """What decides between two heads of one kind."""
    return (head.trust_generation, head.counter)


def lacking_registers(theirs: Sequence[RegisterDigest], ours: Registers) -> list[bytes]:
    """Envelopes of our registers that are newer than theirs, or that they have not at all."""
    known = {digest.node: (digest.boot.counter, digest.version) for digest in theirs}
    return [r.envelope for r in ours.records() if r.order > known.get(r.body.node, (0, 0))]


def wanted_registers(theirs: Sequence[RegisterDigest], ours: Registers) -> list[str]:
    """Nodes of whose registers they have a newer version than we."""
    wanted = []
    for digest in theirs:
        held = ours.get(digest.node)
        order = (digest.boot.counter, digest.version)
        if held is None or order > held.order or _other_boot(digest.boot, held.body.boot):
            wanted.append(digest.node)
    return wanted


def _other_boot(one: Boot, other: Boot) -> bool:
    """The same counter with two nonces: a clone, of which we want the evidence."""
    return one.counter == other.counter and one.nonce != other.nonce


def acknowledgements_apart(
    theirs: Sequence[LogDigest], ours: Acknowledgements, nodes: set[str]
) -> tuple[list[bytes], list[LogKey]]:
    """The envelopes of those of ours that reach farther than theirs, and the logs of which theirs
    reach farther. `ours` are those `compared`."""
    known, held = read_logs(theirs), {key: sequence for key, sequence, _ in ours}
    newest = newest_logs([*known, *held], nodes)
    lacking = [
        envelope
        for key, sequence, envelope in ours
        if key in newest and sequence > known.get(key, 0)
    ]
    wanted = [k for k, sequence in known.items() if k in newest and sequence > held.get(k, 0)]
    return lacking, wanted

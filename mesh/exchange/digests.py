"""Comparing what two peers have: the names and versions first, then only what the other lacks."""

from collections.abc import Sequence

from mesh.exchange.journal_flow import read_logs
from mesh.journals.logs import Logs
from mesh.registers.store import Registers
from protos.documents_pb2 import Boot
from protos.peer_pb2 import Digests, HeadDigest, LogDigest, RegisterDigest

Order = tuple[int, int]
"""(trust generation, counter) of a head; (0, 0) where there is none."""


def describe(
    trust: HeadDigest, state: HeadDigest, registers: Registers | None, logs: Logs, nodes: set[str]
) -> Digests:
    """All that this end has in common with a peer: heads, a site's registers, acknowledgements.

    `nodes` are the nodes of the site, whose logs the two have in common.
    """
    records = registers.records() if registers else []
    return Digests(
        trust=trust,
        state=state,
        registers=[
            RegisterDigest(node=r.body.node, boot=r.body.boot, version=r.body.version)
            for r in records
        ],
        acknowledged=[
            LogDigest(log=key.name(), sequence=sequence)
            for key, sequence, _ in logs.acknowledgements()
            if key.node in nodes
        ],
    )


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


def lacking_acknowledgements(
    theirs: Sequence[LogDigest], logs: Logs, nodes: set[str]
) -> list[bytes]:
    """Envelopes of acknowledgements that reach farther than theirs."""
    known = read_logs(theirs)
    return [
        envelope
        for key, sequence, envelope in logs.acknowledgements()
        if key.node in nodes and sequence > known.get(key, 0)
    ]

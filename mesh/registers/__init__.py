"""Registers: what each node says of itself, signed; and who is alive, as one node can tell."""

from mesh.registers.liveness import Liveness
from mesh.registers.store import Clone, NodeKeys, Outcome, Record, RegisterRefused, Registers
from mesh.registers.watched import Verdict

__all__ = [
    "Clone",
    "Liveness",
    "NodeKeys",
    "Outcome",
    "Record",
    "RegisterRefused",
    "Registers",
    "Verdict",
]

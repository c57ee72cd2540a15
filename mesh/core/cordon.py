"""Whether this node takes work: what an operator said at the node, or at a master; either counts.

What was said at the node is kept on its disk, so it holds with the WAN down and over restarts; what
was said at a master stands in the roster of the site's branch.
"""

from google.protobuf.message import DecodeError

from mesh.core.in_force import HeldBack, InForce
from mesh.core.messages import CordonAsked
from mesh.core.runtime_view import RuntimeView
from mesh.events import Instruction, WriteJournal
from protos.documents_pb2 import StableRegister

CORDON = "cordon"
"""The document: a register that says nothing but whether the node is cordoned, and draining."""
EVENTS = {None: "node.uncordoned", False: "node.cordoned", True: "node.draining"}


def document(event: CordonAsked) -> bytes:
    """What the disk keeps of what an operator asked for."""
    return StableRegister(
        cordoned=event.cordoned or event.draining, draining=event.draining
    ).SerializeToString(deterministic=True)


class Cordon:
    """This node's own part. `document` is what the disk holds, or empty; `drained`: it is
    journalled already that nothing runs here any more."""

    def __init__(self, node: str, in_force: InForce, document: bytes, drained: bool) -> None:
        self._node = node
        self._in_force = in_force
        try:
            kept = StableRegister.FromString(document)
        except DecodeError:
            kept = StableRegister()  # of another release: nothing was said
        self._own: bool | None = kept.draining if kept.cordoned or kept.draining else None
        self._reason = ""
        self._by: dict[str, str] = {}  # a field of the entry: who said it, if that was here
        self._told = self._own
        self.drained = drained

    # ---- what holds ----

    @property
    def own(self) -> bool | None:
        """What was said here: None: nothing; False: cordoned; True: draining as well."""
        return self._own

    @property
    def draining(self) -> bool | None:
        """What holds, whoever said it: None: the node takes work; False: cordoned; True: draining
        as well."""
        return self.held_back().get(self._node)

    def held_back(self) -> HeldBack:
        """The nodes that are cordoned by the roster, and this one as it is here."""
        roster = self._in_force.held_back
        if self._own is None:
            return roster
        return {**roster, self._node: self._own or roster.get(self._node, False)}

    # ---- what happens ----

    def start(self) -> None:
        """The plan that lay on the disk is in force: what held then is no news."""
        self._told = self.draining

    def asked(self, event: CordonAsked) -> None:
        """An operator said it here; the disk has it already. Where nothing changes by it, it is no
        reason for what changes later."""
        before = self.draining
        self._own = event.draining if event.cordoned or event.draining else None
        if self.draining != before:
            self._reason = event.reason or "no reason was given"
            self._by = {"operator": event.operator}

    def look(self, runtime: RuntimeView, cause: str) -> list[Instruction]:
        """Journals what changed since the last look, and that nothing runs here any more."""
        entries: list[Instruction] = []
        holds = self.draining
        if holds != self._told:
            self._told, self.drained = holds, False
            why = self._reason or f"said at a master; {cause}"
            entries.append(WriteJournal("record", EVENTS[holds], self._node, why, self._by))
        self._reason, self._by = "", {}
        if holds and not self.drained and runtime.is_empty():
            self.drained = True
            entries.append(WriteJournal("record", "node.drained", self._node, "nothing runs here"))
        return entries

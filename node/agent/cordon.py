"""Cordon and drain as daemons answer for them: asking a node or a master, and what is shown."""

from collections.abc import Awaitable, Callable
from typing import Any

from mesh.core.cordon import CORDON, document
from mesh.core.messages import CordonAsked
from mesh.core.node import NodeCore
from mesh.heads.limits import REASON_MAX
from mesh.site.views import view
from node.admin.backend import BadInput, Cordoned, Exhausted, NotFound, NotHere, Refused
from node.disk.documents import DocumentStore
from node.disk.errors import DiskError
from node.master.records import NodeRecord
from protos.documents_pb2 import StableRegister


class OwnCordon:
    """Asks a node of itself: its disk has it before anybody goes by it."""

    def __init__(
        self,
        core: NodeCore,
        documents: DocumentStore,
        in_thread: Callable[..., Awaitable[Any]],
        feed: Callable[[CordonAsked], None],
    ) -> None:
        self._core = core
        self._documents = documents
        self._in_thread = in_thread
        self._feed = feed

    async def ask(self, node: str, asked: CordonAsked) -> Cordoned:
        """Holds this node back, or not any more. Raises a Refusal, with the way out."""
        self._check(node, asked)
        try:
            await self._in_thread(self._documents.put, CORDON, document(asked))
        except DiskError as error:
            raise Exhausted(f"it cannot be kept, and nothing was changed: {error}") from None
        self._feed(asked)
        return Cordoned(begun(self._core.register), 0)

    def _check(self, node: str, asked: CordonAsked) -> None:
        core = self._core
        if len(asked.reason) > REASON_MAX or not asked.reason.isprintable():
            raise BadInput(f"a reason has at most {REASON_MAX} characters, all printable")
        if node != core.name:
            raise self._not_me(node)
        held_back = asked.cordoned or asked.draining
        if not held_back and core.cordon.own is None and core.cordon.draining is not None:
            raise Refused(
                f"{node} was cordoned at a master, not here, and only a master can end that: "
                f"meshctl uncordon {node}, without --address"
            )

    def _not_me(self, node: str) -> NotHere | NotFound:
        core = self._core
        record = core.membership.registers.get(node)
        if record is None:
            return NotFound(
                f"this is {core.name}, and its site {core.peer.config.site!r} knows no node "
                f"{node!r}: a node is cordoned at itself or at a master (`meshctl get nodes` there)"
            )
        return NotHere(
            f"this is {core.name}: it can cordon only itself; ask a master, or {node} itself: "
            f"--address {record.body.peer_address} --identity {node}"
        )


def check_at_master(node: NodeRecord | None, body: StableRegister | None, held_back: bool) -> None:
    """Raises Refused where a master is asked to end what was not said at it."""
    if held_back or node is None or node.cordoned or body is None or not body.cordoned:
        return
    raise Refused(
        f"no master holds {node.node} back, and by its last word it is: that was said at the node "
        f"itself, and ends there: meshctl uncordon {node.node} --address {body.peer_address} "
        f"--identity {node.node} (if it was just uncordoned here, it has yet to hear of it)"
    )


def begun(body: StableRegister | None) -> int:
    """How many replicas and pipelines a node says that it has begun."""
    if body is None:
        return 0
    seen = view(body)
    return sum(seen.runs.values()) + len(seen.pipelines)


def cordon_document(body: StableRegister | None, said: bool | None) -> dict[str, str]:
    """The key `cordon` of a node's document, if it is held back. `said`: what stands in the
    roster; None: nothing; else whether it is draining as well."""
    draining = bool(said) or (body is not None and body.draining)
    if draining:
        drained = body is not None and body.draining and not begun(body)
        return {"cordon": "drained" if drained else "draining"}
    if said is not None or (body is not None and body.cordoned):
        return {"cordon": "cordoned"}
    return {}

"""What this node says of its load: quantised, at most every two seconds, and to new neighbours."""

from mesh.core.runtime_view import RuntimeView
from mesh.events import Instruction, Send
from mesh.exchange.frames import pack
from mesh.exchange.membership import Membership
from protos.documents_pb2 import Boot, LoadRegister

LOAD_EVERY_MS = 2_000


class Loads:
    """This node's load register."""

    def __init__(self, node: str, boot: Boot, membership: Membership, now_ms: int) -> None:
        self._node = node
        self._boot = boot
        self._membership = membership
        self._told_ms = now_ms
        self._version = 0
        self._frames: list[bytes] = []

    def tick(self, runtime: RuntimeView, neighbours: list[str], now_ms: int) -> list[Instruction]:
        """Tells all neighbours, where something changed and it is time."""
        if now_ms - self._told_ms < LOAD_EVERY_MS:
            return []
        self._told_ms = now_ms
        loads = runtime.loads()
        if loads == runtime.told_loads:
            return []
        runtime.told_loads = loads
        self._version += 1
        body = LoadRegister(node=self._node, boot=self._boot, version=self._version, services=loads)
        self._frames = pack([("loads", self._membership.publish_load(body))])
        return [i for neighbour in neighbours for i in self.tell(neighbour)]

    def tell(self, neighbour: str) -> list[Instruction]:
        """Tells one neighbour what was said last."""
        return [Send(neighbour, data, "load") for data in self._frames]

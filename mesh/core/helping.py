"""What this node fetches for neighbours that have no WAN path of their own.

Chunks come over the WAN to whoever wants an artifact and has a path. Where nobody who wants it has
one, the site's gateway wants it too, and neighbours get it from there."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

LOOK_EVERY_MS = 1_000
"""Between two looks at what neighbours fetch."""
STRANDED_MS = 2_000
"""For so long nobody who fetches an artifact must have a path: after a new plan those that have one
may say a moment later that they want it, too."""


class Helping:
    """The artifacts that this node fetches for others."""

    def __init__(self, now_ms: int) -> None:
        self.artifacts: frozenset[bytes] = frozenset()
        self._looked_ms = now_ms
        self._since: dict[bytes, int] = {}

    def look(self, core: "NodeCore", now_ms: int) -> bool:
        """Looks now and then; whether what is to be fetched for others has changed."""
        if now_ms - self._looked_ms < LOOK_EVERY_MS:
            return False
        self._looked_ms, before = now_ms, self.artifacts
        helps = core.wan and core.peer.gateway() == core.name
        stranded = core.artifacts.swarm.stranded() if helps else []
        self._since = {one: self._since.get(one, now_ms) for one in stranded}
        self.artifacts = frozenset(
            one for one, since_ms in self._since.items() if now_ms - since_ms >= STRANDED_MS
        )
        return self.artifacts != before

"""When a turn of a rollout may begin: not before it has stood for a while.

Whose turn it is follows from registers, and what nodes say takes time to reach the others. When two
nodes have fetched a model within that time, each of them may find that it comes first. So a node
waits until its turn has stood for `TURN_STANDS_MS`: by then it has heard what was so when its turn
came, and whoever comes before it, or has begun, has said so.
"""

TURN_STANDS_MS = 1_000
"""What nodes say must take less than half of this to reach all of a site, for one node at a time to
change. It is announced at once: some 10 ms in a quiet site, 0.3 s with 50 nodes on slow links."""


class Turns:
    """Since when each service's turn has been here. `decided_ms`: when that was looked at last."""

    def __init__(self) -> None:
        self._came: dict[str, tuple[str, int]] = {}
        self.decided_ms = 0

    def stands(self, service: str, config: str, now_ms: int) -> bool:
        """It is this node's turn with a configuration: whether that has stood for long enough."""
        known, since_ms = self._came.get(service, ("", 0))
        if known != config:
            self._came[service] = (config, now_ms)
            return False
        return now_ms - since_ms >= TURN_STANDS_MS

    def went(self, service: str) -> None:
        """It is not this node's turn, or no longer."""
        self._came.pop(service, None)

    def is_due(self, now_ms: int) -> bool:
        """Whether a turn stands by now that did not when it was looked at last."""
        return any(
            self.decided_ms < since_ms + TURN_STANDS_MS <= now_ms
            for _, since_ms in self._came.values()
        )

"""A runtime that stays away: its node says so, and the others do its work until it is back.

Nothing runs where no runtime is, while the agent lives on, keeps the node's places, and would keep
them until a person came. So after `GONE_MS` the node's register says it. Placement then asks every
other node first, and no rollout waits for this one. It ends with the first word of a runtime, which
is told at once; one that comes and goes is held back by quarantine (mesh/core/quarantine.py).
"""

GONE_MS = 1_500
"""From when the agent said that the runtime is gone. One that died answers again after some 0.4 s,
with both cores busy; it is not worth while to load a model elsewhere for that. One that froze is
told after 3 s at most (node/agent/runtime_pulse.py), and its replicas are to serve elsewhere 6 s
after it did: that leaves 1.5 s to load them."""


class RuntimeLoss:
    """Whether the runtime of this node has been away for long. Nothing is lost before the first
    word of it, or that there is none. `said`: an agent before this one had said so; until the
    runtime answers, the others are to keep the work that they took over."""

    def __init__(self, said: bool = False) -> None:
        self.said = said
        """Whether the node's register is to say that it is gone."""
        self._since_ms: int | None = None

    def heard(self, is_here: bool, now_ms: int) -> bool:
        """The runtime said something, or is gone; returns whether it is back after it was said to
        be gone."""
        if not is_here:
            self._since_ms = now_ms if self._since_ms is None else self._since_ms
            return False
        was_said, self.said, self._since_ms = self.said, False, None
        return was_said

    def is_due(self, now_ms: int) -> bool:
        """Whether it has been away for long enough just now."""
        if self.said or self._since_ms is None or now_ms - self._since_ms < GONE_MS:
            return False
        self.said = True
        return True

"""The outage: the time in which a site reaches no master."""

from mesh.core.alarms import Alarms
from mesh.events import Instruction, WriteJournal

MESSAGE = "the site reaches no master: it goes on by itself, nothing needs to be done here"
GRACE_MS = 4_000
"""A gateway that changes, or a node that just started, is no outage yet."""


class OutageWatch:
    """Tells when an outage begins and ends, as one node knows it."""

    def __init__(self, now_ms: int) -> None:
        self.out: bool | None = None
        self._lost_ms: int | None = now_ms

    def update(self, gateway: str | None, now_ms: int) -> bool | None:
        """True: an outage began; False: it ended (or there is none); None: nothing changed."""
        if gateway is not None:
            self._lost_ms = None
            return self._become(False)
        if self._lost_ms is None:
            self._lost_ms = now_ms
        return self._become(True) if now_ms - self._lost_ms >= GRACE_MS else None

    def watch(
        self, gateway: str | None, site: str, alarms: Alarms, unix_ms: int, now_ms: int
    ) -> list[Instruction]:
        """Journals the beginning and the end, with an alarm in between."""
        out = self.update(gateway, now_ms)
        if out is None:
            return []
        if out:
            entry = WriteJournal("record", "outage.began", site, "no node has a path to a master")
            return [entry, *alarms.set("Outage", site, MESSAGE, "warning", unix_ms)]
        ended = alarms.clear("Outage", site, "a master is reached")
        cause = f"through {gateway}"
        return [WriteJournal("record", "outage.ended", site, cause), *ended] if ended else []

    def _become(self, out: bool) -> bool | None:
        if self.out is out:
            return None
        self.out = out
        return out

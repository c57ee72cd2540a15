"""Data entries that were lost under the quota, as an alarm for people."""

from node.disk.journals import Dropped

QUIET_S = 600.0
"""Without a drop before the alarm ends: a camera fills the room of a segment in minutes."""


class Drops:
    """Counts what was dropped, of one disk, since this daemon started. `way_out`: what a person
    can do."""

    def __init__(self, way_out: str) -> None:
        self.entries = 0
        self._way_out = way_out
        self._last_s: float | None = None

    def heard(self, report: Dropped, acknowledged: int, now_s: float) -> None:
        """Entries went. Up to `acknowledged` a master has them: those are no loss."""
        lost = report.last - max(report.first - 1, acknowledged)
        if lost > 0:
            self.entries += lost
            self._last_s = now_s

    def message(self, now_s: float) -> str:
        """What the alarm says; "" while there is none."""
        if self._last_s is None or now_s - self._last_s >= QUIET_S:
            return ""
        return (
            f"{self.entries} data entries were lost under the quota since this daemon started, the "
            f"oldest first; records never are. {self._way_out}"
        )

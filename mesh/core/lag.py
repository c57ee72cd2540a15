"""Out of sync: a newer state is known here, and for a while it has not come into force."""

OUT_OF_SYNC_MS = 60_000
"""A head is followed by its branches within a second; a link that is slow or breaks may cost some
more rounds of 10 s."""


class Lag:
    """Whether this node lags behind the newest state that it knows of."""

    def __init__(self) -> None:
        self._since: tuple[tuple[int, int], int] | None = None  # what is in force, since when late
        self._late = ""

    def look(self, seen: tuple[int, int], applied: tuple[int, int], now_ms: int) -> None:
        """`seen` and `applied` are orders of states: trust generation and counter."""
        if seen <= applied:
            self._since, self._late = None, ""
            return
        if self._since is None or self._since[0] != applied:
            self._since = (applied, now_ms)
        if now_ms - self._since[1] >= OUT_OF_SYNC_MS:
            self._late = (
                f"state {seen[1]} is known for more than {OUT_OF_SYNC_MS // 1000} s, and not in "
                f"force: state {applied[1]} is. Its parts have not come: see to the links with "
                "neighbours and the master, and to `meshctl events` for what was refused"
            )

    @property
    def late(self) -> str:
        """What is wrong; "" if nothing is."""
        return self._late

"""With which keys journals are signed: of each ID that of the machine that has it, and of those
that had it before. What a machine wrote that was replaced lies with its neighbours, and is handed
over."""

from collections.abc import Callable, Sequence

KEYS_MAX = 4
"""Machines that had one ID, one after the other, whose journals can still be checked: 32 bytes
each."""


class Writers:
    """The raw Ed25519 keys of those who write journals. `said` gives the one that the register of a
    node says, None where there is no register."""

    def __init__(self, said: Callable[[str], bytes | None]) -> None:
        self._said = said
        self._known: dict[str, tuple[bytes, ...]] = {}

    def remember(self, node: str, signing_key: bytes) -> None:
        """A machine with this key has, or had, the ID."""
        known = self._known.get(node, ())
        if signing_key not in known:
            self._known[node] = (signing_key, *known)[:KEYS_MAX]

    def keys_of(self, node: str) -> Sequence[bytes]:
        """Those of all that had the ID, the last first; none of a node that is not known."""
        said = self._said(node)
        if said is not None:
            self.remember(node, said)
        return self._known.get(node, ())

"""The links that stand, and who is at their other ends."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.events import Contact, Instruction, Send

RELAYS = 2
"""Neighbours to whom what a neighbour said is relayed: for links that are cut one by one."""


@dataclass(slots=True)
class Link:
    """One link. Times in milliseconds.

    `dirty`: news came over it since the last comparison. `asked_ms`: when the question was asked to
    which nothing was heard yet; None where there is none.
    """

    contact: Contact
    wan: bool
    dirty: bool = False
    exchanged_ms: int = 0
    asked_ms: int | None = None


class Links:
    """The links of one peer, by the other end's name. `own` is this peer's."""

    def __init__(self, own: str) -> None:
        self._own = own
        self.open: dict[str, Link] = {}
        self._sort()

    def add(self, link: Link) -> None:
        """A link stands."""
        self.open[link.contact.name] = link
        self._sort()

    def remove(self, peer: str) -> Link | None:
        """A link is gone; returns what it was, or None if there was none."""
        link = self.open.pop(peer, None)
        self._sort()
        return link

    def _sort(self) -> None:
        links = sorted(self.open.items())
        self.wan = [link for _, link in links if link.wan]
        """The links that leave the site, by the other end's name."""
        self._masters = [name for name, link in links if link.contact.role == "master"]
        self._neighbours = [name for name, link in links if not link.wan]

    def masters(self) -> list[str]:
        """The masters that this peer is linked with, sorted."""
        return list(self._masters)

    def neighbours(self) -> list[str]:
        """The linked peers of the same site, sorted."""
        return list(self._neighbours)

    def broadcast(
        self, frames: Iterable[bytes], cause: str, without: Iterable[str] = ()
    ) -> list[Instruction]:
        """Frames to everybody who is linked, but those `without`."""
        left_out = set(without)
        peers = [peer for peer in sorted(self.open) if peer not in left_out]
        return [Send(peer, data, cause) for data in frames for peer in peers]

    def spread(
        self, frames: Iterable[bytes], cause: str, source: str, without: Iterable[str] = ()
    ) -> list[Instruction]:
        """Tells the neighbours what was heard from `source`, but not those `without`.

        What came from outside the site goes to all neighbours. What came from a neighbour went to
        all of its neighbours already: it goes to this node's two successors on the ring of names,
        so that a node whose link with the source is cut hears of it from two others, and a change
        costs three messages a node, not one for each pair.
        """
        left_out = {source, *without}
        link = self.open.get(source)
        targets = self._neighbours
        if link is not None and not link.wan:
            later = [name for name in targets if name > self._own]
            targets = [*later, *targets[: len(targets) - len(later)]]
            targets = [name for name in targets if name not in left_out][:RELAYS]
        return [
            Send(peer, data, cause) for data in frames for peer in targets if peer not in left_out
        ]

"""The links that stand, and who is at their other ends."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.events import Contact, Instruction, Send


@dataclass(slots=True)
class Link:
    """One link. `dirty`: news went over it since the last comparison; times in milliseconds."""

    contact: Contact
    wan: bool
    dirty: bool = False
    exchanged_ms: int = 0


class Links:
    """The links of one peer, by the other end's name."""

    def __init__(self) -> None:
        self.open: dict[str, Link] = {}

    def masters(self) -> list[str]:
        """The masters that this peer is linked with, sorted."""
        return sorted(n for n, link in self.open.items() if link.contact.role == "master")

    def neighbours(self) -> list[str]:
        """The linked peers of the same site, sorted."""
        return sorted(n for n, link in self.open.items() if not link.wan)

    def broadcast(
        self, frames: Iterable[bytes], cause: str, without: Iterable[str] = ()
    ) -> list[Instruction]:
        """Frames to everybody who is linked, but those `without`."""
        left_out = set(without)
        peers = [peer for peer in sorted(self.open) if peer not in left_out]
        return [Send(peer, data, cause) for data in frames for peer in peers]

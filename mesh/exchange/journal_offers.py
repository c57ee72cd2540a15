"""Who is offered journals: the neighbour that keeps this node's copies, the gateway, the masters.

What they then want of it, and what follows, is in mesh/exchange/journal_flow.py.
"""

from mesh.events import Instruction, Send
from mesh.exchange.gateway import Gateway
from mesh.exchange.journal_flow import JournalFlow
from mesh.exchange.links import Links
from mesh.exchange.membership import Membership
from mesh.journals.keys import LogKey
from protos.peer_pb2 import JournalOffer


class JournalOffers:
    """The offers of one peer. `membership` and `gateway` are set on nodes; a master offers nothing,
    and takes what it is offered."""

    def __init__(
        self,
        name: str,
        links: Links,
        membership: Membership | None,
        gateway: Gateway | None,
        flow: JournalFlow,
    ) -> None:
        self._name = name
        self._links = links
        self._membership = membership
        self._gateway = gateway
        self._flow = flow
        self._offered_to: list[str] = []

    def offer(self, again: bool = False) -> list[Instruction]:
        """Offers what is news to whoever should have it; all of it `again`."""
        targets = self._offered_to = self._targets()
        return [Send(peer, data, "journal") for peer, data in self._flow.offer(targets, again)]

    def grew(self, log: LogKey) -> list[Instruction]:
        """Offers a log that has grown, where it is news; and all, where others should have them."""
        targets = self._targets()
        is_news = targets != self._offered_to or self._flow.is_news(log, targets)
        return self.offer() if is_news else []

    def answer(self, offer: JournalOffer, peer: str) -> list[Instruction]:
        """What this peer wants of what another offers it."""
        if self._membership is not None and not self._links.masters():
            record = self._membership.registers.get(peer)
            if record is None or record.body.copy_holder != self._name:
                return []
        wanted = self._flow.wanted(offer)
        return [Send(peer, wanted, "journal")] if wanted else []

    def _targets(self) -> list[str]:
        if self._membership is None or self._gateway is None:
            return []
        mine = self._membership.registers.get(self._name)
        copy_holder = mine.body.copy_holder if mine else ""
        wanted = {self._gateway.find(), copy_holder, *self._links.masters()}
        return sorted(peer for peer in wanted if peer in self._links.open)

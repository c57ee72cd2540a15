"""How journals move: offered, wanted, and then streamed as they grow.

A peer that holds entries which no master has acknowledged *offers* the logs to whoever should have
them: to the neighbour that keeps its copies, to the site's gateway, and, as the gateway, to the
master. The other answers with what it *wants*: a log and the sequence that it has. From then on
batches follow in order, one bunch in flight a peer, and new ones as they are written, so that a
copy is at the neighbour well within a second. A link that breaks ends it; a new one starts anew
from what the other has by then. Nothing needs a time-out, because the link is reliable or gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.events import SendBatches
from mesh.exchange.frames import encode
from mesh.journals.keys import RECORD, LogKey, LogNameRefused
from mesh.journals.logs import Logs
from protos.peer_pb2 import JournalOffer, JournalWant, LogDigest

LOGS_A_PEER_MAX = 4096
"""Logs that one peer may subscribe to: 256 nodes with 8 unacknowledged boots of 2 kinds."""


@dataclass(slots=True)
class _Subscriber:
    sent: dict[LogKey, int] = field(default_factory=dict)  # log -> handed to the link up to here
    in_flight: LogKey | None = None
    again_from: int | None = None  # of the log in flight: asked for anew meanwhile
    offered: dict[LogKey, int] = field(default_factory=dict)


class JournalFlow:
    """The journals' part of the exchange with all linked peers."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._subscribers: dict[str, _Subscriber] = {}
        self._ready: set[str] = set()  # peers for whom there may be something to send

    def link(self, peer: str, up: bool) -> None:
        """A link with the peer was made anew or is gone."""
        self._subscribers.pop(peer, None)
        self._ready.discard(peer)
        if up:
            self._subscribers[peer] = _Subscriber()

    def is_news(self, log: LogKey, peers: Iterable[str]) -> bool:
        """Whether one of the peers has not heard of the log, nor is subscribed to it."""
        subscribers = (self._subscribers[peer] for peer in peers if peer in self._subscribers)
        return any(log not in one.sent and log not in one.offered for one in subscribers)

    def offer(self, peers: Iterable[str], again: bool = False) -> list[tuple[str, bytes]]:
        """Frames that offer what is not acknowledged yet: only news, or all of it `again`.

        A log that the peer is subscribed to already is no news: it streams.
        """
        logs = dict(self._logs.unacknowledged())
        frames = []
        for peer in peers:
            subscriber = self._subscribers.get(peer)
            if subscriber is None:
                continue
            news = {
                key: last
                for key, last in logs.items()
                if key not in subscriber.sent and (again or key not in subscriber.offered)
            }
            subscriber.offered.update(news)
            frames += [(peer, data) for data in _offers(news)]
        return frames

    def grew(self, log: LogKey) -> None:
        """More of a log is on this disk."""
        for peer, subscriber in self._subscribers.items():
            if log in subscriber.sent:
                self._ready.add(peer)

    def wants(self, message: JournalWant, peer: str) -> None:
        """The peer has each of these logs up to a sequence, and wants what follows."""
        subscriber = self._subscribers.get(peer)
        if subscriber is None:
            return
        self._ready.add(peer)
        for key, sequence in read_logs(message.logs).items():
            if key == subscriber.in_flight:
                subscriber.again_from = sequence
            elif key in subscriber.sent or len(subscriber.sent) < LOGS_A_PEER_MAX:
                subscriber.sent[key] = sequence

    def sent(self, peer: str, log: LogKey, last: int) -> None:
        """A bunch of batches was handed to the link.

        If there was none to be read although the log should go on, the subscription ends: the log
        is offered again in a while, instead of being read again at once and for ever.
        """
        subscriber = self._subscribers.get(peer)
        if subscriber is None or subscriber.in_flight != log:
            return
        subscriber.in_flight = None
        self._ready.add(peer)
        if subscriber.again_from is not None:
            subscriber.sent[log], subscriber.again_from = subscriber.again_from, None
        elif last > subscriber.sent[log]:
            subscriber.sent[log] = last
        else:
            del subscriber.sent[log]

    def next_bunches(self) -> list[SendBatches]:
        """What to send now: at most one bunch in flight a peer, records before data."""
        if not self._ready:
            return []
        bunches = []
        for peer in sorted(self._ready):
            subscriber = self._subscribers[peer]
            if subscriber.in_flight is None and (log := self._behind(subscriber)) is not None:
                subscriber.in_flight = log
                bunches.append(SendBatches(peer, log, subscriber.sent[log], "journal"))
        self._ready.clear()  # what is in flight makes its peer ready again when it is sent
        return bunches

    def wanted(self, message: JournalOffer) -> bytes | None:
        """The answer to an offer: what this peer wants of it, or None."""
        wanted = self._logs.wanted(read_logs(message.logs))
        return want_frame(wanted) if wanted else None

    def _behind(self, subscriber: _Subscriber) -> LogKey | None:
        behind = [key for key, sent in subscriber.sent.items() if self._logs.goes_beyond(key, sent)]
        return min(behind, key=lambda key: (key.kind != RECORD, key), default=None)


def want_frame(wanted: Mapping[LogKey, int]) -> bytes:
    """The frame that asks for each log's entries after a sequence."""
    logs = [LogDigest(log=key.name(), sequence=last) for key, last in wanted.items()]
    return encode(journal_want=JournalWant(logs=logs))


def read_logs(digests: Iterable[LogDigest]) -> dict[LogKey, int]:
    """Logs and sequences that a peer names; those with impossible names are left out."""
    logs: dict[LogKey, int] = {}
    for digest in digests:
        try:
            logs[LogKey.from_name(digest.log)] = digest.sequence
        except LogNameRefused:
            continue
    return logs


def _offers(news: Mapping[LogKey, int]) -> list[bytes]:
    items = [LogDigest(log=key.name(), sequence=last) for key, last in news.items()]
    return [
        encode(journal_offer=JournalOffer(logs=items[start : start + 1000]))
        for start in range(0, len(items), 1000)
    ]

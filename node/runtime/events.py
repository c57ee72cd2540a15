"""What the runtime tells its watchers: its state, and what should be journalled.

Each watcher has a bounded queue. Of the state only the newest counts, so it takes one place. Of
the journal nothing is lost silently: what is dropped under the cap is counted, and the count is
told. Items that arise while nobody watches are kept for the first watcher that comes.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from node.runtime.limits import JOURNAL_BACKLOG_MAX, WATCHERS_MAX
from protos.runtime_pb2 import JournalItem, RuntimeEvent, RuntimeState

RECORD = "record"
DATA = "data"


class Journal(Protocol):
    """Notes a record of the supervisor's: what happened to what, why, and details."""

    def __call__(self, event: str, subject: str, /, cause: str = "", **fields: str) -> None: ...


class TooManyWatchers(Exception):
    """WATCHERS_MAX watch already; nothing was changed."""


class Backlog:
    """Journal items in order, bounded; what was dropped is counted and told in its place."""

    def __init__(self) -> None:
        self._items: deque[JournalItem] = deque()
        self._dropped = 0

    def add(self, item: JournalItem) -> None:
        """Keeps an item; beyond the cap the oldest goes, data before records."""
        self._items.append(item)
        if len(self._items) > JOURNAL_BACKLOG_MAX:
            oldest_data = next((kept for kept in self._items if kept.kind == DATA), None)
            self._items.remove(oldest_data or self._items[0])
            self._dropped += 1

    def take(self) -> JournalItem | None:
        """The oldest item, or None."""
        if self._dropped:
            fields = {"count": str(self._dropped)}
            self._dropped = 0
            return JournalItem(kind=RECORD, event="runtime.journal_dropped", fields=fields)
        return self._items.popleft() if self._items else None


class Watcher:
    """One stream of events."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self.state_is_new = True
        self.news = asyncio.Event()
        self.news.set()

    async def has_news(self, within_s: float) -> bool:
        """Waits for news, at most `within_s` (0: for ever); whether there are any."""
        try:
            async with asyncio.timeout(within_s or None):
                await self.news.wait()
        except TimeoutError:
            return False
        self.news.clear()
        return True


class Hub:
    """Hands events to the watchers. `read_state` gives the state when one asks for it."""

    def __init__(self, read_state: Callable[[], RuntimeState]) -> None:
        self._read_state = read_state
        self._watchers: list[Watcher] = []
        self._kept = Backlog()
        self._closed = False

    def close(self) -> None:
        """Ends all watches, once what is there has been told."""
        self._closed = True
        for watcher in self._watchers:
            watcher.news.set()

    def state_changed(self) -> None:
        """The state is another: each watcher will be given the newest."""
        for watcher in self._watchers:
            watcher.state_is_new = True
            watcher.news.set()

    def journal(self, item: JournalItem) -> None:
        """Hands an item to every watcher, or keeps it while there is none."""
        for backlog in [watcher.backlog for watcher in self._watchers] or [self._kept]:
            backlog.add(item)
        for watcher in self._watchers:
            watcher.news.set()

    def record(self, event: str, subject: str, /, cause: str = "", **fields: str) -> None:
        """Notes a record of the supervisor's own."""
        self.journal(
            JournalItem(kind=RECORD, event=event, subject=subject, cause=cause, fields=fields)
        )

    async def watch(self, beat_s: float = 0.0) -> AsyncIterator[RuntimeEvent]:
        """The state now, then each change, and journal items; a beat after the state, and wherever
        there was nothing else for `beat_s` (0: no beats). Raises TooManyWatchers."""
        if len(self._watchers) >= WATCHERS_MAX:
            raise TooManyWatchers(f"{WATCHERS_MAX} watch already: close one of them")
        watcher, self._kept = Watcher(self._kept), Backlog()
        self._watchers.append(watcher)
        try:
            for number in itertools.count():
                if self._closed:
                    return
                heard = await watcher.has_news(beat_s)
                while (event := self._next(watcher)) is not None:
                    yield event
                if beat_s and (number == 0 or not heard):
                    yield RuntimeEvent(beat=True)
        finally:
            self._watchers.remove(watcher)
            if not self._watchers:
                self._kept = watcher.backlog

    def _next(self, watcher: Watcher) -> RuntimeEvent | None:
        if watcher.state_is_new:
            watcher.state_is_new = False
            return RuntimeEvent(state=self._read_state())
        item = watcher.backlog.take()
        return None if item is None else RuntimeEvent(journal=item)

"""Outages: the times in which a site reached no master, put together afterwards.

Two sources tell of them. Each node of the site journals `outage.began` and `outage.ended`; the
master keeps when it lost and found the site. Neither is enough alone: a node may have died in the
outage, or may have been started in it, and a master may have been off. So all of them count: what
overlaps is one outage, from the first beginning to the last end. What a node began and did not end
lasts while the master sees the site down; else it counts up to that node's last sign of life.

Wall clocks of different machines differ: times are for people, and within `TOLERANCE_MS` two
outages are one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.master.store import Store, Write

BEGAN = "outage.began"
ENDED = "outage.ended"
"""The events of a node's journal."""
TOLERANCE_MS = 5000
"""Between the end of one outage and the beginning of the next: less is one outage with a flicker,
or two clocks that differ."""
EVENTS_MAX = 1000
"""Shown of one outage, the first ones; more would not be read, and the journal has them all."""
LINKS = "link"
"""The name of the store's table."""
LINKS_MAX = 1000
"""Changes kept of each site: years at the usual rate, 40 KB."""


@dataclass(frozen=True, slots=True)
class SiteEvent:
    """A journal's entry of a node of some site."""

    site: str
    node: str
    boot: int
    nonce: str
    """Of the boot, hex."""
    sequence: int
    unix_ms: int
    event: str
    kind: str = "record"
    subject: str = ""
    cause: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The event as `meshctl` shows it."""
        return {
            "time": self.unix_ms,
            "node": self.node,
            "site": self.site,
            "boot": self.boot,
            "nonce": self.nonce,
            "sequence": self.sequence,
            "kind": self.kind,
            "event": self.event,
            "subject": self.subject,
            "cause": self.cause,
            "fields": self.fields,
        }


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The master lost (`up` false) or found a site."""

    site: str
    unix_ms: int
    up: bool


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which `site` reached no master. `ended` is None while it lasts."""

    site: str
    began: int
    ended: int | None
    events: tuple[SiteEvent, ...]

    def document(self) -> dict[str, Any]:
        """The outage as `meshctl outages` shows it."""
        made: dict[str, Any] = {"site": self.site, "began": self.began}
        if self.ended is not None:
            made["ended"] = self.ended
            made["duration_s"] = (self.ended - self.began) / 1000
        made["events"] = [event.document() for event in self.events]
        return made


@dataclass(frozen=True, slots=True)
class _Span:
    began: int
    ended: int | None


def build_outages(
    events: Iterable[SiteEvent], links: Iterable[LinkChange], site: str = ""
) -> list[Outage]:
    """The outages of `site`, or of all, the latest last.

    The events of a log come in the order of their sequences; the order of logs does not matter.
    """
    by_site: dict[str, list[SiteEvent]] = {}
    for event in events:
        by_site.setdefault(event.site, []).append(event)
    changes: dict[str, list[LinkChange]] = {}
    for change in links:
        changes.setdefault(change.site, []).append(change)
    sites = sorted(set(by_site) | set(changes)) if not site else [site]
    found = [
        outage
        for one in sites
        for outage in _outages_of(one, by_site.get(one, []), changes.get(one, []))
    ]
    return sorted(found, key=lambda outage: (outage.began, outage.site))


def _outages_of(
    site: str, events: Sequence[SiteEvent], links: Sequence[LinkChange]
) -> list[Outage]:
    links = sorted(links, key=lambda change: change.unix_ms)
    spans = _link_spans(links) + _journal_spans(events, links)
    ordered = sorted(events, key=lambda one: (one.unix_ms, one.node, one.boot, one.sequence))
    outages = []
    for span in _merged(spans):
        within = [one for one in ordered if _within(one.unix_ms, span)]
        outages.append(Outage(site, span.began, span.ended, tuple(within[:EVENTS_MAX])))
    return outages


def _link_spans(links: Sequence[LinkChange]) -> list[_Span]:
    spans: list[_Span] = []
    lost_at: int | None = None
    for change in links:
        if change.up and lost_at is not None:
            spans.append(_Span(lost_at, change.unix_ms))
            lost_at = None
        elif not change.up and lost_at is None:
            lost_at = change.unix_ms
    return spans if lost_at is None else [*spans, _Span(lost_at, None)]


def _journal_spans(events: Sequence[SiteEvent], links: Sequence[LinkChange]) -> list[_Span]:
    logs: dict[tuple[str, int, str], list[SiteEvent]] = {}
    for event in events:
        logs.setdefault((event.node, event.boot, event.nonce), []).append(event)
    return [span for log in logs.values() for span in _log_spans(log, links)]


def _log_spans(log: Sequence[SiteEvent], links: Sequence[LinkChange]) -> list[_Span]:
    spans: list[_Span] = []
    began: int | None = None
    for event in log:
        if event.event == BEGAN and began is None:
            began = event.unix_ms
        elif event.event == ENDED and began is not None:
            spans.append(_Span(began, event.unix_ms))
            began = None
    if began is None:
        return spans
    lasts = bool(links) and not links[-1].up and began >= links[-1].unix_ms - TOLERANCE_MS
    last_sign = max(event.unix_ms for event in log)
    return [*spans, _Span(began, None if lasts else max(began, last_sign))]


def _merged(spans: Sequence[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for span in sorted(spans, key=lambda one: one.began):
        last = merged[-1] if merged else None
        if last is None or (last.ended is not None and span.began > last.ended + TOLERANCE_MS):
            merged.append(span)
        elif last.ended is not None:
            ended = None if span.ended is None else max(last.ended, span.ended)
            merged[-1] = _Span(last.began, ended)
    return merged


def _within(unix_ms: int, span: _Span) -> bool:
    return span.began <= unix_ms and (span.ended is None or unix_ms <= span.ended)


class LinkHistory:
    """When the master lost and found each site, kept in its store. For one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: dict[str, list[LinkChange]] = {}
        for name, data in store.scan(LINKS):
            site, _, unix_ms = name.partition("/")
            change = LinkChange(site, int(unix_ms), data == b"up")
            self._changes.setdefault(site, []).append(change)

    def note(self, site: str, up: bool, unix_ms: int) -> None:
        """Keeps that `site` was found or lost; what is known already changes nothing."""
        changes = self._changes.setdefault(site, [])
        if changes and changes[-1].up == up:
            return
        unix_ms = max(unix_ms, changes[-1].unix_ms + 1 if changes else 0)
        over = changes[: max(0, len(changes) + 1 - LINKS_MAX)]
        writes = [Write(LINKS, _name(site, one.unix_ms), None) for one in over]
        writes.append(Write(LINKS, _name(site, unix_ms), b"up" if up else b"down"))
        self._store.commit(writes)
        self._changes[site] = [*changes[len(over) :], LinkChange(site, unix_ms, up)]

    def changes(self) -> list[LinkChange]:
        """All that is kept, by site and time."""
        return [change for site in sorted(self._changes) for change in self._changes[site]]


def _name(site: str, unix_ms: int) -> str:
    return f"{site}/{unix_ms:015d}"

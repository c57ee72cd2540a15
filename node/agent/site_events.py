"""Events of the journals as a master's account of outages takes them."""

from typing import Any

from node.master.outages import SiteEvent

Document = dict[str, Any]


def site_event(event: Document) -> SiteEvent:
    """An event as the master's account of outages takes it."""
    return SiteEvent(
        site=event["site"],
        node=event["node"],
        boot=event["boot"],
        nonce=event["nonce"],
        sequence=event["sequence"],
        unix_ms=event["time"],
        event=event["event"],
        kind=event["kind"],
        subject=event["subject"],
        cause=event["cause"],
        fields=event["fields"],
    )

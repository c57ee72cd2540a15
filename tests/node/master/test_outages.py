"""Outages are put together from what the nodes journalled and what the master saw."""

from pathlib import Path

import pytest

from node.master.outages import (
    LINKS,
    LINKS_MAX,
    LinkChange,
    LinkHistory,
    Outage,
    SiteEvent,
    build_outages,
)
from node.master.store import SqliteStore, Write

S = 1000


def event(at_s: float, name: str, node: str = "a", boot: int = 1, site: str = "north") -> SiteEvent:
    return SiteEvent(site, node, boot, "00", int(at_s * 10), int(at_s * S), name)


def began(at_s: float, node: str = "a", boot: int = 1, site: str = "north") -> SiteEvent:
    return event(at_s, "outage.began", node, boot, site)


def ended(at_s: float, node: str = "a", boot: int = 1, site: str = "north") -> SiteEvent:
    return event(at_s, "outage.ended", node, boot, site)


def lost(at_s: float, site: str = "north") -> LinkChange:
    return LinkChange(site, int(at_s * S), up=False)


def found(at_s: float, site: str = "north") -> LinkChange:
    return LinkChange(site, int(at_s * S), up=True)


def spans(outages: list[Outage]) -> list[tuple[float, float | None]]:
    return [(one.began / S, None if one.ended is None else one.ended / S) for one in outages]


@pytest.mark.parametrize(
    ("events", "links", "expected"),
    [
        pytest.param([], [], [], id="nothing happened"),
        pytest.param([], [found(1)], [], id="a site was found and stayed"),
        pytest.param([], [found(1), lost(10), found(60)], [(10, 60)], id="the master saw it"),
        pytest.param([], [lost(10), lost(12), found(60)], [(10, 60)], id="the master saw it twice"),
        pytest.param([], [found(1), lost(10)], [(10, None)], id="it lasts"),
        pytest.param([began(11), ended(59)], [], [(11, 59)], id="only a node saw it"),
        pytest.param([began(11), began(12), ended(59), ended(60)], [], [(11, 59)],
                     id="a node says it twice"),
        pytest.param([ended(5)], [found(1)], [], id="an end without a beginning"),
        pytest.param(
            [began(11), ended(59), began(12, "b"), ended(61, "b")], [lost(10), found(60)],
            [(10, 61)], id="all of them saw it",
        ),
        pytest.param(
            [began(11), event(20, "replica.started"), began(30, boot=2), ended(59, boot=2)],
            [found(1)], [(11, 20), (30, 59)], id="the only node died in it, the master was off",
        ),
        pytest.param(
            [began(11), began(12, "b"), ended(61, "b")], [lost(10), found(60)],
            [(10, 61)], id="one node died in it for good",
        ),
        pytest.param([began(11)], [lost(10)], [(10, None)], id="a beginning while it lasts"),
        pytest.param(
            [began(11), began(101, "b"), ended(159, "b")],
            [lost(10), found(60), lost(100)], [(10, 60), (100, None)],
            id="an old beginning without an end does not last",
        ),
        pytest.param(
            [], [lost(10), found(20), lost(23), found(30)], [(10, 30)], id="a flicker is one",
        ),
        pytest.param(
            [], [lost(10), found(20), lost(26), found(30)], [(10, 20), (26, 30)], id="two are two",
        ),
        pytest.param(
            [began(12), ended(15)], [lost(10), found(60)], [(10, 60)], id="one within another",
        ),
        pytest.param(
            [began(70), ended(80)], [lost(10)], [(10, None)], id="one within one that lasts",
        ),
    ],
)  # fmt: skip
def test_spans(
    events: list[SiteEvent],
    links: list[LinkChange],
    expected: list[tuple[float, float | None]],
) -> None:
    assert spans(build_outages(events, links)) == expected
    assert spans(build_outages(events, links[::-1])) == expected


def test_an_outage_holds_what_the_site_did_in_it() -> None:
    events = [
        event(5, "workload.started"),
        began(10),
        event(20, "replica.healed"),
        event(15, "node.dead", "b"),
        ended(30),
        event(40, "plan.applied"),
    ]
    (outage,) = build_outages(events, [])
    assert [one.event for one in outage.events] == [
        "outage.began",
        "node.dead",
        "replica.healed",
        "outage.ended",
    ]
    document = outage.document()
    assert (document["site"], document["began"], document["ended"]) == ("north", 10_000, 30_000)
    assert document["duration_s"] == 20.0
    assert document["events"][1]["node"] == "b"


def test_one_that_lasts_has_no_end() -> None:
    (outage,) = build_outages([], [lost(10)])
    assert outage.document() == {"site": "north", "began": 10_000, "events": []}


def test_sites_are_apart() -> None:
    events = [began(10), ended(20), began(5, "x", site="south"), ended(30, "x", site="south")]
    assert [one.site for one in build_outages(events, [])] == ["south", "north"]
    assert [one.site for one in build_outages(events, [], site="north")] == ["north"]


def test_the_masters_history_outlives_a_restart(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store", "acme")
    history = LinkHistory(store)
    history.note("north", up=True, unix_ms=1)
    history.note("north", up=True, unix_ms=2)
    history.note("north", up=False, unix_ms=3)
    history.note("north", up=True, unix_ms=3)
    history.note("south", up=False, unix_ms=9)
    expected = [
        LinkChange("north", 1, True),
        LinkChange("north", 3, False),
        LinkChange("north", 4, True),
        LinkChange("south", 9, False),
    ]
    assert history.changes() == expected
    assert LinkHistory(store).changes() == expected
    store.close()


def test_the_history_is_bounded(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store", "acme")
    states = [b"down", b"up"]
    writes = [Write(LINKS, f"north/{at:015d}", states[at % 2]) for at in range(LINKS_MAX)]
    store.commit(writes)
    history = LinkHistory(store)
    history.note("north", up=LINKS_MAX % 2 == 1, unix_ms=LINKS_MAX)
    assert len(history.changes()) == LINKS_MAX
    assert history.changes()[0].unix_ms == 1
    assert LinkHistory(store).changes() == history.changes()
    store.close()

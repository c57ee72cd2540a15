"""`meshctl`'s views for people: watches, details, what is told when something is left out."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.admin import output
from node.admin.main import app
from node.admin.status_view import TIMELINE_MAX
from tests.node.admin.support import MemoryBackend, World, master_at, serving

BEGAN_MS = 1_700_000_000_000
NODES = [{"node": "north-a", "site": "north", "live": "live"}]
EVENTS = [
    {"time": BEGAN_MS + number, "node": "north-a", "event": "replica.started", "subject": "faces"}
    for number in range(TIMELINE_MAX + 3)
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path)


@pytest.fixture
async def master(world: World) -> AsyncIterator[MemoryBackend]:
    backend = world.backend()
    backend.documents = {"nodes": NODES, "status": [{"role": "master", "node": "master-1"}]}
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        yield backend


async def watched(world: World, master: MemoryBackend, *arguments: str) -> list[str]:
    """What a watch shows at first, and after a node came."""
    watching = asyncio.create_task(world.run(*arguments, "--watch"))
    async with asyncio.timeout(20):
        await master.watched.wait()
        master.documents["nodes"] = [*NODES, {"node": "north-b", "site": "north", "live": "dead"}]
        master.changed.set()
        result = await watching
    assert result.exit_code == 4, "this master ends each watch at its second change"
    return [line for line in result.stdout.splitlines() if line]


async def test_a_watched_table_has_one_heading(world, master):
    lines = await watched(world, master, "get", "nodes")
    assert [line.split()[0] for line in lines] == ["NODE", "north-a", "north-a", "north-b"]


async def test_a_watch_in_yaml_is_a_stream_of_documents(world, master):
    lines = await watched(world, master, "get", "nodes", "-o", "yaml")
    assert lines.count("---") == 3
    assert "node: north-b" in lines


async def test_a_watched_status_is_shown_anew_each_time(world, master):
    lines = await watched(world, master, "status")
    titles = [line for line in lines if line.startswith("master master-1")]
    assert len(titles) == 2
    assert "north-b" in "\n".join(lines)


async def test_a_watched_status_as_json_is_one_line_each_time(world, master):
    lines = await watched(world, master, "status", "-o", "json")
    assert [json.loads(line)["node"] for line in lines] == ["master-1", "master-1"]


async def test_a_watch_of_events_says_that_there_is_nothing_yet(world, master):
    watching = asyncio.create_task(world.run("events", "--watch"))
    async with asyncio.timeout(20):
        await master.watched.wait()
        master.documents["events"] = EVENTS[:1]
        master.changed.set()
        result = await watching
    assert result.stderr.startswith("nothing yet\n")
    assert "replica.started" in result.stdout


async def test_a_watch_waits_for_a_daemon_that_went_away(world):
    backend = world.backend()
    backend.documents["nodes"] = NODES
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        watching = asyncio.create_task(world.run("get", "nodes", "--watch", "-o", "json"))
        await asyncio.wait_for(backend.watched.wait(), 20)
    again = world.backend()
    again.documents["nodes"] = [{"node": "north-c"}]
    again.changed.set()
    async with serving(again, world.master.tls, address):
        result = await asyncio.wait_for(watching, 20)
    shown = [json.loads(line)["node"] for line in result.stdout.splitlines()]
    assert shown == ["north-a", "north-c", "north-c"]
    assert "trying again every 2 s; Ctrl-C ends" in result.stderr


async def test_describe_of_what_is_not_there_names_the_list(world, master):
    master.documents["nodes"] = []
    result = await world.run("describe", "node", "north-x")
    assert result.exit_code == 1
    assert "no nodes 'north-x'; `meshctl get nodes` shows what there is" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("alarms", "--kind", "Crash"), "no alarms of the kind 'Crash'"),
        (("events", "--node", "x", "--site", "moon"), "no events of 'x' at the site 'moon'"),
        (("get", "nodes", "--site", "moon"), "no nodes at the site 'moon'"),
        (("top",), "no nodes: make a token"),
    ],
    ids=["kind", "node and site", "site", "top"],
)
async def test_where_nothing_is_found_it_says_what_was_looked_for(world, master, arguments, text):
    master.documents.clear()
    result = await world.run(*arguments)
    assert (result.exit_code, text in result.output) == (0, True), result.output


async def test_describe_leaves_a_line_between_two(world, master):
    master.documents["loads"] = [{"service": "faces", "node": "a"}, {"service": "faces"}]
    result = await world.run("describe", "loads", "faces")
    assert result.stdout == "service: faces\nnode: a\n\nservice: faces\n"


async def test_times_are_shown_as_people_read_them_and_to_programs_as_numbers(world, master):
    until = {"nodes": 3, "until": 7}  # a state's counter
    version = {"version": "m@1", "time": BEGAN_MS, "state": 7}
    event = {"time": BEGAN_MS, "node": "a", "event": "change.began", "subject": "faces"}
    event["fields"] = {"until": str(BEGAN_MS), "value": str(BEGAN_MS)}
    document = {"name": "faces", "versions": [version], "earlier_rosters": [until], "ended": False}
    master.documents |= {"services": [document], "events": [event]}
    shown = (await world.run("describe", "service", "faces")).stdout
    when = output.time(BEGAN_MS)
    assert f"time: {when}" in shown.replace("'", "")
    assert "until: 7" in shown
    assert "ended: false" in shown
    assert f"until={when} value={BEGAN_MS}" in shown
    whole = await world.run("describe", "service", "faces", "-o", "json")
    assert json.loads(whole.stdout) == [document]


async def test_a_time_of_no_calendar_is_shown_as_it_came(world, master):
    master.documents["outages"] = [{"site": "south", "began": 10**18, "ended": 5}]
    shown = (await world.run("describe", "outages", "south")).stdout
    assert shown == f"site: south\nbegan: {10**18}\nended: 5\n"


async def test_describe_gives_the_documents_alone_to_programs(world, master):
    result = await world.run("describe", "node", "north-a", "-o", "json")
    assert json.loads(result.stdout) == NODES


async def test_describe_without_events_shows_none(world, master):
    result = await world.run("describe", "node", "north-a")
    assert "live: live" in result.stdout
    assert "latest events" not in result.stdout


async def test_outages_for_programs_are_whole_for_people_the_latest_events(world, master):
    outage = {"site": "north", "began": BEGAN_MS, "duration_s": 42.0, "events": EVENTS}
    master.documents["outages"] = [outage, {"site": "south", "began": BEGAN_MS, "events": []}]
    whole = await world.run("outages", "-o", "json")
    assert len(json.loads(whole.stdout)[0]["events"]) == TIMELINE_MAX + 3
    shown = await world.run("outages")
    assert shown.stdout.count("replica.started") == TIMELINE_MAX
    assert "3 earlier events: -o json shows them all" in shown.stdout
    assert "south: what happened" not in shown.stdout


async def test_a_status_that_says_little_is_shown_as_far_as_it_goes(world, master):
    little = await world.run("status")
    assert little.stdout.splitlines()[0] == "master master-1"
    assert "ALARMS" in little.stdout
    assert "WAN" not in little.stdout
    master.documents["status"] = [
        {
            "role": "node",
            "node": "north-a",
            "site": "north",
            "wan": {"up": False, "via_gateway": "north-b", "why_not": "m:7400: was revoked: x"},
            "state": {"seen": 4},
            "journal": {"unacknowledged": 2},
            "wan_bytes": {"sent": 5},
            "alarms": 2,
        }
    ]
    more = (await world.run("status")).stdout
    for text in (
        "down  gateway north-b  m:7400: was revoked: x",
        "seen 4  applied ?  trust ?  not synced",
        "2 here not yet at a master",
        "over the WAN  sent 5 B",
        "2: `meshctl alarms` shows them",
    ):
        assert text in more


def completed(world: World, *words: str) -> list[str]:
    """What the shell offers after these words."""
    env = {
        "MESHCTL_CONFIG": str(world.config),
        "_MESHCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["meshctl", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return CliRunner().invoke(app, [], prog_name="meshctl", env=env).stdout.split()


def test_the_shell_completes_kinds_formats_and_contexts(world):
    assert completed(world, "get", "no") == ["nodes"]
    assert completed(world, "get", "nodes", "-o", "j") == ["json"]
    world.know(master_at("127.0.0.1:1"))
    assert completed(world, "get", "nodes", "--context", "sh") == ["shops"]
    world.config.write_text("no such file = [")
    assert completed(world, "get", "nodes", "--context", "sh") == []


ALARMS = [
    {"site": "north", "node": "north-a", "kind": "Offline", "subject": "north-b", "count": 3,
     "severity": "critical", "since": 1, "heard": "now", "message": "no answer"},
    {"site": "north", "node": "north-b", "kind": "CrashLoop", "subject": "faces", "count": 1,
     "severity": "critical", "since": 2, "heard": "last known", "message": "\x1b[2Jcrashes"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((), ["Offline", "CrashLoop"]),
        (("--node", "north-b"), ["Offline", "CrashLoop"]),
        (("--node", "north-a"), ["Offline"]),
        (("--node", "south-a"), []),
    ],
    ids=["all", "of it or about it", "its own", "of none"],
)
async def test_alarms_are_shown_by_node(world, master, arguments, shown):
    master.documents["alarms"] = ALARMS
    result = await world.run("alarms", *arguments, "-o", "json")
    assert [one["kind"] for one in json.loads(result.stdout)] == shown


async def test_alarms_say_how_often_and_whether_it_is_so_now_and_move_no_cursor(world, master):
    master.documents["alarms"] = ALARMS
    result = await world.run("alarms")
    heading, first, second = result.stdout.splitlines()
    assert heading.split() == [
        "SEVERITY", "ALARM", "SITE", "NODE", "SUBJECT", "SINCE", "COUNT", "HEARD", "MESSAGE",
    ]  # fmt: skip
    assert first.split()[-4:] == ["3", "now", "no", "answer"]
    assert "last known" in second
    assert second.endswith("\N{REPLACEMENT CHARACTER}[2Jcrashes")


LEASE = {
    "acknowledged": ["north-a", "north-b"],
    "acknowledgements": 2,
    "roster": 3,
    "roster_state": 9,
    "here": "",
}


@pytest.mark.parametrize(
    ("lease", "text"),
    [
        pytest.param(
            {"holder": "north-a", "earlier_rosters": [{"nodes": 2, "until": 9}], "seconds_left": 5},
            "north-a holds it, acknowledged by north-a, north-b (2 of 3 of the roster of state 9), "
            "5.0 s left unless it is renewed; a quorum of the 2 nodes before state 9 is needed too",
            id="held",
        ),
        pytest.param(
            {"holder": "", "why_nobody": "1 of the 3 nodes acknowledge", "seconds_left": -1},
            "nobody is known to hold it: 1 of the 3 nodes acknowledge",
            id="held by nobody",
        ),
    ],
)
async def test_explain_says_on_which_rosters_a_lease_rests_or_why_nobody_holds_it(
    world, master, lease, text
):
    master.documents["explanations"] = [
        {
            "workload": "door",
            "kind": "pipeline",
            "site": "north",
            "seen_by": "north-a",
            "state": 9,
            "wanted": {"replicas": 1, "source": "camera", "service": "faces"},
            "lease": LEASE | lease,
            "nodes": [],
        }
    ]
    shown = (await world.run("explain", "door")).stdout
    assert text in " ".join(shown.split())


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ({"here": "1", "planned": "1"}, "version 1 (why)"),
        ({"here": "1", "planned": "2"}, "version 1 here; planned is 2 (why)"),
        (
            {"here": "1", "planned": "2", "wanted": "1"},
            "version 1, by a change at this site; planned is 2 (why)",
        ),
        (
            {"here": "2", "planned": "2", "wanted": "1"},
            "version 2 here; wanted is 1, by a change at this site; planned is 2 (why)",
        ),
    ],
    ids=["as planned", "an older release, on its way", "changed here", "being changed here"],
)
async def test_explain_tells_what_is_planned_from_what_the_site_made_of_it(
    world, master, version, text
):
    master.documents["explanations"] = [
        {
            "workload": "faces",
            "kind": "service",
            "site": "north",
            "seen_by": "north-a",
            "state": 9,
            "wanted": {"replicas": 1, "min": 1, "max": 1, "kept_by": "a"},
            "version": {"why": "why", "refused": ""} | version,
            "nodes": [],
        }
    ]
    shown = (await world.run("explain", "faces")).stdout
    assert text in " ".join(shown.split())

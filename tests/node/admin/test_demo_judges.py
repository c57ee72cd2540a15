"""What the demo concludes from what daemons say: a master and five nodes with answers in memory."""

import asyncio
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from rich.console import Console

from node.admin import contexts
from node.admin.contexts import Address, Context
from node.admin.demo import views
from node.admin.demo.golden import GoldenRequest
from node.admin.demo.lab import Lab
from node.admin.demo.layout import (
    BAD_VERSION,
    GOOD_VERSION,
    MASTER,
    MESH,
    MODEL_VERSION,
    SERVICES,
    SITES,
    make_layout,
)
from node.admin.demo.narrator import Narrator
from node.admin.demo.processes import Processes
from node.admin.demo.rollout import Rollout
from node.admin.demo.waiting import StepFailed
from node.admin.model_folder import Source, add_golden
from node.disk.authority_folder import initialise
from node.disk.authority_keys import MasterKeys, OperatorKeys
from protos import inference_pb2 as v2
from protos.inference_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)
from tests.node.admin.support import MemoryBackend, World, serving
from tests.node.agent.waiting import until

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "face-detector"
REFUSED = "the golden check of 1.0.1 failed: scores differ"


class Golden(GRPCInferenceServiceServicer):
    """A node that gives the golden answer to whatever it is asked."""

    def __init__(self) -> None:
        source = Source("model", [])
        add_golden(source, EXAMPLE / "golden")
        self.reply = v2.ModelInferResponse(model_version=MODEL_VERSION)
        for one in source.golden[0].outputs:
            self.reply.outputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
            self.reply.raw_output_contents.append(source.files[one.file].path.read_bytes())

    async def ModelInfer(self, request, context):  # noqa: N802
        return self.reply


@dataclass
class Fleet:
    """The demo's lab, and what each daemon in it says."""

    lab: Lab
    say: dict[str, MemoryBackend]

    def each(self, kind: str, **documents: list[dict[str, Any]]) -> None:
        """Makes nodes (named with _ for -) say this."""
        for name, found in documents.items():
            self.say[name.replace("_", "-")].documents[kind] = found

    def rollout(self) -> Rollout:
        narrator = Narrator(Console(quiet=True))
        golden = GoldenRequest(self.lab.layout.model_folder / "golden")
        return Rollout(self.lab, narrator, golden)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    layout = make_layout(tmp_path, EXAMPLE)
    paths = initialise(layout.mesh_folder, MESH, MASTER, "admin")
    keys = OperatorKeys.load(paths.operator), MasterKeys.load(paths.master)
    world = World(tmp_path, paths, layout.config, *keys)
    told = Address(MASTER, "master", "", layout.master_peer)
    known = Context(MESH, MESH, paths.operator, (told,))
    contexts.save(layout.config, contexts.Contexts().with_context(known))
    lab = Lab(layout, Processes(tmp_path, {"MESHCTL_CONFIG": str(layout.config)}))
    say = {name: world.backend(is_node=name != MASTER) for name in (MASTER, *layout.nodes)}
    inference = grpc.aio.server()
    add_GRPCInferenceServiceServicer_to_server(Golden(), inference)
    async with AsyncExitStack() as servers:
        await servers.enter_async_context(serving(say[MASTER], world.master.tls, told.address))
        for node in layout.nodes.values():
            tls = world.node_tls(node.name, node.site)
            await servers.enter_async_context(serving(say[node.name], tls, node.peer))
            inference.add_insecure_port(node.inference)
        await inference.start()
        yield Fleet(lab, say)
        await to_thread(lab.close)
        await inference.stop(None)


async def test_nodes_are_counted_and_who_does_not_answer_says_nothing(fleet: Fleet) -> None:
    live, dead = {"live": "live"}, {"live": "dead"}
    fleet.each("nodes", north_a=[live, live], north_b=[live, dead])
    fleet.each("status", north_a=[{"wan": {"up": True}}], north_b=[{"wan": {"up": False}}])
    names = ["north-a", "north-b", "south-a"]
    assert await to_thread(views.neighbours_seen, fleet.lab, names) == {
        "north-a": 2,
        "north-b": 1,
        "south-a": 0,
    }
    assert await to_thread(views.wan_up, fleet.lab, names) == {
        "north-a": True,
        "north-b": False,
        "south-a": None,
    }


async def test_a_state_is_applied_by_those_who_say_so(fleet: Fleet) -> None:
    fleet.each("status", north_a=[{"state": {"applied": 7, "synced": True}}])
    fleet.each("status", north_b=[{"state": {"applied": 7, "synced": False}}])
    fleet.each("status", south_a=[{"state": {"applied": 6, "synced": True}}])
    names = ["north-a", "north-b", "south-a", "south-b"]
    late = await to_thread(views.behind, fleet.lab, names, 7)
    assert late == {"south-a": 6, "south-b": "no answer"}
    unsynced = await to_thread(views.unsynced, fleet.lab, names, 7)
    assert sorted(unsynced) == ["north-b", "south-a", "south-b"]


async def test_replicas_count_where_they_serve_the_sites_service(fleet: Fleet) -> None:
    own, other = {"workload": SERVICES["south"]}, {"workload": SERVICES["north"]}
    serves = {"phase": "serving"}
    said = [
        {**own, **serves, "node": "south-a"},
        {**own, **serves, "node": "south-a"},
        {**own, "phase": "loading", "node": "south-b"},
        {**other, **serves, "node": "south-c"},
    ]
    fleet.each("workloads", south_a=said)
    assert await to_thread(views.replicas_on, fleet.lab, "south-a", "south") == {"south-a": 2}
    assert await to_thread(views.replicas_on, fleet.lab, "south-b", "south") == {}


async def test_artifacts_are_measured_by_what_came_over_the_wan(fleet: Fleet) -> None:
    model = {"name": "face-detector", "bytes": 100, "chunks": 4, "held": 4, "complete": True}
    companion = {"name": "store-map", "bytes": 300, "chunks": 3, "held": 2, "wan_bytes": 260}
    strange = {"name": "another", "bytes": 9, "chunks": 1, "held": 1, "complete": True}
    fleet.each("artifacts", north_a=[{**model, "wan_bytes": 100}, companion, strange])
    fleet.each("artifacts", north_b=[model, {**companion, "held": 3, "complete": True}])
    assert await to_thread(views.held_bytes, fleet.lab, ["north-a", "north-b"]) == 700
    assert await to_thread(views.incomplete, fleet.lab, ["north-a", "north-b"]) == ["north-a"]
    assert await to_thread(views.wan_ratio, fleet.lab, "north") == pytest.approx(620 / 400)


def turns(wants: str, runs: str, stage: str = "passed") -> list[dict[str, Any]]:
    """Every node with one replica of the version that it runs."""
    return [
        {"service": SERVICES[site], "site": site, "node": name, "wants": wants, "config": "c1",
         "runs": [runs], "phases": [f"{runs} serving"], "stage": stage}
        for site, names in SITES.items() for name in names
    ]  # fmt: skip


def loading(node: str) -> list[dict[str, Any]]:
    return [{"event": "workload.loading", "node": node, "fields": {"config": "c1"}}]


async def test_a_bad_version_is_refused_once_both_sites_say_so_with_evidence(fleet: Fleet) -> None:
    alarms = [{"site": site, "message": REFUSED, "kind": "Refused"} for site in SITES]
    fleet.each("alarms", master_1=alarms)
    fleet.each("rollouts", master_1=turns(BAD_VERSION, MODEL_VERSION, "refused"))
    fleet.each("events", north_a=loading("north-a"), south_b=loading("south-b"))
    rollout = fleet.rollout()
    titles = [title for title, _ in rollout.steps()]
    assert ["bad" in title for title in titles] == [True, False]
    await to_thread(rollout.say.step, titles[0], rollout.bad)
    (step,) = rollout.say.steps
    assert step.ok
    assert [note for note in step.notes if note == f"alarm at the master: north: {REFUSED}"]
    assert rollout.say.figures["bad_version_tried_on"] == 1
    assert [one.manifest.version for one in fleet.say[MASTER].artifacts.values()] == [BAD_VERSION]
    assert BAD_VERSION.encode() in fleet.say[MASTER].applied[0]


async def test_a_bad_version_that_three_nodes_tried_does_not_hold(fleet: Fleet) -> None:
    alarms = [{"site": site, "message": REFUSED, "kind": "Refused"} for site in SITES]
    fleet.each("alarms", master_1=alarms)
    fleet.each("rollouts", master_1=turns(BAD_VERSION, MODEL_VERSION, "refused"))
    fleet.each("events", north_a=loading("north-a"))
    for name in SITES["south"]:
        fleet.say[name].documents["events"] = loading(name)
    rollout = fleet.rollout()
    with pytest.raises(StepFailed, match=r"tried: \{'north': 1, 'south': 3\}"):
        await to_thread(rollout.say.step, "bad", rollout.bad)


async def test_a_good_version_holds_once_it_serves_everywhere_and_no_alarm_is_left(
    fleet: Fleet,
) -> None:
    mixed = turns(GOOD_VERSION, GOOD_VERSION)
    mixed[4] |= {"runs": [MODEL_VERSION], "phases": [f"{MODEL_VERSION} serving"]}
    fleet.each("rollouts", master_1=mixed)
    rollout = fleet.rollout()
    step = asyncio.create_task(to_thread(rollout.say.step, "good", rollout.good))
    await until(lambda: any(asked[0] == "rollouts" for asked in fleet.say[MASTER].asked), 30)
    assert not step.done()
    fleet.each("rollouts", master_1=turns(GOOD_VERSION, GOOD_VERSION))
    await step
    assert "good_version_rolled_out_s" in rollout.say.figures
    fleet.each("alarms", master_1=[{"site": "north", "message": REFUSED}])
    with pytest.raises(StepFailed, match="alarms stay"):
        await to_thread(rollout.say.step, "good again", rollout.good)


async def test_two_nodes_of_a_site_that_change_at_once_do_not_hold(fleet: Fleet) -> None:
    fleet.each("rollouts", master_1=turns(GOOD_VERSION, GOOD_VERSION, "trying"))
    rollout = fleet.rollout()
    with pytest.raises(StepFailed, match=r"2 nodes of north changed at once"):
        await to_thread(rollout.say.step, "good", rollout.good)

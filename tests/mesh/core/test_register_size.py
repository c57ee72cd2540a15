"""What a node leaves out when its register would be larger than its limit."""

from dataclasses import replace

import pytest

from mesh.core.leases import Lease
from mesh.core.rollouts import (
    REASON_CHARACTERS_MAX,
)
from mesh.core.view import CONTENT_BYTES_MAX, register_content
from mesh.site.leases import Member
from mesh.site.local import service_config
from protos.documents_pb2 import (
    PipelineState,
    StableRegister,
)
from protos.runtime_pb2 import PipelineStatus
from tests.mesh.core.services import faces, verdict
from tests.mesh.core.test_leases_in_a_site import site_with
from tests.sim.site import Site


def crowded(verdicts: int, goods: int, alarms: int, label: str) -> StableRegister:
    """What a node says that has so many of each, with the largest reasons."""
    site = Site(1)
    site.nodes[0].boot()
    core = site.nodes[0].core
    rollouts = core.share.rollouts
    rollouts.verdicts = [
        verdict(faces(str(n)), "\N{SNOWMAN}" * REASON_CHARACTERS_MAX) for n in range(verdicts)
    ]
    rollouts.last_good = {
        str(n): faces(name=str(n), match_labels={"label": label}) for n in range(goods)
    }
    for number in range(alarms):
        core.alarms.set("Kind", str(number), "m" * 200, "warning", 1)
    return register_content(core)


def share(left: int, of: int) -> str:
    return "all" if left == of else "some" if left else "none"


@pytest.mark.parametrize(
    ("verdicts", "goods", "alarms", "label", "left"),
    [
        pytest.param(2, 2, 2, "", ["all"] * 4, id="what fits is left as it is"),
        pytest.param(2, 2, 100, "", ["some", "all", "all", "all"], id="alarms go first"),
        pytest.param(32, 2, 5, "", ["none", "some", "all", "all"], id="then the oldest evidence"),
        pytest.param(
            32, 40, 1, "l" * 400, ["none", "none", "some", "all"], id="then last good versions"
        ),
        pytest.param(900, 1, 1, "", ["none", "none", "none", "some"], id="then oldest verdicts"),
    ],
)
def test_a_register_stays_within_its_size(
    verdicts: int, goods: int, alarms: int, label: str, left: list[str]
) -> None:
    content = crowded(verdicts, goods, alarms, label)
    reasons = [one.reason for one in content.verdicts]
    assert content.ByteSize() <= CONTENT_BYTES_MAX
    assert reasons == sorted(reasons), "the oldest evidence is left out first"
    assert left == [
        share(len(content.alarms), alarms),
        share(len([one for one in reasons if one]), verdicts),
        share(len(content.last_good), goods),
        share(len(content.verdicts), verdicts),
    ]
    newest = service_config(faces(str(verdicts - 1)))
    assert content.verdicts[-1].config == newest


def test_artifacts_are_left_out_before_any_last_good_version() -> None:
    site = Site(1)
    site.settle(1)
    core = site.nodes[0].core
    assert register_content(core).artifacts
    goods = {str(n): faces(name=str(n), match_labels={"l": "x" * 400}) for n in range(40)}
    core.share.rollouts.last_good = goods
    content = register_content(core)
    assert not content.artifacts
    assert 0 < len(content.last_good) < 40


def test_what_was_inherited_is_left_out_before_what_ran_here() -> None:
    site = Site(1)
    site.nodes[0].boot()
    core = site.nodes[0].core
    many = {str(n): faces(name=str(n), match_labels={"l": "x" * 400}) for n in range(40)}
    core.share.rollouts.last_good = {"1": many["1"]}
    core.share.rollouts.inherited = many
    content = register_content(core)
    assert 0 < len(content.inherited_good) < 40
    core.share.rollouts.last_good = many
    assert not register_content(core).inherited_good


def test_of_many_leases_the_names_of_those_who_acknowledge_go_first() -> None:
    """24 exclusive pipelines in a site of 50: each lease would name 50 nodes."""
    site = Site(1)
    site.nodes[0].boot()
    core = site.nodes[0].core
    nodes = {Member(f"south-node{number:02d}", b"key"): 1 for number in range(50)}
    core.leases.held = {
        f"camera-{number:02d}": Lease(0, until_ms=1 << 60, acknowledged=nodes)
        for number in range(24)
    }
    core.alarms.set("Kind", "subject", "message", "warning", 1)
    content = register_content(core)
    assert content.ByteSize() <= CONTENT_BYTES_MAX
    assert [lease.acknowledgements for lease in content.leases] == [50] * 24
    named = [len(lease.acknowledged) for lease in content.leases]
    assert {0, 50} == set(named)
    assert named == sorted(named)
    assert len(content.alarms) == 1
    core.publish(site.world.now_ms)


def test_what_is_said_of_a_pipeline_is_bounded_and_left_out_before_artifacts_are() -> None:
    site = Site(1)
    site.nodes[0].boot()
    core = site.nodes[0].core
    core.runtime.gone = False

    def reasons(pipelines: int) -> list[int]:
        states = [
            PipelineState(workload=str(number), reason="r" * 9_000) for number in range(pipelines)
        ]
        core.runtime.state.ClearField("pipelines")
        core.runtime.state.pipelines.extend(PipelineStatus(state=state) for state in states)
        return [len(state.reason) for state in register_content(core).pipelines]

    assert reasons(2) == [200, 200]
    assert set(reasons(100)) == {0, 200}


def test_a_register_that_outgrows_its_limit_ends_nothing_and_is_told() -> None:
    site = site_with(1)
    (node,) = site.nodes
    core, said = node.core, node.core.register

    def told() -> list[str]:
        site.world.run(15_000)
        return [alarm.message for alarm in core.alarms.states() if alarm.kind == "Register"]

    assert told() == []
    names = [f"source-{number:05d}" for number in range(2_000)]
    sources, core.facts = core.facts.sources, replace(core.facts, sources=tuple(names))
    (message,) = told()
    assert "above the limit" in message
    assert core.register.sources == said.sources
    core.facts = replace(core.facts, sources=sources)
    assert told() == []

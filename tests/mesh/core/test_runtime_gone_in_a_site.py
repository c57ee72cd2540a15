"""A simulated site in which the runtime of one node stays away, while its agent lives on."""

import pytest

from mesh.core.messages import RuntimeReported
from mesh.core.quarantine import CRASHES_MAX
from mesh.core.runtime_loss import GONE_MS, RuntimeLoss
from protos.documents_pb2 import PipelinePlan
from tests.sim.nodes import SimNode
from tests.sim.runtime import LOAD_MS
from tests.sim.site import Site

FROZEN_MS = 3_000
"""After which the agent takes a frozen runtime for gone (node/agent/runtime_pulse.py)."""
HEAL_MS = 6_000


def server(site: Site) -> SimNode:
    """A node that runs the service."""
    return next(node for node in site.nodes if node.serving("faces"))


def served_elsewhere(site: Site, lost: SimNode, replicas: int) -> bool:
    return sum(n.serving("faces") for n in site.nodes if n is not lost) == replicas


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_what_a_runtime_ran_that_stays_away_serves_elsewhere_within_six_seconds(
    replicas: int,
) -> None:
    site = Site(3).settle(replicas)
    lost = server(site)
    lost.lose_runtime(after_ms=None)
    took = site.world.run_until(lambda: served_elsewhere(site, lost, replicas), HEAL_MS)
    assert FROZEN_MS + took <= HEAL_MS, "one that froze is told so much later"
    assert lost.core.register.runtime_gone


def test_it_has_its_work_again_once_it_answers_and_nothing_is_missing_meanwhile() -> None:
    site = Site(3).settle(2)
    before = site.serves()
    lost = server(site)
    lost.lose_runtime(after_ms=None)
    site.world.run(20_000)
    assert lost.name not in site.serves()
    lost.find_runtime()
    for _ in range(200):
        site.world.run(50)
        assert site.serving() >= 2
    assert site.serves() == before


def test_a_runtime_that_is_started_anew_moves_nothing() -> None:
    site = Site(3).settle(2)
    lost = server(site)
    starts = {node.name: len(node.starts) for node in site.nodes if node is not lost}
    lost.lose_runtime()
    site.world.run(10_000)
    assert site.serving() == 2
    assert {n.name: len(n.starts) for n in site.nodes if n is not lost} == starts


def test_what_a_frozen_runtime_runs_stays_when_it_wakes() -> None:
    site = Site(3).settle(2)
    frozen = server(site)
    pids = {key: status.pid for key, status in frozen.runs.items()}
    frozen.feed(RuntimeReported(None))
    site.world.run(GONE_MS + LOAD_MS + 5_000)
    assert served_elsewhere(site, frozen, 2)
    frozen.find_runtime()
    site.world.run(10_000)
    assert {key: status.pid for key, status in frozen.runs.items()} == pids
    assert site.serving() == 2


def test_alone_it_is_waited_for() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    node.lose_runtime(after_ms=10_000)
    site.world.run(9_000)
    assert node.core.register.runtime_gone
    assert node.core.placement.count(node.name, "faces") == 1
    assert not node.core.placement.pending
    site.world.run(5_000)
    assert site.serving() == 1
    assert not node.core.register.runtime_gone


def test_a_pipeline_moves_to_another_node_with_its_source_and_back() -> None:
    site = Site(3)
    for node in site.nodes:
        node.sources = ("door",)
    site.settle(1)
    door = PipelinePlan(name="door", source="door", service="faces", every_ms=1_000)
    site.publish(replicas=1, pipelines=(door,))
    site.world.run(3_000)
    (first,) = [node for node in site.nodes if "door" in node.pipelines]
    first.lose_runtime(after_ms=None)
    site.world.run(5_000)
    (second,) = [node for node in site.nodes if "door" in node.pipelines]
    assert second is not first
    first.find_runtime()
    site.world.run(10_000)
    assert [node for node in site.nodes if "door" in node.pipelines] == [first]


@pytest.mark.parametrize("planned", [False, True], ids=["it dies", "it ends as planned"])
def test_an_agent_that_starts_while_it_is_gone_takes_nothing_back(
    planned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(3).settle(1)
    lost = server(site)
    lost.lose_runtime(after_ms=None)
    site.world.run(GONE_MS + 3_000)
    assert served_elsewhere(site, lost, 1)
    starts = {node.name: len(node.starts) for node in site.nodes}
    monkeypatch.setattr(lost, "greet_runtime", lambda: lost.feed(RuntimeReported(None)))
    if planned:
        lost.leave()
        lost.start_agent()
    else:
        lost.restart_agent()
    for _ in range(200):
        site.world.run(50)
        assert site.serving() == 1
        for node in site.nodes:
            assert node is lost or node.core.placement.count(lost.name, "faces") == 0
    assert {node.name: len(node.starts) for node in site.nodes} == starts
    lost.find_runtime()
    site.world.run_until(lambda: lost.serving("faces") == 1, 10_000, "it has its work again")
    site.world.run(5_000)
    lost.restart_agent()
    assert not lost.core.runtime_loss.said


@pytest.mark.parametrize("cordoned", [False, True])
@pytest.mark.parametrize("which", range(3))
def test_no_rollout_waits_for_it(which: int, cordoned: bool) -> None:
    site = Site(3).settle(3)
    site.world.run(2_000)
    lost = site.nodes[which]
    if cordoned:
        lost.hold_back(draining=False)
        site.world.run(1_000)
    lost.lose_runtime(after_ms=None)
    site.world.run(5_000)
    site.publish(replicas=3, version="1.1.0")
    site.world.run(20_000)
    served = [version for node in site.nodes for version in node.versions("faces")]
    assert served == ["1.1.0"] * 3


def test_what_the_only_other_node_refuses_meanwhile_is_tried_anew_once_it_answers() -> None:
    site = Site(2).settle(2)
    site.world.run(3_000)
    site.publish(replicas=2, version="1.1.0", soak_ms=2_000)

    def passed() -> list[SimNode]:
        good = ((n, n.core.share.rollouts.last_good.get("faces")) for n in site.nodes)
        return [n for n, known in good if known is not None and known.model_version == "1.1.0"]

    site.world.run_until(lambda: bool(passed()), 30_000, "it has passed on one")
    (lost,) = passed()
    (other,) = (node for node in site.nodes if node is not lost)
    site.world.faulty["1.1.0"] = "golden"
    lost.lose_runtime(after_ms=None)
    site.world.run(15_000)
    assert other.versions("faces") == ["1.0.0", "1.0.0"]
    assert "Refused" in {alarm.kind for alarm in other.core.alarms.states()}
    site.world.faulty.clear()
    lost.find_runtime()
    site.world.run(30_000)
    assert (lost.versions("faces"), other.versions("faces")) == (["1.1.0"], ["1.0.0"])
    assert "Refused" not in {a.kind for n in site.nodes for a in n.core.alarms.states()}


def test_one_that_comes_and_goes_does_not_get_its_work_again_for_a_while() -> None:
    site = Site(3).settle(1)
    lost = server(site)
    for _ in range(CRASHES_MAX):
        site.world.run_until(lambda: lost.serving("faces") > 0, 15_000)
        lost.lose_runtime(after_ms=GONE_MS + 1_000)
    site.world.run(60_000)
    assert site.serving() == 1
    assert not lost.serving("faces")
    assert any(replica.quarantined for replica in lost.core.register.replicas)


def test_who_says_it_and_lies_gives_away_its_own_work_alone() -> None:
    site = Site(3).settle(2)
    liar = server(site)
    others = [node for node in site.nodes if node is not liar]
    pids = [status.pid for node in others for status in node.runs.values()]
    liar.feed(RuntimeReported(None))  # and yet it runs all that it ran
    site.world.run(10_000)
    assert served_elsewhere(site, liar, 2)
    assert set(pids) <= {status.pid for node in others for status in node.runs.values()}


def test_when_it_is_said() -> None:
    loss = RuntimeLoss()
    assert not loss.is_due(GONE_MS), "nothing was heard of it yet"
    assert not loss.heard(is_here=False, now_ms=1_000)
    assert not loss.is_due(1_000 + GONE_MS - 1)
    assert not loss.heard(is_here=False, now_ms=2_000), "it is said again and again"
    assert loss.is_due(1_000 + GONE_MS)
    assert not loss.is_due(1_001 + GONE_MS), "once"
    assert loss.said
    assert loss.heard(is_here=True, now_ms=9_000)
    assert not loss.said
    assert not loss.heard(is_here=True, now_ms=9_001)
    assert not loss.is_due(20_000)


def test_an_agent_that_starts_says_it_until_it_hears_another_thing() -> None:
    loss = RuntimeLoss(said=True)
    assert not loss.heard(is_here=False, now_ms=0)
    assert not loss.is_due(GONE_MS), "nothing new"
    assert loss.said
    assert loss.heard(is_here=True, now_ms=GONE_MS)
    assert not loss.said

"""How a node asks for the manifests of its plan."""

from mesh.blobs.swarm import Swarm
from mesh.core.artifacts import ASK_MS, ASK_MS_MAX, Artifacts
from mesh.events import Send

FACES, DOORS = b"f" * 32, b"d" * 32


def artifacts() -> Artifacts:
    return Artifacts(Swarm("me"), lambda: [], lambda: ["a", "b"], lambda: ["master"])


def asked(node: Artifacts, from_ms: int, to_ms: int) -> list[int]:
    """When all were asked, looking every 200 ms."""
    times = range(from_ms, to_ms, 200)
    told = {now_ms: node.tick(now_ms) for now_ms in times}
    for sends in told.values():
        assert [s.peer for s in sends if isinstance(s, Send)] in ([], ["a", "b", "master"])
    return [now_ms for now_ms, sends in told.items() if sends]


def test_what_nobody_has_is_asked_for_at_once_and_then_ever_more_seldom() -> None:
    node = artifacts()
    node.plan([FACES], [], 0)
    assert asked(node, 0, 40_000) == [0, 1_000, 3_000, 7_000, 15_000, 25_000, 35_000]
    assert ASK_MS_MAX == 10 * ASK_MS


def test_what_is_newly_missing_is_asked_for_at_once() -> None:
    node = artifacts()
    node.plan([FACES], [], 0)
    asked(node, 0, 40_000)
    node.plan([FACES], [], 40_000)
    assert asked(node, 40_000, 41_000) == [], "the same is missing as before"
    node.plan([FACES, DOORS], [], 41_000)
    assert asked(node, 41_000, 43_000) == [41_000, 42_000]

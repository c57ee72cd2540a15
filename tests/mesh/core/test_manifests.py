"""How a node asks for the manifests of its plan."""

from mesh.blobs.swarm import Swarm
from mesh.core.artifacts import ASK_MS, ASK_MS_MAX, Artifacts
from mesh.events import SaveBlob, Send, SendBlobs
from mesh.hashing import sha256
from tests.sim.identities import signer
from tests.sim.site import Site, face_detector

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


def test_who_asked_for_what_was_missing_here_gets_it_when_it_comes() -> None:
    manifest, _ = face_detector()
    faces = sha256(manifest)
    key = signer("release").public_key
    node = Artifacts(Swarm("me"), lambda: [key], lambda: ["a", "b"], lambda: ["master"])
    node.plan([faces], [], 0)
    for peer in ("b", "a", "b"):
        node.wanted(SendBlobs(peer, (faces, DOORS)))
    saved, *sent = node.blob(manifest, "master", 5_000)
    assert isinstance(saved, SaveBlob)
    assert sent == [SendBlobs(peer, (faces,), "asked for before it was here") for peer in "ab"]


def test_what_came_from_a_neighbour_is_told_on_to_nobody() -> None:
    """All neighbours were asked by all: each would send it to all others, in the square."""
    manifest, _ = face_detector()
    faces = sha256(manifest)
    key = signer("release").public_key
    node = Artifacts(Swarm("me"), lambda: [key], lambda: ["a", "b"], lambda: ["master"])
    node.plan([faces], [], 0)
    node.wanted(SendBlobs("b", (faces,)))
    (saved,) = node.blob(manifest, "a", 5_000)
    assert isinstance(saved, SaveBlob)
    assert node.askers == {}


def test_who_asked_for_what_the_plan_names_no_more_is_forgotten() -> None:
    node = artifacts()
    node.plan([FACES], [], 0)
    node.wanted(SendBlobs("a", (FACES,)))
    node.plan([], [], 1_000)
    assert node.askers == {}


def test_a_manifest_that_comes_late_is_with_all_as_soon_as_with_one() -> None:
    site = Site(5)
    site.boot()
    site.world.run(2_000)
    faces = sha256(face_detector()[0])
    send_at_once = site.master.do_SendBlobs

    def send(instruction: SendBlobs) -> None:
        late_ms = 7_500 if faces in instruction.digests else 0
        site.world.after(late_ms, lambda: send_at_once(instruction))

    site.master.do_SendBlobs = send  # type: ignore[method-assign]
    site.publish(replicas=2)
    known = [lambda n=node: faces in n.core.artifacts.known for node in site.nodes]  # type: ignore[misc]
    site.world.run_until(lambda: any(one() for one in known), 20_000, "the gateway has it")
    assert site.world.run_until(lambda: all(one() for one in known), 20_000, "all have it") <= 500

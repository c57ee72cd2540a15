"""What operators hold: a pinned version and a paused rollout are of one service in one site."""

from mesh.desired.collection import Release
from mesh.desired.compile import Inputs, compile_all, compile_site
from mesh.desired.holds import Holds, with_model
from mesh.heads.branches import open_site_branch
from protos.documents_pb2 import ServicePlan
from tests.mesh.desired.example import DIGEST, EXAMPLE, RELEASED, entry, resources

NEWER = DIGEST[::-1]
TWO_RELEASED = {**RELEASED, ("face-detector", "2.0.0"): Release(NEWER, "model")}
NEW_TEXT = EXAMPLE.replace("model: face-detector@1.2.0", "model: face-detector@2.0.0")
PINNED = Holds(pinned={("north", "faces"): "face-detector@1.2.0"})


def service(site: str, holds: Holds) -> ServicePlan:
    branch = compile_site(site, resources(NEW_TEXT), TWO_RELEASED, [], {}, holds)
    (found,) = branch.plan.services
    assert [(m.name, m.version, m.artifact) for m in branch.plan.models] == [
        (found.model, found.model_version, found.artifact)
    ]
    return found


def test_a_pin_keeps_its_version_in_its_site_alone() -> None:
    north, south = service("north", PINNED), service("south", PINNED)
    assert (north.model_version, north.artifact, north.pinned) == ("1.2.0", DIGEST, True)
    assert (south.model_version, south.artifact, south.pinned) == ("2.0.0", NEWER, False)


def test_a_pin_says_nothing_of_numbers_and_gates() -> None:
    pinned, free = service("north", PINNED), service("north", Holds())
    assert (pinned.replicas_min, pinned.replicas_max) == (free.replicas_min, free.replicas_max)
    assert (pinned.max_latency_ms, pinned.soak_ms) == (free.max_latency_ms, free.soak_ms)


def test_a_pause_is_of_one_site_and_changes_nothing_else() -> None:
    held = Holds(paused=frozenset({("north", "faces")}))
    north = service("north", held)
    assert north.paused
    north.paused = False
    assert north == service("north", Holds())
    assert not service("south", held).paused


def test_what_is_held_where_the_service_does_not_run_has_no_effect() -> None:
    held = Holds(frozenset({("west", "faces")}), {("west", "faces"): "face-detector@1.2.0"})
    rosters = {"north": [entry("node-a")]}
    free = compile_all(Inputs(resources(NEW_TEXT), TWO_RELEASED, rosters))
    blobs = compile_all(Inputs(resources(NEW_TEXT), TWO_RELEASED, rosters, holds=held))
    assert blobs == free
    assert open_site_branch(blobs["site/north"], "north").plan.services


def test_another_model_changes_nothing_but_that() -> None:
    (before,) = resources().services()
    after = with_model(before, "plates@3")
    assert (after.spec.model_name, after.spec.model_version) == ("plates", "3")
    assert with_model(after, before.spec.model) == before

"""Steering services beside what is applied: rollouts held, versions pinned, and going back."""

import sqlite3

import pytest

from mesh.desired.problems import ResourcesRefused
from mesh.heads.branches import open_site_branch
from node.master.authority import Authority, Change
from node.master.errors import MasterRefused, NotFound
from node.master.steering import Steered
from node.master.store import SCHEMA_VERSION
from protos.documents_pb2 import ServicePlan
from tests.node.master.fleet import START_MS, Fleet

YAML = """\
apiVersion: mesh/v1
kind: Model
metadata: {{name: face-detector}}
spec: {{version: 1.0.0}}
---
apiVersion: mesh/v1
kind: Service
metadata: {{name: faces}}
spec: {{sites: [north, south], model: {model}, replicas: {{min: {replicas}}}}}
"""
OLD, NEW = "face-detector@1.0.0", "face-detector@2.0.0"


def held(_: bytes) -> bool:
    return True


def apply(fleet: Fleet, model: str, replicas: int = 1) -> int:
    return fleet.authority.apply(YAML.format(model=model, replicas=replicas).encode()).counter


def apply_plates(fleet: Fleet) -> None:
    """The service gets a model of another name."""
    fleet.release("plates", "1.0.0")
    yaml = YAML.format(model="plates@1.0.0", replicas=1)
    fleet.authority.apply(yaml.replace("name: face-detector}", "name: plates}").encode())


def undo(fleet: Fleet, reason: str = "") -> Steered:
    return fleet.authority.steer(lambda s: s.undo("faces", reason, held))


def pause(fleet: Fleet, site: str = "", reason: str = "") -> Steered:
    return fleet.authority.steer(lambda s: s.pause("faces", site, reason))


def resume(fleet: Fleet, site: str = "") -> Steered:
    return fleet.authority.steer(lambda s: s.resume("faces", site, "looks well"))


def pin(fleet: Fleet, version: str, site: str = "", service: str = "faces") -> Steered:
    return fleet.authority.steer(lambda s: s.pin(service, site, version, "", held))


def unpin(fleet: Fleet, site: str = "") -> Steered:
    return fleet.authority.steer(lambda s: s.unpin("faces", site, ""))


def planned(authority: Authority, site: str) -> ServicePlan:
    branch = authority.branch(f"site/{site}")
    assert branch is not None
    (service,) = open_site_branch(branch[1], site).plan.services
    return service


def versions(fleet: Fleet) -> dict[str, str]:
    return {site: planned(fleet.authority, site).model_version for site in ("north", "south")}


def told(fleet: Fleet) -> list[tuple[str, str, str, list[str]]]:
    return [(one.event, one.subject, one.cause, one.sites) for one in fleet.authority.events()]


@pytest.fixture
def rolled(fleet: Fleet) -> Fleet:
    """The service was applied with one version, then with another."""
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        fleet.release("face-detector", version)
    apply(fleet, OLD)
    apply(fleet, NEW)
    return fleet


# ---- pause and resume ----


def test_a_pause_is_in_the_plans_until_it_is_taken_back(rolled: Fleet) -> None:
    before = rolled.authority.counter
    done = pause(rolled, reason="too slow")
    assert done == Steered(("north", "south"), before + 1, NEW)
    assert planned(rolled.authority, "north").paused
    rolled.reopen()
    assert apply(rolled, NEW) == before + 1, "applying the same files goes on with nothing"
    assert planned(rolled.authority, "south").paused
    assert resume(rolled) == Steered(("north", "south"), before + 2, NEW)
    assert not planned(rolled.authority, "north").paused
    rolled.reopen()
    assert not planned(rolled.authority, "north").paused


def test_pausing_what_is_paused_does_nothing(rolled: Fleet) -> None:
    counter = pause(rolled, "north").counter
    state = rolled.authority.state()
    assert pause(rolled, "north") == Steered((), counter, NEW)
    assert rolled.authority.state() == state
    assert pause(rolled).sites == ("south",)
    assert resume(rolled, "south").sites == ("south",)
    assert resume(rolled, "south").sites == ()
    assert planned(rolled.authority, "north").paused
    assert not planned(rolled.authority, "south").paused


# ---- pin and unpin ----


def test_a_pin_outlives_what_is_applied_until_it_is_taken_back(rolled: Fleet) -> None:
    done = pin(rolled, "1.0.0", "north")
    assert (done.sites, done.version) == (("north",), OLD)
    assert versions(rolled) == {"north": "1.0.0", "south": "2.0.0"}
    apply(rolled, NEW)
    apply(rolled, "face-detector@3.0.0")
    rolled.reopen()
    assert versions(rolled) == {"north": "1.0.0", "south": "3.0.0"}
    assert planned(rolled.authority, "north").pinned
    assert unpin(rolled).sites == ("north",)
    assert versions(rolled) == {"north": "3.0.0", "south": "3.0.0"}
    assert not planned(rolled.authority, "north").pinned


def test_pinning_what_is_pinned_does_nothing(rolled: Fleet) -> None:
    counter = pin(rolled, "1.0.0").counter
    assert pin(rolled, "1.0.0") == Steered((), counter, OLD)
    assert pin(rolled, "2.0.0", "south") == Steered(("south",), counter + 1, NEW)
    assert unpin(rolled, "north").sites == ("north",)
    assert unpin(rolled, "north") == Steered((), counter + 2, NEW)


def test_a_pin_is_of_a_released_version_of_the_services_model(rolled: Fleet) -> None:
    state = rolled.authority.state()
    with pytest.raises(
        MasterRefused, match=r"4\.0\.0 has not been pushed.*meshctl model push PATH"
    ):
        pin(rolled, "4.0.0")
    with pytest.raises(ResourcesRefused, match="is no version; use letters, digits"):
        pin(rolled, "../1")
    with pytest.raises(MasterRefused, match="not whole on this master's disk; push it again"):
        rolled.authority.steer(lambda s: s.pin("faces", "", "1.0.0", "", lambda _: False))
    with pytest.raises(NotFound, match="there is no service 'plates'"):
        pin(rolled, "1.0.0", service="plates")
    with pytest.raises(NotFound, match="not for site 'west': it is for north, south"):
        pin(rolled, "1.0.0", "west")
    with pytest.raises(NotFound, match="not for site 'west'"):
        unpin(rolled, "west")
    with pytest.raises(MasterRefused, match="printable"):
        pause(rolled, reason="\x1b[31m")
    assert rolled.authority.state() == state


def test_a_service_for_no_known_site_says_so(rolled: Fleet) -> None:
    by_label = "{matchLabels: {region: eu}}"
    yaml = YAML.format(model=NEW, replicas=1).replace("[north, south]", by_label)
    rolled.authority.apply(yaml.encode())
    assert pause(rolled).sites == ()
    with pytest.raises(NotFound, match="it is for no site that is known"):
        pause(rolled, "north")


def test_a_model_that_a_pin_needs_is_not_deleted(rolled: Fleet) -> None:
    pin(rolled, "1.0.0", "north")
    apply_plates(rolled)
    assert planned(rolled.authority, "north").model == "face-detector"
    with pytest.raises(MasterRefused, match="unpin that first: meshctl unpin faces --site north"):
        rolled.authority.delete("model", "face-detector")
    unpin(rolled)
    rolled.authority.delete("model", "face-detector")
    assert planned(rolled.authority, "north").model == "plates"


def test_what_is_held_goes_with_its_service(rolled: Fleet) -> None:
    pin(rolled, "1.0.0")
    pause(rolled)
    rolled.authority.delete("service", "faces")
    rolled.reopen()
    apply(rolled, NEW)
    assert not planned(rolled.authority, "north").paused
    assert versions(rolled) == {"north": "2.0.0", "south": "2.0.0"}
    with pytest.raises(MasterRefused, match="no earlier version of 'faces' is known"):
        undo(rolled)


# ---- undo ----


def test_undo_goes_back_and_undo_of_undo_returns(rolled: Fleet) -> None:
    before = rolled.authority.counter
    done = undo(rolled, "faces were missed")
    assert done == Steered(("north", "south"), before + 1, OLD)
    service = rolled.authority.content.resources.service("faces")
    assert service is not None
    assert service.spec.model == OLD, "the resource states it"
    assert rolled.authority.content.generations["Service", "faces"] == before + 1
    rolled.reopen()
    assert versions(rolled) == {"north": "1.0.0", "south": "1.0.0"}
    assert undo(rolled).version == NEW
    assert undo(rolled).version == OLD
    history = rolled.authority.content.versions["faces"]
    assert [(one.model, one.undone) for one in history] == [
        (OLD, False),
        (NEW, False),
        (OLD, True),
        (NEW, True),
        (OLD, True),
    ]
    assert (history[2].counter, history[2].reason) == (before + 1, "faces were missed")
    assert history[2].unix_ms == START_MS


def test_after_an_undo_applying_the_file_is_an_ordinary_change(rolled: Fleet) -> None:
    undo(rolled)
    done = rolled.authority.apply(YAML.format(model=NEW, replicas=1).encode())
    assert Change("Service", "faces", "configured") in done.changes
    assert versions(rolled) == {"north": "2.0.0", "south": "2.0.0"}


def test_only_the_version_goes_back(rolled: Fleet) -> None:
    apply(rolled, NEW, replicas=3)
    undo(rolled)
    plan = planned(rolled.authority, "north")
    assert (plan.model_version, plan.replicas_min) == ("1.0.0", 3)


def test_undo_needs_an_earlier_version_that_can_be_run(rolled: Fleet) -> None:
    state = rolled.authority.state()
    with pytest.raises(MasterRefused, match="push it again: meshctl model push PATH --name face-"):
        rolled.authority.steer(lambda s: s.undo("faces", "", lambda _: False))
    with pytest.raises(NotFound, match="there is no service 'plates'; list them"):
        rolled.authority.steer(lambda s: s.undo("plates", "", held))
    assert rolled.authority.state() == state


def test_undo_to_a_model_that_was_deleted_is_refused(rolled: Fleet) -> None:
    apply_plates(rolled)
    rolled.authority.delete("model", "face-detector")
    with pytest.raises(MasterRefused, match="cannot be run: there is no Model 'face-detector'"):
        undo(rolled)


def test_undo_leaves_a_pinned_site_as_it_is(rolled: Fleet) -> None:
    pin(rolled, "3.0.0", "north")
    assert undo(rolled).sites == ("south",)
    assert versions(rolled) == {"north": "3.0.0", "south": "1.0.0"}


# ---- what is told ----


def test_each_change_is_an_event_with_its_reason_and_what_changes_nothing_is_none(
    rolled: Fleet,
) -> None:
    pause(rolled, "north", "too slow")
    pause(rolled, "north", "again")
    resume(rolled)
    undo(rolled)
    pin(rolled, "2.0.0", "south")
    unpin(rolled)
    rolled.authority.restart("faces", "south", "stuck")
    rolled.reopen()
    everywhere = ["north", "south"]
    assert told(rolled) == [
        ("rollout.applied", "faces", "a resource was applied", everywhere),
        ("rollout.applied", "faces", "a resource was applied", everywhere),
        ("rollout.paused", "faces", "too slow", ["north"]),
        ("rollout.resumed", "faces", "looks well", ["north"]),
        ("rollout.undone", "faces", "no reason was given", everywhere),
        ("rollout.pinned", "faces", "no reason was given", ["south"]),
        ("rollout.unpinned", "faces", "no reason was given", ["south"]),
        ("workload.restart", "faces", "stuck", ["south"]),
    ]
    events = rolled.authority.events()
    assert [one.sequence for one in events] == list(range(1, 9))
    assert events[4].fields == {
        "from": NEW,
        "version": OLD,
        "state": str(events[4].fields["state"]),
    }
    assert int(events[6].fields["state"]) == rolled.authority.counter - 1


def test_a_dry_run_and_a_change_of_numbers_tell_of_no_version(rolled: Fleet) -> None:
    rolled.authority.apply(YAML.format(model=OLD, replicas=1).encode(), dry_run=True)
    apply(rolled, NEW, replicas=2)
    assert [one.model for one in rolled.authority.content.versions["faces"]] == [OLD, NEW]
    assert len(rolled.authority.events()) == 2


# ---- an older release's store ----


def test_a_store_of_the_release_before_is_taken_over_with_the_versions_of_now(
    rolled: Fleet,
) -> None:
    counter = rolled.authority.counter
    state = rolled.authority.state()
    rolled.store.close()
    connection = sqlite3.connect(rolled.path)
    connection.execute("DELETE FROM item WHERE area IN ('version', 'event', 'pause', 'pin')")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    rolled.open()
    assert rolled.authority.state() == state, "it signs what it signed"
    (known,) = rolled.authority.content.versions["faces"]
    assert (known.model, known.counter, known.unix_ms) == (NEW, counter, 0)
    with pytest.raises(MasterRefused, match="no earlier version"):
        undo(rolled)
    apply(rolled, "face-detector@3.0.0")
    rolled.reopen()
    assert undo(rolled).version == NEW
    pause(rolled)
    rolled.store.close()
    connection = sqlite3.connect(rolled.path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    connection.close()
    rolled.open()
    assert planned(rolled.authority, "south").paused

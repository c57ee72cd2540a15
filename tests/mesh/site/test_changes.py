"""Local changes: who may make which, which counts, and when one ends."""

import pytest

from mesh.heads.limits import NUMBER_MAX
from mesh.site.changes import (
    CHANGE_BYTES_MAX,
    CHOSEN,
    FIELDS,
    KIND,
    LOCAL_RESTART,
    REASON_MAX,
    RESTARTS_MAX,
    Change,
    ChangeRefused,
    Key,
    base_of,
    changed,
    check_allowed,
    check_made,
    ended,
    open_change,
    restarted,
)
from protos.documents_pb2 import Autonomy, LocalChange, ModelPlan, Plan, ServicePlan
from tests.sim.identities import MESH, signer

NOW = 1_700_000_000_000
HOUR = 3_600_000
OPERATORS = [signer("ann").public_key, signer("bob").public_key]
ARTIFACT = bytes(range(32))


def service(**fields: object) -> ServicePlan:
    values = {
        "name": "faces",
        "model": "face-detector",
        "model_version": "1.0.0",
        "replicas_min": 1,
        "replicas_max": 3,
        "soak_ms": 500,
        **fields,
    }
    return ServicePlan(**values)  # type: ignore[arg-type]


def body(**fields: object) -> LocalChange:
    values = {
        "mesh": MESH,
        "site": "south",
        "base_counter": 7,
        "base": base_of(service(), "scale"),
        "workload": "faces",
        "field": "scale",
        "value": "2",
        "counter": 1,
        "made_unix_ms": NOW,
        "until_unix_ms": NOW + HOUR,
        "reason": "a queue at the door",
        "operator": "ann",
        **fields,
    }
    return LocalChange(**values)  # type: ignore[arg-type]


def sealed(made: LocalChange, by: str = "ann", kind: str = KIND) -> bytes:
    return signer(by).sign(kind, made.SerializeToString(deterministic=True))


def change(**fields: object) -> Change:
    return opened(sealed(body(**fields)))


def counting(*changes: Change) -> dict[Key, Change]:
    return {one.key: one for one in changes}


def opened(envelope: bytes) -> Change:
    return open_change(envelope, OPERATORS, MESH, "south")


OF_EACH_FIELD = (
    {},
    {"field": "pin", "value": "0.9.0", "artifact": ARTIFACT},
    {"field": "restart", "value": "1"},
    {"field": "rollback", "value": "0.9.0", "artifact": ARTIFACT},
)

# ---- opening ----


def test_what_an_operator_signed_is_taken_as_signed() -> None:
    made = body()
    found = opened(sealed(made, "bob"))
    assert found.body == made
    assert found.key == ("faces", "scale")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"site": "north"}, "it is for the site 'north'"),
        ({"mesh": "other"}, "of 'other'"),
        ({"workload": "Fa ces"}, "workload"),
        ({"counter": 0}, "counters"),
        ({"base_counter": NUMBER_MAX + 1}, "counters"),
        ({"until_unix_ms": NOW}, "ends before it was made"),
        ({"until_unix_ms": NUMBER_MAX + 1}, "ends before it was made"),
        ({"reason": ""}, "no reason"),
        ({"reason": "x" * (REASON_MAX + 1)}, "no reason"),
        ({"reason": "\x1b[2J"}, "no reason"),
        ({"operator": "\x07"}, "no name"),
        ({"operator": "x" * 65}, "no name"),
        ({"field": "delete"}, "'delete' cannot be changed locally; scale, pin, restart, rollback"),
        ({"field": "restart", "value": "0"}, "no number of a restart from 1 to 1000"),
        ({"field": "restart", "value": "1001"}, "no number of a restart"),
        ({"field": "restart", "value": "-1"}, "no number of a restart"),
        ({"field": "restart", "value": CHOSEN}, "no number of a restart"),
        ({"field": "rollback", "value": "1.0.0"}, "no version with its artifact"),
        ({"field": "rollback", "value": CHOSEN}, "no version with its artifact"),
        ({"field": "rollback", "value": "1" * 65, "artifact": ARTIFACT}, "no version"),
        ({"value": "-1"}, "no number of replicas"),
        ({"value": "257"}, "no number of replicas from 0 to 256"),
        ({"value": "1000000"}, "no number of replicas"),
        ({"value": "²"}, "no number of replicas"),
        ({"field": "pin", "value": "1.0.0"}, "no version with its artifact"),
        ({"field": "pin", "value": "1" * 65, "artifact": ARTIFACT}, "no version"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_rule(fields: dict[str, object], rule: str) -> None:
    with pytest.raises(ChangeRefused, match=rule):
        change(**fields)


def test_what_no_operator_signed_is_refused() -> None:
    for envelope in (
        *(sealed(body(**made), by="a thief") for made in OF_EACH_FIELD),
        sealed(body(), kind="state"),
        sealed(body())[:-3],
        b"",
    ):
        with pytest.raises(ChangeRefused, match="no operator of this mesh signed it"):
            opened(envelope)


def test_a_signature_over_something_else_or_too_much_is_refused() -> None:
    with pytest.raises(ChangeRefused, match="no local change"):
        opened(signer("ann").sign(KIND, b"\xff\xff"))
    with pytest.raises(ChangeRefused, match=f"{CHANGE_BYTES_MAX} are allowed"):
        opened(sealed(body(base=bytes(CHANGE_BYTES_MAX))))


# ---- what the plan allows ----

ALLOWED = Autonomy(allow=["pin", "scale"], until_ms=2 * HOUR)


def test_the_plan_allows_which_and_for_how_long() -> None:
    check_allowed(change(), ALLOWED)
    with pytest.raises(ChangeRefused, match="allows this site pin, not scale"):
        check_allowed(change(), Autonomy(allow=["pin"], until_ms=2 * HOUR))
    with pytest.raises(ChangeRefused, match="allows this site nothing"):
        check_allowed(change(), Autonomy())
    with pytest.raises(ChangeRefused, match=r"longer than the 2\.0 h"):
        check_allowed(change(until_unix_ms=NOW + 3 * HOUR), ALLOWED)


@pytest.mark.parametrize("made", OF_EACH_FIELD, ids=lambda made: str(made.get("field", "scale")))
def test_each_field_is_allowed_by_its_own_name_and_for_as_long(made: dict[str, object]) -> None:
    field = str(made.get("field", "scale"))
    check_allowed(change(**made), Autonomy(allow=[field], until_ms=HOUR))
    others = [one for one in FIELDS if one != field]
    with pytest.raises(ChangeRefused, match=f"not {field}"):
        check_allowed(change(**made), Autonomy(allow=others, until_ms=HOUR))
    with pytest.raises(ChangeRefused, match=r"longer than the 1\.0 h"):
        check_allowed(
            change(**made, until_unix_ms=NOW + 2 * HOUR), Autonomy(allow=[field], until_ms=HOUR)
        )
    assert ended(change(**made), Plan(services=[service()]), 7, NOW + HOUR) == "its time is over"


def test_it_must_be_made_now_by_the_clock_where_it_is_made() -> None:
    check_made(change(), NOW - HOUR)
    with pytest.raises(ChangeRefused, match="more than a day from now"):
        check_made(change(), NOW - 25 * HOUR)


# ---- which counts, and until when ----


def test_of_a_field_the_highest_state_then_counter_then_digest_counts() -> None:
    early, late = change(counter=1, value="3"), change(counter=2, value="1")
    newer = change(base_counter=8, counter=1, value="2")
    assert sorted([newer, late, early], key=lambda one: one.rank) == [early, late, newer]
    one, other = change(value="2"), change(value="3")
    assert one.rank != other.rank


def test_it_ends_with_its_time_or_with_a_plan_that_says_something_else() -> None:
    made, plan = change(), Plan(services=[service()])
    assert ended(made, plan, 7, NOW) == ""
    assert ended(made, plan, 7, NOW + HOUR) == "its time is over"
    assert ended(made, plan, 9, NOW) == ""  # another workload was changed
    assert ended(made, Plan(services=[service(paused=True)]), 9, NOW) == ""
    restarted = Plan(services=[service(restarts=1)])
    assert ended(made, restarted, 9, NOW) == ""
    of_release_before = change(base=base_of(service(restarts=1), "restart"))
    assert ended(of_release_before, restarted, 9, NOW) == ""
    local = change(field="restart", value="1", base=base_of(service(), "restart"))
    assert ended(local, restarted, 9, NOW) == "state 9 says something else of this service"
    other = Plan(services=[service(replicas_max=5)])
    assert ended(made, other, 9, NOW) == "state 9 says something else of this service"
    assert ended(made, Plan(), 9, NOW) == "state 9 has no such service any more"
    # This node has not seen the state yet that it was made under.
    assert ended(made, other, 6, NOW) == ""


# ---- what it makes of the plan ----


def test_a_plan_without_changes_is_the_plan() -> None:
    plan = Plan(services=[service()])
    assert changed(plan, {}) is plan


def test_scale_and_pin_change_their_service_and_no_other() -> None:
    models = [ModelPlan(name="face-detector", version="1.1.0", max_latency_ms=90, soak_ms=700)]
    plan = Plan(services=[service(), service(name="other")], models=models)
    pin = change(field="pin", value="1.1.0", artifact=ARTIFACT)
    found = changed(plan, counting(change(value="0"), pin))
    one, other = found.services
    assert (one.replicas_min, one.replicas_max) == (0, 0)
    assert (one.model_version, one.artifact, one.pinned) == ("1.1.0", ARTIFACT, True)
    assert (one.max_latency_ms, one.soak_ms) == (90, 700)
    assert other == plan.services[1]
    assert plan.services[0] == service()


def test_a_restart_is_another_configuration_than_any_restart_at_the_master() -> None:
    plan = Plan(services=[service(restarts=3)])
    (one,) = changed(plan, counting(change(field="restart", value="2"))).services
    assert one.restarts == 3 + 2 * LOCAL_RESTART
    one.restarts = 3
    assert one == plan.services[0]
    most = Plan(services=[service(restarts=NUMBER_MAX)])
    (one,) = changed(most, counting(change(field="restart", value=str(RESTARTS_MAX)))).services
    assert one.restarts < NUMBER_MAX, "an absurd number of the plan's overflows nothing"


def test_what_was_restarted_stays_where_the_plan_says_the_same() -> None:
    good = service(restarts=3 + LOCAL_RESTART)
    assert restarted(service(restarts=3), good)
    assert not restarted(service(restarts=4), good), "the master restarted it as well"
    assert not restarted(service(restarts=3, model_version="2"), good)
    assert not restarted(service(restarts=3 + 2 * LOCAL_RESTART), good), "it is restarted again"
    assert not restarted(service(restarts=3), service(restarts=2))


def test_a_rollback_names_a_version_and_a_pin_goes_first() -> None:
    plan = Plan(services=[service()])
    back = change(field="rollback", value="0.9.0", artifact=ARTIFACT)
    (one,) = changed(plan, counting(back)).services
    assert (one.model_version, one.artifact) == ("0.9.0", ARTIFACT)
    pin = change(field="pin", value="0.8.0", artifact=ARTIFACT)
    (one,) = changed(plan, counting(back, pin)).services
    assert one.model_version == "0.8.0"


def test_a_version_that_the_plan_does_not_list_keeps_the_services_gate() -> None:
    plan = Plan(services=[service()])
    found = changed(plan, counting(change(field="pin", value="0.9.0", artifact=ARTIFACT)))
    assert (found.services[0].model_version, found.services[0].soak_ms) == ("0.9.0", 500)


def test_as_planned_again_changes_nothing() -> None:
    plan = Plan(services=[service()])
    made = [change(counter=2, value=""), change(field="pin", value="")]
    assert changed(plan, counting(*made)) == plan

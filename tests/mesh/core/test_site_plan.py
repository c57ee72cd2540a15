"""What a master can tell of the plan that a site goes by: its registers name what differs."""

from mesh.core.site_plan import site_plan
from mesh.site.changes import LOCAL_RESTART, PIN, RESTART, SCALE, Change
from protos.documents_pb2 import LocalChange, Plan
from tests.mesh.core.services import faces
from tests.mesh.core.test_rollouts import site

PLAN = Plan(site="south", services=[faces("2", restarts=3)])


def change(field: str, value: str, counter: int = 1) -> Change:
    body = LocalChange(workload="faces", field=field, value=value, counter=counter, artifact=b"1")
    return Change(b"", body.SerializeToString(), body)


def test_without_changes_it_is_the_masters() -> None:
    assert site_plan(PLAN, [], site(a={"last_good": [PLAN.services[0]]})) == PLAN


def test_local_changes_count_of_each_field_the_highest() -> None:
    changes = [
        change(SCALE, "4", counter=2),
        change(SCALE, "3"),
        change(RESTART, "1"),
        change(PIN, "1"),
    ]
    (one,) = site_plan(PLAN, changes, site()).services
    assert (one.replicas_min, one.restarts) == (4, 3 + LOCAL_RESTART)
    assert (one.model_version, one.pinned) == ("1", True)


def test_what_was_restarted_at_the_site_stays_so_when_the_change_has_ended() -> None:
    done = faces("2", restarts=3 + 2 * LOCAL_RESTART)
    (one,) = site_plan(PLAN, [], site(a={"last_good": [done]}, b={"last_good": [done]})).services
    assert one.restarts == 3 + 2 * LOCAL_RESTART

"""Since which state a plan says what it says of a service."""

from mesh.desired.compile import Inputs, compile_all
from mesh.desired.since import tell_since
from mesh.heads.branches import open_site_branch
from protos.documents_pb2 import Plan, ServicePlan
from tests.mesh.desired.example import RELEASED, entry, resources


def told(service: ServicePlan, before: Plan, counter: int) -> Plan:
    plan = Plan(services=[service])
    tell_since(plan, before, counter)
    return plan


def since(plan: Plan) -> int:
    (service,) = plan.services
    return service.since


def test_what_is_said_again_is_said_since_the_first_time_and_anything_else_anew() -> None:
    first = told(ServicePlan(name="faces", replicas_min=1), Plan(), 3)
    same = told(ServicePlan(name="faces", replicas_min=1), first, 4)
    paused = told(ServicePlan(name="faces", replicas_min=1, paused=True), same, 5)
    restarted = told(ServicePlan(name="faces", replicas_min=1, restarts=1), paused, 5)
    other = told(ServicePlan(name="faces", replicas_min=2), paused, 6)
    again = told(ServicePlan(name="faces", replicas_min=1), other, 7)
    assert [since(plan) for plan in (first, same, paused, restarted)] == [3, 3, 3, 3]
    assert [since(plan) for plan in (other, again)] == [6, 7]


def test_a_service_that_was_gone_is_another() -> None:
    doors = told(ServicePlan(name="doors"), Plan(), 2)
    assert since(told(ServicePlan(name="faces"), doors, 5)) == 5


def test_what_an_older_master_said_stays_as_it_is() -> None:
    before = Plan(services=[ServicePlan(name="faces", replicas_min=1)])
    assert since(told(ServicePlan(name="faces", replicas_min=1), before, 9)) == 0


def test_what_compiles_to_the_same_again_is_the_same_under_a_higher_counter() -> None:
    inputs = Inputs(resources(), RELEASED, {"north": [entry("node-a")]})
    first = compile_all(inputs, {}, 5)
    assert compile_all(inputs, first, 6) == first
    assert [s.since for s in open_site_branch(first["site/north"], "north").plan.services] == [5]

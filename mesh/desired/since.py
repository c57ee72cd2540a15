"""Since which state a plan says what it says of a service.

A local change ends with a plan that says something else of its service. Who was away while one did,
and comes back when a later plan says the same as before, could not know. So the plan tells.
"""

from collections.abc import Mapping

from protos.documents_pb2 import Plan, ServicePlan


def tell_since(plan: Plan, before: Plan, counter: int) -> None:
    """Fills in `since` of each service of `plan`: that of the plan `before`, where it said the same
    of the service; else the counter of the state that will say so. A pause is nothing else, nor is
    a restart."""
    known: Mapping[str, ServicePlan] = {service.name: service for service in before.services}
    for service in plan.services:
        old = known.get(service.name, ServicePlan())
        service.since = old.since if _bare(service) == _bare(old) else counter


def _bare(service: ServicePlan) -> ServicePlan:
    bare = ServicePlan()
    bare.CopyFrom(service)
    bare.ClearField("paused")
    bare.ClearField("restarts")
    bare.ClearField("since")
    return bare

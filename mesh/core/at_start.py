"""What a node that starts may have to run: the manifests of all of it must be known at once, for
neighbours and masters may not be there to be asked."""

from google.protobuf.message import DecodeError

from protos.documents_pb2 import Plan, ServicePlan, StableRegister


def artifacts_at_start(plan: Plan, ran: bytes, rollouts: bytes) -> list[bytes]:
    """The artifacts of the plan in force, of the services as they ran last, and of the last good
    versions. `ran` and `rollouts` are the documents of these names, or empty."""
    named = {model.artifact for model in plan.models}
    named |= {service.artifact for service in [*_ran(ran), *_good(rollouts)]}
    return sorted(named)


def _ran(document: bytes) -> list[ServicePlan]:
    try:
        return list(Plan.FromString(document).services)
    except DecodeError:
        return []  # of another release: nothing is remembered


def _good(document: bytes) -> list[ServicePlan]:
    try:
        return list(StableRegister.FromString(document).last_good)
    except DecodeError:
        return []

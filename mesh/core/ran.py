"""The services as they ran last, by configuration: kept on disk, so that an agent that starts anew
can go on with a replica of an older configuration until its successor's model is here."""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from mesh.core.messages import Run
from mesh.events import Instruction, SaveDocument
from mesh.site.local import ReplicaKey, service_config
from protos.documents_pb2 import Plan, ServicePlan

RAN = "ran"
"""The document: a Plan that holds nothing but the services."""


class Ran:
    """The services that the runtime was told last, and those that served then without being told
    any more: beside one that is tried in their place. `document` is what the disk holds, or empty.
    """

    def __init__(self, document: bytes) -> None:
        self._document = document
        try:
            services = Plan.FromString(document).services
        except DecodeError:
            services = Plan().services  # of another release: nothing is remembered
        self._services = {service_config(service): service for service in services}
        self._told = set(self._services)  # or served: the document does not say which

    def plan(self, key: ReplicaKey, now: ServicePlan) -> ServicePlan | None:
        """The service in the replica's configuration, `now` being its present plan; None if
        nobody remembers it."""
        if service_config(now) == key.config:
            return now
        return self._services.get(key.config)

    def covers(self, keys: Iterable[ReplicaKey]) -> bool:
        """Whether the configuration of each of these replicas is remembered."""
        return all(key.config in self._services for key in keys)

    def artifacts(self, serving: Iterable[ReplicaKey]) -> set[bytes]:
        """The artifacts of what the runtime was told last, and of what is remembered and serves."""
        used = self._told | {key.config for key in serving}
        return {plan.artifact for config, plan in self._services.items() if config in used}

    def told(self, run: Run, serving: Iterable[ReplicaKey] = ()) -> list[Instruction]:
        """The runtime is told this: remembered, where it differs in configurations. `serving` are
        the replicas that serve; one whose successor is tried beside it may yet have to stay."""
        services = {key.config: plan for key, plan in run.replicas}
        kept = {key.config for key in serving}
        self._told = set(services)
        before = {config: plan for config, plan in self._services.items() if config in kept}
        self._services = {**before, **services}
        ordered = [self._services[config] for config in sorted(self._services)]
        document = Plan(services=ordered).SerializeToString(deterministic=True)
        if document == self._document:
            return []
        self._document = document
        return [SaveDocument(RAN, document, run.cause)]

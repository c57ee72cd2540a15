"""What may be asked for: the services that the mesh runs at this site, by name and version.

A name is a service's, or a model's own if only one service serves that model. The catalogue comes
whole with each spec; before the first one nothing is known to be absent.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from node.runtime.errors import not_found, unavailable
from protos.runtime_pb2 import KnownModel, RuntimeSpec


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is for: a service, and its model's version ("": the one that serves)."""

    workload: str
    version: str


class Catalogue:
    """The services of this site."""

    def __init__(self) -> None:
        self.known: bool = False
        self._models: list[KnownModel] = []

    def replace(self, spec: RuntimeSpec) -> None:
        """Takes what `spec` knows; replicas and routes are known whether listed or not."""
        here = (
            KnownModel(workload=r.workload, model=r.model, model_version=r.model_version)
            for r in spec.replicas
        )
        listed = [*spec.models, *here]
        names = {model.workload for model in listed}
        routed = {route.workload for route in spec.routes} - names
        self._models = [*listed, *(KnownModel(workload=name) for name in sorted(routed))]
        self.known = True

    @property
    def services(self) -> list[str]:
        """The services' names, sorted."""
        return sorted({model.workload for model in self._models})

    def versions(self, workload: str) -> list[str]:
        """The versions of a service's model, sorted; more than one during a rollout."""
        return sorted({m.model_version for m in self._of(workload) if m.model_version})

    def model(self, workload: str) -> str:
        """The name of the model that a service serves; "" if it is not known."""
        return next((m.model for m in self._of(workload) if m.model), "")

    def may_sleep(self, workload: str) -> bool:
        """Whether the plan allows a service no replica: then a request for it waits for one."""
        return any(m.may_sleep for m in self._of(workload))

    def find(self, name: str, version: str) -> Target:
        """Raises RequestFailed: NOT_FOUND, or UNAVAILABLE while nothing is known."""
        if not self.known:
            raise unavailable("this node has just started and does not know its plan yet")
        workload = self._named(name)
        versions = self.versions(workload)
        if version and versions and version not in versions:
            raise not_found(f"{name!r} has no version {version!r}, but {', '.join(versions)}")
        return Target(workload, version)

    def _named(self, name: str) -> str:
        services = self.services
        if name in services:
            return name
        serving = sorted({m.workload for m in self._models if m.model == name})
        if len(serving) == 1:
            return serving[0]
        if serving:
            raise not_found(f"several services serve {name!r}: ask for {' or '.join(serving)}")
        have = ", ".join(services) or "none"
        raise not_found(f"no service or model {name!r} at this site; there are: {have}")

    def _of(self, workload: str) -> Iterable[KnownModel]:
        return (model for model in self._models if model.workload == workload)

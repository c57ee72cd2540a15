"""What operators hold about services in single sites, whatever the resources say.

A *pause*: no node of the site begins a turn of the service's rollout. A *pin*: the site keeps a
version. Both stay until they are taken back by name; applying resources changes neither. They
belong to the service: when that is deleted, they go with it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mesh.desired.resources import Service

SiteService = tuple[str, str]
"""A site and the name of a service."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What is held now. `pinned` are NAME@VERSION: the service may have another model by now."""

    paused: Collection[SiteService] = frozenset()
    pinned: Mapping[SiteService, str] = field(default_factory=dict)

    def model(self, site: str, service: Service) -> tuple[str, str]:
        """The name and version of the model that `service` is to run in `site`."""
        reference = self.pinned.get((site, service.metadata.name), service.spec.model)
        name, _, version = reference.partition("@")
        return name, version


NOTHING_HELD = Holds()


def with_model(service: Service, reference: str) -> Service:
    """`service` with the model NAME@VERSION in place of its own, and nothing else changed."""
    spec = service.spec.model_copy(update={"model": reference})
    return service.model_copy(update={"spec": spec})

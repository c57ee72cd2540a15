"""All resources of a mesh together, and the names under which others refer to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.desired.resources import (
    KINDS,
    Model,
    Pipeline,
    Resource,
    Service,
    Site,
    Sites,
    SiteSelector,
)

Key = tuple[str, str]
"""A resource's kind and name."""


@dataclass(frozen=True, slots=True)
class Release:
    """An artifact that was pushed: the digest of its signed manifest, and what the manifest says.

    `memory_bytes` is what the process that loads it may need; 0 where the manifest does not say.
    """

    digest: bytes
    kind: str = "model"
    memory_bytes: int = 0


Released = Mapping[tuple[str, str], Release]
"""By name and version."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a mesh. It never changes; changing makes another one."""

    by_key: Mapping[Key, Resource] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Resources":
        """The collection of `resources`; of two of one kind and name, the later one."""
        return cls({key_of(resource): resource for resource in resources})

    def with_all(self, resources: Iterable[Resource]) -> "Resources":
        """This collection with `resources` added, or put in place of those of their name."""
        return Resources({**self.by_key, **Resources.of(resources).by_key})

    def without(self, key: Key) -> "Resources":
        """This collection without the resource of that kind and name."""
        return Resources({one: self.by_key[one] for one in self.by_key if one != key})

    def ordered(self) -> list[Resource]:
        """All, by kind as in `KINDS` and then by name."""
        kinds = list(KINDS)
        return sorted(
            self.by_key.values(), key=lambda one: (kinds.index(one.kind), one.metadata.name)
        )

    def models(self) -> list[Model]:
        """All models by name."""
        return [one for one in self.ordered() if isinstance(one, Model)]

    def services(self) -> list[Service]:
        """All services by name."""
        return [one for one in self.ordered() if isinstance(one, Service)]

    def pipelines(self) -> list[Pipeline]:
        """All pipelines by name."""
        return [one for one in self.ordered() if isinstance(one, Pipeline)]

    def sites(self) -> list[Site]:
        """All `Site` resources by name."""
        return [one for one in self.ordered() if isinstance(one, Site)]

    def model(self, name: str) -> Model | None:
        """The model of that name."""
        found = self.by_key.get(("Model", name))
        return found if isinstance(found, Model) else None

    def service(self, name: str) -> Service | None:
        """The service of that name."""
        found = self.by_key.get(("Service", name))
        return found if isinstance(found, Service) else None

    def site(self, name: str) -> Site | None:
        """The `Site` resource of that name; a site may well be without one."""
        found = self.by_key.get(("Site", name))
        return found if isinstance(found, Site) else None

    def selects(self, sites: Sites, site: str) -> bool:
        """Whether `sites` of some resource mean `site`."""
        if not isinstance(sites, SiteSelector):
            return site in sites
        resource = self.site(site)
        labels = resource.metadata.labels if resource else {}
        return all(labels.get(key) == value for key, value in sites.match_labels.items())

    def named_sites(self) -> set[str]:
        """Every site that a resource speaks of by name."""
        names = {site.metadata.name for site in self.sites()}
        for one in selections(self):
            names.update(() if isinstance(one.sites, SiteSelector) else one.sites)
        return names


@dataclass(frozen=True, slots=True)
class Selection:
    """A field of a resource that says which sites it is for."""

    resource: Resource
    path: tuple[str, ...]
    sites: Sites


def selections(resources: Resources) -> list[Selection]:
    """Every field of `resources` that says which sites something is for."""
    found = []
    for resource in resources.ordered():
        if isinstance(resource, Service | Pipeline):
            found.append(Selection(resource, ("spec", "sites"), resource.spec.sites))
        elif isinstance(resource, Model) and resource.spec.stage:
            found.append(Selection(resource, ("spec", "stage", "sites"), resource.spec.stage.sites))
    return found


def key_of(resource: Resource) -> Key:
    """The kind and name of `resource`."""
    return resource.kind, resource.metadata.name

"""How operators steer services beside what they apply: hold rollouts, pin versions, go back.

The rules: what holds already changes nothing, not even the counter; whatever is pinned or gone back
to is released and whole on this master's disk; each change is one state, and is told as an event
with its reason in the same commit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from mesh.desired.fields import Version as VersionField
from mesh.desired.history import Version, version_before, with_version
from mesh.desired.holds import SiteService, with_model
from mesh.desired.problems import Problem, ResourcesRefused
from mesh.desired.references import check_service
from mesh.desired.resources import Service
from node.master.content import (
    PAUSES,
    PINS,
    Content,
    delete_holds,
    put_holds,
    put_resource,
    put_versions,
)
from node.master.errors import MasterRefused, NotFound
from node.master.events import EventBook, Told, printable
from node.master.publisher import Publisher
from node.master.records import HoldRecord
from node.master.store import Write

APPLIED = "rollout.applied"
UNDONE = "rollout.undone"
PAUSED = "rollout.paused"
RESUMED = "rollout.resumed"
PINNED = "rollout.pinned"
UNPINNED = "rollout.unpinned"
"""The events."""

IsHeld = Callable[[bytes], bool]
"""Whether an artifact is whole on this master's disk."""
Held = Mapping[SiteService, HoldRecord]
"""The pauses, or the pins, of all sites."""
_VERSION: TypeAdapter[str] = TypeAdapter(VersionField)


@dataclass(frozen=True, slots=True)
class Steered:
    """Where something changed, the counter of the state that says so, and what is planned now."""

    sites: tuple[str, ...]
    counter: int
    version: str


class Steering:
    """Steers services. Its methods are for one thread at a time.

    They raise NotFound for a service that is not there or not for `site` ("": all that it is for),
    MasterRefused for what cannot be done, and Busy.
    """

    def __init__(self, publisher: Publisher, book: EventBook, clock: Callable[[], int]) -> None:
        self._publisher = publisher
        self._book = book
        self._clock = clock

    def note_versions(
        self, content: Content, services: Sequence[Service], counter: int
    ) -> tuple[Content, list[Write]]:
        """`content` with the versions that `services` were applied with, and what keeps them."""
        versions, writes, told = dict(content.versions), [], []
        for one in services:
            name = one.metadata.name
            before = versions.get(name, ())
            entry = Version(one.spec.model, counter, self._clock())
            versions[name] = with_version(before, entry)
            if versions[name] != before:
                writes.append(put_versions(name, versions[name]))
                fields = {"version": one.spec.model, "state": str(counter)}
                cause = "a resource was applied"
                told.append(Told(APPLIED, name, cause, content.sites_of(one), fields))
        if told:
            writes.extend(self._book.writes(*told))
        return replace(content, versions=versions), writes

    def undo(self, name: str, reason: str, is_held: IsHeld) -> Steered:
        """The service states again the version that it stated before the present one."""
        before, reason = self._publisher.content, printable(reason)
        service = self._service(name)
        history = before.versions[name]
        earlier = version_before(history)
        if earlier is None:
            raise MasterRefused(
                f"no earlier version of {name!r} is known: it has been {service.spec.model} since "
                "it was created; apply the Service with the version that you want"
            )
        after = with_model(service, earlier.model)
        self._check_usable(after, is_held)
        content = replace(before, resources=before.resources.with_all([after]))
        counter = self._publisher.draft(content).counter
        entry = Version(earlier.model, counter, self._clock(), undone=True, reason=reason)
        history = with_version(history, entry)
        content = replace(
            content,
            versions={**before.versions, name: history},
            generations={**before.generations, ("Service", name): counter},
        )
        sites = [one for one in content.sites_of(after) if (one, name) not in content.pins]
        writes = [*put_resource(after, counter), put_versions(name, history)]
        told = Told(UNDONE, name, reason, sites, {"from": service.spec.model})
        return self._commit(content, writes, told, earlier.model)

    def pause(self, name: str, site: str, reason: str) -> Steered:
        """No node begins a turn of the service's rollout there."""
        before, reason = self._publisher.content, printable(reason)
        service = self._service(name)
        keys = [
            (one, name) for one in self._sites(service, site) if (one, name) not in before.pauses
        ]
        if not keys:
            return self._as_it_was(service.spec.model)
        now_ms = self._clock()
        records = [HoldRecord(one, name, "", reason, now_ms) for one, _ in keys]
        content = replace(before, pauses=_with(before.pauses, records))
        told = Told(PAUSED, name, reason, [one for one, _ in keys])
        return self._commit(content, put_holds(PAUSES, records), told, service.spec.model)

    def resume(self, name: str, site: str, reason: str) -> Steered:
        """The service's rollout goes on there."""
        before, told = self._publisher.content, Told(RESUMED, name, printable(reason))
        return self._let_go(
            before.pauses, lambda left: replace(before, pauses=left), PAUSES, site, told
        )

    def pin(self, name: str, site: str, version: str, reason: str, is_held: IsHeld) -> Steered:
        """Sites keep `version` of the service's model, whatever the resource says."""
        before, reason = self._publisher.content, printable(reason)
        service = self._service(name)
        model = f"{service.spec.model_name}@{_checked(version)}"
        self._check_usable(with_model(service, model), is_held)
        held = before.holds().pinned
        sites = [one for one in self._sites(service, site) if held.get((one, name)) != model]
        if not sites:
            return self._as_it_was(model)
        now_ms = self._clock()
        records = [HoldRecord(one, name, model, reason, now_ms) for one in sites]
        content = replace(before, pins=_with(before.pins, records))
        told = Told(PINNED, name, reason, sites)
        return self._commit(content, put_holds(PINS, records), told, model)

    def unpin(self, name: str, site: str, reason: str) -> Steered:
        """Sites follow the resource again."""
        before, told = self._publisher.content, Told(UNPINNED, name, printable(reason))
        return self._let_go(before.pins, lambda left: replace(before, pins=left), PINS, site, told)

    def _let_go(
        self,
        held: Held,
        content_with: Callable[[Held], Content],
        table: str,
        site: str,
        told: Told,
    ) -> Steered:
        """Ends what is held of the service that `told` is about; `content_with` what is left."""
        service = self._service(told.subject)
        keys = self._held(held, service, site)
        if not keys:
            return self._as_it_was(service.spec.model)
        told = replace(told, sites=[one for one, _ in keys])
        content = content_with({key: one for key, one in held.items() if key not in keys})
        return self._commit(content, delete_holds(table, keys), told, service.spec.model)

    def _commit(
        self, content: Content, writes: Sequence[Write], told: Told, version: str
    ) -> Steered:
        draft = self._publisher.draft(content)
        fields = {**told.fields, "version": version, "state": str(draft.counter)}
        noted = self._book.writes(replace(told, fields=fields))
        counter = self._publisher.commit(draft, [*writes, *noted])
        return Steered(tuple(told.sites), counter, version)

    def _as_it_was(self, version: str) -> Steered:
        return Steered((), self._publisher.published.counter, version)

    def _service(self, name: str) -> Service:
        service = self._publisher.content.resources.service(name)
        if service is None:
            raise NotFound(f"there is no service {name!r}; list them: meshctl get services")
        return service

    def _sites(self, service: Service, site: str) -> list[str]:
        """The sites that are meant: `site`, or all that the service is for."""
        name, known = service.metadata.name, self._publisher.content.sites_of(service)
        if site and site not in known:
            where = f"it is for {', '.join(known)}" if known else "it is for no site that is known"
            raise NotFound(f"service {name!r} is not for site {site!r}: {where}")
        return [site] if site else known

    def _held(self, held: Held, service: Service, site: str) -> list[SiteService]:
        """What is held of the service, also in sites that it is not for any more."""
        name = service.metadata.name
        found = sorted(key for key in held if key[1] == name and site in ("", key[0]))
        if not found:
            self._sites(service, site)  # a site that it was never for is said so
        return found

    def _check_usable(self, service: Service, is_held: IsHeld) -> None:
        """Raises MasterRefused if the model that `service` names cannot be run."""
        content = self._publisher.content
        model, released = service.spec.model, content.released()
        for finding in check_service(service, content.resources, released):
            if not finding.warning:
                raise MasterRefused(
                    f"{model} cannot be run: {finding.message}; {finding.suggestion}"
                )
        name, version = service.spec.model_name, service.spec.model_version
        if not is_held(released[name, version].digest):
            raise MasterRefused(
                f"{model} was released, but is not whole on this master's disk; push it again: "
                f"meshctl model push PATH --name {name} --version {version}"
            )


def _checked(version: str) -> str:
    try:
        return _VERSION.validate_python(version)
    except ValidationError as error:
        reason = error.errors()[0]["ctx"]
        problem = Problem(0, 0, "", reason["text"], reason["suggestion"])
        raise ResourcesRefused([problem]) from None


def _with(held: Held, records: Sequence[HoldRecord]) -> Held:
    return {**held, **{(one.site, one.service): one for one in records}}

"""What resources say of each other: whether everything they name is there.

These rules look at all resources together, the stored and the new ones, so that nothing is signed
that a site could not carry out, and nothing is deleted that another resource needs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mesh.desired.collection import (
    Key,
    Released,
    Resources,
    Selection,
    key_of,
    selections,
)
from mesh.desired.parse import Parsed
from mesh.desired.problems import Problem
from mesh.desired.resources import Model, Pipeline, Resource, Service, SiteSelector
from mesh.desired.units import format_size


@dataclass(frozen=True, slots=True)
class Finding:
    """A reference that does not hold. A warning is only told, an error refuses the input."""

    resource: Key
    path: tuple[str, ...]
    message: str
    suggestion: str
    warning: bool = False


def check_references(
    resources: Resources, released: Released, enrolled_sites: Collection[str]
) -> list[Finding]:
    """Every reference that does not hold, by resource. No finding: all can be compiled."""
    findings: list[Finding] = []
    for model in resources.models():
        findings.extend(_check_model(model, released))
    for service in resources.services():
        findings.extend(check_service(service, resources, released))
    sites = sorted(resources.named_sites() | set(enrolled_sites))
    for pipeline in resources.pipelines():
        findings.extend(_check_pipeline(pipeline, resources, sites))
    for selection in selections(resources):
        findings.extend(_check_sites(selection, resources, sites, enrolled_sites))
    return findings


def locate(findings: Sequence[Finding], parsed: Sequence[Parsed]) -> list[Problem]:
    """The findings as problems: with their place where it is in this input, else by name."""
    written = {key_of(one.resource): one for one in parsed}
    problems = []
    for finding in findings:
        dotted = ".".join(finding.path)
        one = written.get(finding.resource)
        if one is not None:
            place = one.place(finding.path)
            where = (place.line, place.column, dotted)
        else:
            kind, name = finding.resource
            where = (0, 0, f"{kind} {name!r} (applied before): {dotted}")
        problems.append(Problem(*where, finding.message, finding.suggestion))
    return problems


def _check_model(model: Model, released: Released) -> list[Finding]:
    name, version = model.metadata.name, model.spec.version
    if (name, version) in released:
        return []
    return [_not_pushed(model, ("spec", "version"), name, version, released)]


def _not_pushed(
    resource: Resource, path: tuple[str, ...], name: str, version: str, released: Released
) -> Finding:
    others = sorted(other for pushed, other in released if pushed == name)
    command = f"push it first: meshctl model push PATH --name {name} --version {version}"
    known = f" (pushed are: {', '.join(others)})" if others else ""
    return Finding(key_of(resource), path, f"{name} {version} has not been pushed{known}", command)


def check_service(service: Service, resources: Resources, released: Released) -> list[Finding]:
    """Whatever is wrong with the model that `service` names."""
    name, version = service.spec.model_name, service.spec.model_version
    path = ("spec", "model")
    if resources.model(name) is None:
        names = [model.metadata.name for model in resources.models()]
        message = f"there is no Model {name!r}"
        return [Finding(key_of(service), path, message, _near(name, names, "apply the Model too"))]
    release = released.get((name, version))
    if release is None:
        return [_not_pushed(service, path, name, version, released)]
    if release.kind != "model":
        message = f"{name} {version} was pushed as {release.kind}, not as a model"
        return [Finding(key_of(service), path, message, "name an artifact that is a model")]
    if service.spec.resources.memory < release.memory_bytes:
        return [_too_little_memory(service, release.memory_bytes)]
    return []


def _too_little_memory(service: Service, needed_bytes: int) -> Finding:
    """A warning: the manifest states a bound, and the model may well stay below it."""
    given = format_size(service.spec.resources.memory)
    message = f"a replica gets {given}, its model may need {format_size(needed_bytes)}"
    suggestion = f"write memory: {format_size(needed_bytes)} or more"
    path = ("spec", "resources", "memory")
    return Finding(key_of(service), path, message, suggestion, warning=True)


def _check_pipeline(
    pipeline: Pipeline, resources: Resources, sites: Sequence[str]
) -> list[Finding]:
    name = pipeline.spec.service
    path = ("spec", "service")
    service = resources.service(name)
    if service is None:
        names = [service.metadata.name for service in resources.services()]
        advice = _near(name, names, "apply the Service too")
        return [Finding(key_of(pipeline), path, f"there is no Service {name!r}", advice)]
    without = [
        site
        for site in sites
        if resources.selects(pipeline.spec.sites, site)
        and not resources.selects(service.spec.sites, site)
    ]
    if not without:
        return []
    message = f"Service {name!r} does not run in {', '.join(without)}"
    advice = "add the site to the Service, or take it from the Pipeline"
    return [Finding(key_of(pipeline), path, message, advice)]


def _check_sites(
    selection: Selection,
    resources: Resources,
    sites: Sequence[str],
    enrolled: Collection[str],
) -> list[Finding]:
    """Warnings only: a site may be spoken of before its first node is enrolled."""
    key = key_of(selection.resource)
    if isinstance(selection.sites, SiteSelector):
        if any(resources.selects(selection.sites, site) for site in sites):
            return []
        advice = "label a Site, or wait for one"
        message = "no site carries these labels; nothing will run"
        return [Finding(key, selection.path, message, advice, warning=True)]
    known = set(enrolled) | {site.metadata.name for site in resources.sites()}
    return [
        Finding(
            key,
            selection.path,
            f"no node is enrolled in site {site!r} yet",
            _near(site, sorted(known), f"enrol one: meshctl token create --site {site}"),
            warning=True,
        )
        for site in selection.sites
        if site not in known
    ]


def _near(word: str, known: Sequence[str], otherwise: str) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.75)
    return f"did you mean {close[0]!r}? Else {otherwise}" if close else otherwise

"""What an authority holds, as the documents that `meshctl get` shows.

Only what the master knows by itself: what nodes say of themselves (addresses, replicas, what they
have applied) is added by whoever has their registers. Keys are stable; times are in milliseconds
since 1970.
"""

from typing import Any

from mesh.desired.collection import Resources, key_of
from mesh.desired.resources import Model, Pipeline, Resource, Service
from node.master.authority import Authority

Document = dict[str, Any]


def list_resources(authority: Authority) -> list[Document]:
    """Every resource as applied: kind, name, generation, spec, and what can be told of it."""
    content = authority.content
    sites = sorted(content.known_sites())
    documents = []
    for resource in content.resources.ordered():
        document: Document = {
            "kind": resource.kind,
            "name": resource.metadata.name,
            "generation": content.generations.get(key_of(resource), 0),
            "labels": resource.metadata.labels,
            "spec": resource.spec.model_dump(by_alias=True, mode="json", exclude_none=True),
        }
        document.update(_told(resource, content.resources, sites))
        documents.append(document)
    return documents


def list_sites(authority: Authority) -> list[Document]:
    """Every site that has a node or that a resource names: its nodes on the roster, its labels."""
    content = authority.content
    rosters = content.rosters()
    documents = []
    for name in sorted(content.known_sites()):
        resource = content.resources.site(name)
        labels = resource.metadata.labels if resource else {}
        documents.append({"site": name, "nodes": len(rosters.get(name, ())), "labels": labels})
    return documents


def list_nodes(authority: Authority) -> list[Document]:
    """Every node that was enrolled, by site and ID; `revoked` is the reason, or empty."""
    records = sorted(authority.content.nodes.values(), key=lambda one: (one.site, one.node))
    return [
        {
            "node": record.node,
            "site": record.site,
            "revoked": record.revoked,
            "enrolled": record.enrolled_unix_ms,
        }
        for record in records
    ]


def list_artifacts(authority: Authority) -> list[Document]:
    """Every released artifact, by name and version."""
    return [
        {
            "artifact": record.digest.hex(),
            "name": record.name,
            "version": record.version,
            "kind": record.kind,
            "bytes": record.total_bytes,
            "chunks": record.chunks,
            "released": True,
        }
        for _, record in sorted(authority.content.releases.items())
    ]


def list_tokens(authority: Authority) -> list[Document]:
    """The tokens that can still be used; no secret is known of them."""
    return [
        {"id": one.id, "site": one.site, "expires": one.expires_unix_ms, "used_by": one.used_by}
        for one in authority.tokens()
    ]


def list_alarms(authority: Authority) -> list[Document]:
    """What a person should know of enrolments."""
    return [
        {
            "site": one.site,
            "node": one.subject,
            "kind": one.kind,
            "subject": one.subject,
            "severity": one.severity,
            "since": one.since_unix_ms,
            "message": one.message,
        }
        for one in authority.alarms()
    ]


def _told(resource: Resource, resources: Resources, sites: list[str]) -> Document:
    if isinstance(resource, Model):
        return {"version": resource.spec.version}
    if not isinstance(resource, Service | Pipeline):
        return {}
    chosen = [one for one in sites if resources.selects(resource.spec.sites, one)]
    each = resource.spec.replicas.min if isinstance(resource, Service) else 1
    return {"sites": chosen, "desired": each * len(chosen)}

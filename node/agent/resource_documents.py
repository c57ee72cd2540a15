"""What a master was told, as documents for people: resources, releases, and its own events."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mesh.desired.history import Version
from mesh.desired.parse import to_json
from mesh.desired.resources import Pipeline, Service
from mesh.journals.keys import RECORD
from node.agent.lease_documents import lease_holders
from node.agent.site_documents import counts, is_nowhere, running_count, serving_count
from node.master.content import Content
from node.master.events import EventRecord
from protos.documents_pb2 import StableRegister

Document = dict[str, Any]


def resource_documents(
    content: Content,
    bodies: Sequence[StableRegister],
    live: Collection[str],
    local: Mapping[str, Mapping[str, int]],
    kind: str,
) -> list[Document]:
    """The resources of a kind (of all if ""), and how it goes with them at the sites. `live`: the
    nodes that are known to live. `local`: of services that were scaled at sites, how many each has
    there."""
    found, alive = [], [body for body in bodies if body.node in live]
    for (one_kind, name), resource in sorted(content.resources.by_key.items()):
        if kind not in ("", one_kind):
            continue
        spec = json.loads(to_json(resource))["spec"]
        document: Document = {
            "kind": one_kind,
            "name": name,
            "generation": content.generations.get((one_kind, name), 0),
            "spec": spec,
        }
        if one_kind == "Model":
            document["version"] = spec["version"]
        if isinstance(resource, Service | Pipeline):
            sites = content.sites_of(resource)
            document["sites"] = sites
            count = serving_count if isinstance(resource, Service) else running_count
            document["serving"] = count([b for b in bodies if b.site in sites], name)
        if isinstance(resource, Pipeline) and (holders := lease_holders(alive, name)):
            document["lease_holders"] = holders
        if isinstance(resource, Service):
            document["version"] = spec["model"]
            planned: int = spec["replicas"]["min"]
            document |= counts(document["sites"], planned, local.get(name, {}))
            document |= _steered(content, name)
            if not spec["replicas"]["min"]:
                document["asleep"] = [
                    site
                    for site in document["sites"]
                    if is_nowhere((b for b in bodies if b.site == site), name)
                ]
        elif spec.get("sites") is None:
            document["sites"] = [name] if one_kind == "Site" else []
        found.append(document)
    return found


def _steered(content: Content, service: str) -> Document:
    """What operators hold of a service, where they do, and the versions that it was told to run."""
    held: Document = {
        "paused": sorted(site for site, name in content.pauses if name == service),
        "pinned": {s: pin.model for (s, name), pin in sorted(content.pins.items())
                   if name == service},
    }  # fmt: skip
    known = {key: value for key, value in held.items() if value}
    return known | {"versions": [_version(one) for one in content.versions.get(service, ())]}


def _version(one: Version) -> Document:
    document: Document = {"version": one.model, "state": one.counter, "undone": one.undone}
    if one.unix_ms:
        document["time"] = one.unix_ms
    if one.reason:
        document["reason"] = one.reason
    return document


def release_documents(
    content: Content, whole: Collection[bytes], at_nodes: Sequence[bytes]
) -> list[Document]:
    """What was released; `whole` are on the master's disk, `at_nodes` on each node's."""
    return [
        {
            "artifact": one.digest.hex(),
            "name": one.name,
            "version": one.version,
            "kind": one.kind,
            "bytes": one.total_bytes,
            "chunks": one.chunks,
            "held": one.chunks if one.digest in whole else 0,
            "complete": one.digest in whole,
            "released": True,
            "nodes": at_nodes.count(one.digest),
        }
        for _, one in sorted(content.releases.items())
    ]


def told_documents(told: Iterable[EventRecord], master: str) -> list[Document]:
    """The master's own events, as those of journals: of no boot, with numbers of their own."""
    return [
        {
            "time": one.unix_ms,
            "node": master,
            "site": one.sites[0] if len(one.sites) == 1 else "",
            "sites": one.sites,
            "boot": 0,
            "nonce": "",
            "sequence": one.sequence,
            "kind": RECORD,
            "event": one.event,
            "subject": one.subject,
            "cause": one.cause,
            "fields": one.fields,
        }
        for one in told
    ]

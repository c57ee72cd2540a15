"""What the demo looks at, over gRPC: who is live, who serves, what has arrived."""

from collections.abc import Collection, Iterable

from node.admin.demo.lab import Lab
from node.admin.demo.layout import COMPANION, MODEL, SERVICES, SITES
from node.admin.documents import Document


def neighbours_seen(lab: Lab, names: Iterable[str]) -> dict[str, int]:
    """Of each node: how many live nodes of its site it sees, itself included."""
    found = {}
    for name in names:
        nodes = lab.ask(name, "nodes") or []
        found[name] = sum(1 for node in nodes if node.get("live") == "live")
    return found


def serving(lab: Lab, asked: str, site: str) -> list[Document]:
    """The replicas of the site's service that serve, as the node `asked` sees them."""
    workloads = lab.ask(asked, "workloads") or []
    return [
        one
        for one in workloads
        if one.get("workload") == SERVICES[site] and one.get("phase") == "serving"
    ]


def replicas_on(lab: Lab, asked: str, site: str) -> dict[str, int]:
    """How many replicas serve on each node of the site."""
    found: dict[str, int] = {}
    for one in serving(lab, asked, site):
        found[one["node"]] = found.get(one["node"], 0) + 1
    return found


def statuses(lab: Lab, names: Iterable[str]) -> dict[str, Document]:
    """The status of each daemon, {} of those that do not answer."""
    return {name: lab.status(name) or {} for name in names}


def all_nodes() -> list[str]:
    return [name for names in SITES.values() for name in names]


def behind(lab: Lab, names: Iterable[str], counter: int) -> dict[str, object]:
    """The nodes that have not applied the state `counter` yet, and what they have."""
    found = {name: one.get("state", {}) for name, one in statuses(lab, names).items()}
    return {
        name: state.get("applied", "no answer")
        for name, state in found.items()
        if state.get("applied", 0) < counter
    }


def unsynced(lab: Lab, names: Iterable[str], counter: int) -> dict[str, object]:
    """The nodes that are not in sync with the master at the state `counter`."""
    return {
        name: one.get("state", "no answer")
        for name, one in statuses(lab, names).items()
        if not one.get("state", {}).get("synced") or one["state"].get("applied", 0) < counter
    }


def wan_up(lab: Lab, names: Iterable[str]) -> dict[str, bool | None]:
    return {name: one.get("wan", {}).get("up") for name, one in statuses(lab, names).items()}


def artifacts(lab: Lab, name: str) -> dict[str, Document]:
    """The demo's two artifacts as a node has them, by name."""
    found = lab.ask(name, "artifacts") or []
    return {one["name"]: one for one in found if one.get("name") in (MODEL, COMPANION)}


def held_bytes(lab: Lab, names: Collection[str]) -> int:
    """Bytes of the two artifacts that these nodes hold, all together."""
    return sum(
        one["bytes"] * one.get("held", 0) // max(1, one.get("chunks", 1))
        for name in names
        for one in artifacts(lab, name).values()
    )


def incomplete(lab: Lab, names: Iterable[str]) -> list[str]:
    """The nodes that do not hold both artifacts whole."""
    return [
        name
        for name in names
        if len([one for one in artifacts(lab, name).values() if one.get("complete")]) < 2
    ]


def wan_ratio(lab: Lab, site: str) -> float:
    """Chunk payload that the site got from outside, over the bytes of the manifests."""
    got = [one for name in SITES[site] for one in artifacts(lab, name).values()]
    sizes = {one["name"]: one["bytes"] for one in got}
    fetched = sum(int(one.get("wan_bytes", 0)) for one in got)
    return fetched / max(1, sum(int(one) for one in sizes.values()))

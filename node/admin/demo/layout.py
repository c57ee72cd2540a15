"""What the demo sets up: sites, nodes, ports, and the files that a user would write.

Short times (soak, back-off) are fields of these files: an hour of a shop's life is told in a
minute, by the same code.
"""

import random
import socket
from dataclasses import dataclass, field
from pathlib import Path

MESH = "demo"
MASTER = "master-1"
SITES = {"north": ("north-a", "north-b"), "south": ("south-a", "south-b", "south-c")}
SERVICES = {"north": "faces", "south": "faces-south"}
PIPELINE = "entrance"
SOURCE = "entrance-camera"
MODEL, MODEL_VERSION = "face-detector", "1.0.0"
BAD_VERSION, GOOD_VERSION = "1.0.1", "1.1.0"
"""The one has broken weights; the other is the same network, released anew."""
REPLICAS_LATER = {"north": 2, "south": 3}
"""After the change that the operator makes during the outage."""
LOCAL_SITE, LOCAL_REPLICAS = "north", 3
"""Where, and to how many, an operator at the site scales its service during the outage."""
SCALED_SITE, REPLICAS_BUSY = "south", (2, 3)
"""Where load scales the service: from so many replicas, to so many."""
COMPANION, COMPANION_VERSION = "store-map", "1.0.0"
COMPANION_BYTES = 32 * 1024 * 1024
"""Pushed beside the model, so that the figures for the WAN stand on more than one megabyte."""

PORTS = range(20_000, 32_000)
"""Below the range from which systems take ports for outgoing connections."""

SCALING = "{queueDelay: 500ms, downAfter: 60s}"
SCALING_SOON = "{queueDelay: 100ms, downAfter: 8s}"
"""A lower bound, that `pressure` reaches on any machine and the usual load on none; and little
patience."""

COMPANION_YAML = f"""apiVersion: mesh/v1
kind: Model
metadata: {{name: {COMPANION}}}
spec: {{version: {COMPANION_VERSION}, stage: {{sites: [north, south]}}}}
"""

PIPELINE_YAML = f"""apiVersion: mesh/v1
kind: Pipeline
metadata: {{name: {PIPELINE}}}
spec:
  sites: [north]
  source: {SOURCE}
  service: {SERVICES["north"]}
  every: 200ms
  journal: {{onChange: true, summaryEvery: 10s}}
  exclusive: true
  onSplit: run
"""


def site_yaml(site: str) -> str:
    """What operators at the site may change without a master."""
    return f"""apiVersion: mesh/v1
kind: Site
metadata: {{name: {site}}}
spec: {{autonomy: {{allow: [scale, pin, restart], until: 12h}}}}
"""


def model_yaml(version: str) -> str:
    return f"""apiVersion: mesh/v1
kind: Model
metadata: {{name: {MODEL}}}
spec:
  version: {version}
  gate: {{maxLatency: 1s, soak: 1s}}
  stage: {{sites: [north, south]}}
"""


def service_yaml(
    site: str, replicas: int, version: str = MODEL_VERSION, most: int | None = None
) -> str:
    """A site's service; one that load scales, soon up and down, with `most` above `replicas`."""
    scaling = SCALING if most is None or most == replicas else SCALING_SOON
    return f"""apiVersion: mesh/v1
kind: Service
metadata: {{name: {SERVICES[site]}}}
spec:
  sites: [{site}]
  model: {MODEL}@{version}
  replicas: {{min: {replicas}, max: {most or replicas}}}
  resources: {{cores: 1, memory: 512MiB}}
  scaling: {scaling}
  spares: 1
"""


def all_yaml() -> str:
    """Everything that the operator applies at first."""
    sites = [site_yaml(site) for site in SITES]
    services = [service_yaml(site, 2) for site in SITES]
    return "---\n".join(
        [*sites, model_yaml(MODEL_VERSION), COMPANION_YAML, *services, PIPELINE_YAML]
    )


def version_yaml(version: str) -> str:
    """Another version of the model for both sites, with as many replicas as they have."""
    services = [service_yaml(site, count, version) for site, count in REPLICAS_LATER.items()]
    return "---\n".join([model_yaml(version), *services])


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: its folder and its ports on 127.0.0.1, which it keeps over its restarts."""

    name: str
    site: str
    data: Path
    config: Path
    peer: str
    inference: str
    peer_inference: str


@dataclass(slots=True)
class Layout:
    """Where everything of one demo lies."""

    folder: Path
    model_folder: Path
    master_peer: str
    master_enrolment: str
    nodes: dict[str, NodePlan]
    relays: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each site: the relay's addresses for the master's `peer` and `enrolment` port."""

    @property
    def mesh_folder(self) -> Path:
        return self.folder / "mesh"

    @property
    def config(self) -> Path:
        """The file of `meshctl`'s contexts."""
        return self.folder / "meshctl.toml"

    @property
    def master_data(self) -> Path:
        return self.mesh_folder / "master"

    @property
    def master_config(self) -> Path:
        return self.folder / "master.toml"

    def of_site(self, site: str) -> list[NodePlan]:
        return [self.nodes[name] for name in SITES[site]]


def make_layout(folder: Path, model_folder: Path) -> Layout:
    free = free_addresses(2 + 3 * sum(len(nodes) for nodes in SITES.values()))
    nodes = {
        name: NodePlan(
            name,
            site,
            folder / name,
            folder / f"{name}.toml",
            free.pop(),
            free.pop(),
            free.pop(),
        )
        for site, names in SITES.items()
        for name in names
    }
    return Layout(folder, model_folder, free.pop(), free.pop(), nodes)


def free_addresses(count: int) -> list[str]:
    """Addresses on 127.0.0.1 that nobody listens on now."""
    found: dict[int, socket.socket] = {}
    try:
        while len(found) < count:
            port = random.choice(PORTS)
            if port in found:
                continue
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
                continue
            found[port] = probe
    finally:
        for probe in found.values():
            probe.close()
    return [f"127.0.0.1:{port}" for port in found]


def master_toml(layout: Layout) -> str:
    return f"""[peer]
listen = "{layout.master_peer}"

[enrolment]
listen = "{layout.master_enrolment}"

[discovery]
mdns = false
"""


def node_toml(layout: Layout, node: NodePlan, seeds: bool) -> str:
    """A node's configuration. The relay is the only address of a master that it holds."""
    neighbours = [one for one in layout.of_site(node.site) if one.name != node.name]
    listed = ", ".join(f'"{one.name}@{one.peer}"' for one in neighbours[:1]) if seeds else ""
    return f"""[node]
cores = 4
memory = "3GiB"

[peer]
listen = "{node.peer}"
advertise = "{node.peer}"
seeds = [{listed}]

[master]
addresses = ["{MASTER}@{layout.relays[node.site]["peer"]}"]

[wan]
retry_max = "1s"

[discovery]
mdns = true
interfaces = ["127.0.0.1"]

[inference]
listen = "{node.inference}"
peer_listen = "{node.peer_inference}"

[sources.{SOURCE}]
url = "{layout.model_folder / "entrance.mp4"}"
"""


def multicast_works(timeout_s: float = 1.0) -> bool:
    """Whether multicast on the loopback interface comes back here."""
    group, interface = "224.0.0.251", socket.inet_aton("127.0.0.1")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 0))
            membership = socket.inet_aton(group) + interface
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            receiver.settimeout(timeout_s)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
                sender.sendto(b"meshctl demo", (group, receiver.getsockname()[1]))
                return receiver.recv(64) == b"meshctl demo"
    except OSError:
        return False

"""The mesh that is measured: a master, a site of five nodes and a site of one, as real processes.

It is started and steered with the demo's own hands. The site of one has nobody to forward to, so
what answers there is the replica that was asked. Both sites run the demo's configuration; but the
site of five waits between attempts to reach the master as a node does by default.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.admin.demo.golden import GoldenRequest
from node.admin.demo.lab import Lab, Talker
from node.admin.demo.layout import (
    MASTER,
    MESH,
    Layout,
    NodePlan,
    free_addresses,
    multicast_works,
    node_toml,
)
from node.admin.demo.processes import Processes
from node.admin.demo.waiting import require, wait_for
from node.agent.config import WanSection
from tests.bench import looks

FIVE, LONE = "five", "lone"
SITES = {FIVE: tuple(f"five-{letter}" for letter in "abcde"), LONE: ("lone-a",)}
SERVICES = {FIVE: "faces", LONE: "faces-lone"}
REPLICAS = {FIVE: 2, LONE: 1}
MODEL, MODEL_VERSION = "face-detector", "1.0.0"
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "face-detector"
RETRY_IN_DEMO = 'retry_max = "1s"'

FORM_TIMEOUT_S = 30.0
SERVE_TIMEOUT_S = 60.0
HOLD_TIMEOUT_S = 60.0
"""Of what is measured: far above anything that was asked, and above the wait of 30 s between two
attempts to reach the master."""

LOOK_S = 0.02
"""Between two looks at something whose time is measured."""


class BenchLayout(Layout):
    """The demo's layout with the bench's sites."""

    def of_site(self, site: str) -> list[NodePlan]:
        return [node for node in self.nodes.values() if node.site == site]


class Mesh(Lab):
    """The demo's hands on the bench's mesh."""

    def __init__(self, folder: Path) -> None:
        layout = _layout(folder)
        super().__init__(layout, Processes(folder, {"MESHCTL_CONFIG": str(layout.config)}))
        self.golden = GoldenRequest(EXAMPLE / "golden")
        self.ready_s: list[float] = []
        """Of each node: from its first start until it said that it serves."""

    # ---- set-up ----

    def begin(self) -> None:
        """Starts the master, enrols the nodes and starts them, one after the other."""
        layout = self.layout
        self.meshctl("init", str(layout.mesh_folder), "--mesh", MESH, "--master", MASTER,
                     "--operator", "bench", "--address", layout.master_peer)  # fmt: skip
        self.start_master()
        self.start_relays()
        seeds = not multicast_works()
        for node in layout.nodes.values():
            self.write_node(node, seeds)
            token = self.meshctl("token", "create", "--site", node.site).strip()
            code, _, err = self.join(node, token)
            require(code == 0, f"{node.name} could not join: {err}")
        self.know_nodes()
        self.ready_s += [self.start_and_wait(node) for node in layout.nodes.values()]
        for site in SITES:
            self.wait_whole(site)

    def start_relays(self) -> None:
        """One relay for each of the bench's sites."""
        for site in SITES:
            command = [sys.executable, "-m", "node.admin.relay"]
            for target in (self.layout.master_peer, self.layout.master_enrolment):
                command += ["--listen", f"127.0.0.1:0={target}"]
            self.relays[site] = Talker(self.processes, f"relay-{site}", command)
            ports = [port["listen"] for port in self.relays[site].first["ports"]]
            self.layout.relays[site] = {"peer": ports[0], "enrolment": ports[1]}

    def write_node(self, node: NodePlan, seeds: bool) -> None:
        text = node_toml(self.layout, node, seeds)
        require(RETRY_IN_DEMO in text, f"the demo's configuration does not say {RETRY_IN_DEMO}")
        if node.site == FIVE:
            text = text.replace(RETRY_IN_DEMO, f'retry_max = "{WanSection().retry_max}"')
        node.config.write_text(text)

    def start_and_wait(self, node: NodePlan) -> float:
        """Starts a node; seconds from its start until it has said that all its ports serve."""
        ready = node.data / "run" / "ready.json"
        return until(f"{node.name} serves", ready.exists, self.start_node(node))

    def serve(self) -> None:
        """Pushes the model, applies a service for each site, and waits until both serve."""
        self.meshctl("model", "push", str(EXAMPLE), "--name", MODEL, "--version", MODEL_VERSION)
        services = [service_yaml(site) for site in SITES]
        self.apply("---\n".join([model_yaml(MODEL, MODEL_VERSION), *services]))
        for site in SITES:
            self.wait_serving(site)

    def apply(self, yaml: str) -> int:
        """`meshctl apply`; the counter of the state that it made."""
        out = self.meshctl("apply", "-f", "-", "-o", "json", stdin=yaml.encode())
        return int(json.loads(out)["counter"])

    # ---- waiting ----

    def wait_whole(self, site: str) -> None:
        """Until each node of a site sees all of it, and knows a gateway."""

        def look() -> tuple[bool | None, object]:
            seen = {name: looks.live(self, name) for name in SITES[site]}
            ways = looks.gateways(self, SITES[site])
            whole = all(count == len(SITES[site]) for count in seen.values()) and all(ways.values())
            return (True if whole else None), (seen, ways)

        wait_for(f"{site} is whole", look, FORM_TIMEOUT_S)

    def wait_serving(self, site: str) -> None:
        """Until a site's replicas serve, each exactly once."""

        def look() -> tuple[bool | None, object]:
            found = looks.replicas(self, SITES[site][0], SERVICES[site])
            return (True if sum(found.values()) == REPLICAS[site] else None), found

        wait_for(f"{SERVICES[site]} is served", look, SERVE_TIMEOUT_S)

    def right(self, node: NodePlan) -> bool:
        """Whether a node gives the golden answer to the golden request."""
        return self.golden.right(SERVICES[node.site], node.inference)


def until(what: str, holds: Callable[[], object], began: float) -> float:
    """Seconds from the monotonic time `began` until something holds. Raises StepFailed."""
    wait_for(what, lambda: (True if holds() else None, "it does not"), HOLD_TIMEOUT_S, LOOK_S)
    return time.monotonic() - began


def until_all(
    what: str, names: Sequence[str], holds: Callable[[str], object], began: float
) -> float:
    """Seconds from `began` until something has held of each of `names`. Raises StepFailed."""
    waiting = list(names)

    def look() -> tuple[bool | None, object]:
        waiting[:] = [name for name in waiting if not holds(name)]
        return (None if waiting else True), f"not {waiting}"

    wait_for(what, look, HOLD_TIMEOUT_S, LOOK_S)
    return time.monotonic() - began


def model_yaml(name: str, version: str) -> str:
    """A model, or any artifact, that every node keeps."""
    return f"""apiVersion: mesh/v1
kind: Model
metadata: {{name: {name}}}
spec:
  version: {version}
  gate: {{maxLatency: 1s, soak: 1s}}
  stage: {{sites: [{", ".join(SITES)}]}}
"""


def service_yaml(site: str) -> str:
    return f"""apiVersion: mesh/v1
kind: Service
metadata: {{name: {SERVICES[site]}}}
spec:
  sites: [{site}]
  model: {MODEL}@{MODEL_VERSION}
  replicas: {{min: {REPLICAS[site]}}}
  resources: {{cores: 1, memory: 512MiB}}
"""


def site_yaml(site: str, turn: int) -> str:
    """A change that a site must know and that moves nothing."""
    return f"""apiVersion: mesh/v1
kind: Site
metadata: {{name: {site}, labels: {{turn: "{turn}"}}}}
"""


@contextmanager
def running() -> Iterator[Mesh]:
    """A mesh that serves; at the end all its processes are ended and its folder is removed."""
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as folder:
        mesh = Mesh(Path(folder).resolve())
        try:
            mesh.begin()
            mesh.serve()
            yield mesh
        finally:
            mesh.close()


def _layout(folder: Path) -> BenchLayout:
    names = [(site, name) for site, listed in SITES.items() for name in listed]
    free = iter(free_addresses(2 + 3 * len(names)))
    nodes = {
        name: NodePlan(
            name, site, folder / name, folder / f"{name}.toml", next(free), next(free), next(free)
        )
        for site, name in names
    }
    return BenchLayout(folder, EXAMPLE, next(free), next(free), nodes)

"""A real mesh for the tests: `meshd` processes on 127.0.0.1, and what the tests do to them."""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

from mesh.heads.identity import Identity
from node.admin.client import Client
from node.admin.demo.layout import free_addresses
from node.admin.demo.processes import Incarnation, Processes, census, kill, program
from node.admin.dialling import Target
from node.admin.failures import Failure
from node.disk.authority_keys import OperatorKeys
from protos.inference_pb2 import ModelInferRequest
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.node.worker import models

MESH, MASTER, SITE, SERVICE = "lab", "master-1", "north", "adder"
WAIT_S = 40.0
"""How long anything may take on a busy machine."""

SERVICE_YAML = """apiVersion: mesh/v1
kind: Model
metadata: {{name: tiny}}
spec: {{version: 1.0.0, gate: {{maxLatency: 5s, soak: 0s}}}}
---
apiVersion: mesh/v1
kind: Service
metadata: {{name: adder}}
spec:
  sites: [north]
  model: tiny@1.0.0
  replicas: {{min: {replicas}, max: {replicas}}}
  resources: {{cores: 1, memory: 512MiB}}
  spares: 1
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Node:
    """One machine: its folder, its configuration, its peer port."""

    name: str
    data: Path
    config: Path
    address: str
    process: subprocess.Popen[bytes] | None = None


@dataclass
class Lab:
    """One mesh: a master, and nodes of one site."""

    folder: Path
    nodes: dict[str, Node] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    master: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        environment = {
            "MESHCTL_CONFIG": str(self.folder / "meshctl.toml"),
            "GRPC_ENABLE_FORK_SUPPORT": "false",
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "COLUMNS": "300",
        }
        self.processes = Processes(self.folder, environment)
        self.master_address, self.enrolment_address = free_addresses(2)

    # ---- commands ----

    def run(self, name: str, *arguments: str, stdin: bytes = b"") -> Done:
        """Runs `meshd` or `meshctl` to its end."""
        return Done(*self.processes.run([*program(name), *arguments], WAIT_S, stdin))

    def meshctl(self, *arguments: str, stdin: bytes = b"") -> str:
        """Runs `meshctl`, which must succeed."""
        done = self.run("meshctl", *arguments, stdin=stdin)
        assert done.code == 0, done
        return done.out

    def at(self, name: str) -> list[str]:
        """The options that make `meshctl` ask that node."""
        return ["--address", self.nodes[name].address, "--identity", name]

    def apply(self, replicas: int) -> None:
        """Makes the service with so many replicas."""
        self.client(MASTER).apply(SERVICE_YAML.format(replicas=replicas).encode(), "-", False)

    # ---- daemons ----

    def make_mesh(self) -> None:
        """The trust root, a master that serves, and a model that is pushed."""
        arguments = ["--mesh", MESH, "--master", MASTER, "--operator", "ann"]
        self.meshctl("init", str(self.folder / "mesh"), *arguments, "--address",
                     self.master_address)  # fmt: skip
        self.master_config.write_text(
            f'[peer]\nlisten = "{self.master_address}"\n'
            f'[enrolment]\nlisten = "{self.enrolment_address}"\n[discovery]\nmdns = false\n'
        )
        self.start_master()
        push = make_model(self.folder / "model")
        self.meshctl("model", "push", str(push), "--name", "tiny", "--version", "1.0.0")

    @property
    def master_data(self) -> Path:
        return self.folder / "mesh" / "master"

    @property
    def master_config(self) -> Path:
        return self.folder / "master.toml"

    def start_master(self) -> subprocess.Popen[bytes]:
        """Starts the master and waits until it serves."""
        if self.master is not None:
            self.master.wait(WAIT_S)
        arguments = ["master", "--config", str(self.master_config), "--data", str(self.master_data)]
        process = self.master = self.processes.start(MASTER, [*program("meshd"), *arguments])
        self._wait_ready(MASTER, self.master_data, process)
        return process

    def add_node(self, name: str, join: bool = True, more: str = "") -> Node:
        """A new machine: configured, and enrolled if `join`."""
        address = free_addresses(1)[0]
        node = Node(name, self.folder / name, self.folder / f"{name}.toml", address)
        seeds = ", ".join(f'"{n.name}@{n.address}"' for n in self.nodes.values())
        node.config.write_text(
            f'[node]\ncores = 2\nmemory = "2GiB"\n[peer]\nlisten = "{address}"\nseeds = [{seeds}]\n'
            f'[master]\naddresses = ["{MASTER}@{self.master_address}"]\n'
            '[wan]\nretry_max = "1s"\n[discovery]\nmdns = false\n'
            '[inference]\nlisten = "127.0.0.1:0"\npeer_listen = "127.0.0.1:0"\n' + more
        )
        if join:
            done = self.join(node, self.token())
            assert done.code == 0, done
        self.nodes[name] = node
        return node

    def token(self, site: str = SITE) -> str:
        """A new join token."""
        return self.client(MASTER).create_token(site, 600).token

    def join(self, node: Node, token: str) -> Done:
        """`meshd node join`."""
        arguments = ["--master", self.enrolment_address, "--token", token, "--id", node.name]
        return self.run("meshd", "node", "join", *arguments, "--data", str(node.data),
                        "--config", str(node.config))  # fmt: skip

    def start(self, name: str, wait: bool = True) -> subprocess.Popen[bytes]:
        """Starts a node's agent; with `wait`, until it serves."""
        node = self.nodes[name]
        self.hang_up(name)
        if node.process is not None:
            node.process.wait(WAIT_S)
        (node.data / "run" / "ready.json").unlink(missing_ok=True)
        arguments = ["node", "--config", str(node.config), "--data", str(node.data)]
        node.process = self.processes.start(name, [*program("meshd"), *arguments])
        if wait:
            self.wait_ready(name)
        return node.process

    def wait_ready(self, name: str) -> None:
        """Until a node's agent serves."""
        node = self.nodes[name]
        assert node.process is not None
        self._wait_ready(name, node.data, node.process)

    def kill_node(self, name: str) -> None:
        """SIGKILL to the agent, the runtime and all its workers at once."""
        self.hang_up(name)
        kill(self.nodes[name].data)

    def census(self, name: str) -> set[Incarnation]:
        """The node's processes."""
        return census(self.nodes[name].data)

    def pids(self, name: str, what: str) -> set[int]:
        """The process ids of the node's `agent`, `runtime` or `worker`s."""
        return {one.pid for one in self.census(name) if one.what == what}

    def log(self, name: str) -> str:
        """What a daemon wrote."""
        return self.processes.log(name).read_text()

    def _wait_ready(self, name: str, data: Path, process: subprocess.Popen[bytes]) -> None:
        def ready() -> bool:
            assert process.poll() is None, self.processes.tail(name)
            return (data / "run" / "ready.json").exists()

        wait_for(f"{name} serves", ready)

    # ---- asking ----

    def client(self, daemon: str) -> Client:
        """A connection to a daemon, as the operator."""
        if daemon not in self.clients:
            keys = OperatorKeys.load(self.folder / "mesh" / "operator")
            self.clients[daemon] = Client(self._target(daemon), keys.tls)
        return self.clients[daemon]

    def get(self, daemon: str, kind: str, name: str = "") -> list[dict[str, Any]]:
        """What a daemon answers; raises Failure."""
        try:
            return self.client(daemon).get(kind, name)
        except Failure:
            self.hang_up(daemon)
            raise

    def try_get(self, daemon: str, kind: str, name: str = "") -> list[dict[str, Any]]:
        """What a daemon answers; nothing if it does not."""
        with suppress(Failure):
            return self.get(daemon, kind, name)
        return []

    def hang_up(self, daemon: str) -> None:
        """Forgets the connection."""
        client = self.clients.pop(daemon, None)
        if client is not None:
            client.__exit__()

    def serving(self, daemon: str) -> dict[str, list[dict[str, Any]]]:
        """The replicas that serve, by node, as the daemon knows them."""
        found: dict[str, list[dict[str, Any]]] = {}
        for one in self.try_get(daemon, "workloads", SERVICE):
            if one["phase"] == "serving":
                found.setdefault(one["node"], []).append(one)
        return found

    def wait_serving(self, daemon: str, replicas: int, without: str = "") -> None:
        """Until so many replicas serve, none of them on the node `without`."""
        wait_for(
            f"{replicas} replicas serve, as {daemon} sees it",
            lambda: (
                sum(map(len, self.serving(daemon).values())) == replicas
                and without not in self.serving(daemon)
            ),
            lambda: self.try_get(daemon, "workloads"),
        )

    def inference_address(self, name: str) -> str:
        """Where the node's runtime takes requests in the clear."""
        ready = json.loads((self.nodes[name].data / "run" / "ready.json").read_text())
        return str(ready["inference_address"])

    def infer(self, name: str, timeout_s: float = 5.0) -> list[float]:
        """Asks the node for 1 + 1, four times at once. Raises grpc.RpcError."""
        return infer_at(self.inference_address(name), timeout_s)

    def wait_answer(self, name: str) -> None:
        """Until the node gives the right answer; fails if it does not."""

        def right() -> bool:
            with suppress(grpc.RpcError, FileNotFoundError):
                return self.infer(name) == [2.0] * 4
            return False

        wait_for(f"{name} answers", right)

    def _target(self, daemon: str) -> Target:
        if daemon == MASTER:
            return Target(Identity(MESH, "master", MASTER), self.master_address)
        return Target(Identity(MESH, "node", daemon, SITE), self.nodes[daemon].address)

    def close(self) -> None:
        """Ends everything that was started."""
        for daemon in list(self.clients):
            self.hang_up(daemon)
        self.processes.stop_all()


def infer_at(address: str, timeout_s: float) -> list[float]:
    """Asks at an inference port. Raises grpc.RpcError."""
    request = ModelInferRequest(model_name=SERVICE)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    request.raw_input_contents.append(np.ones((1, 4), np.float32).tobytes())
    with grpc.insecure_channel(address) as channel:
        reply = GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=timeout_s)
    values: list[float] = np.frombuffer(reply.raw_output_contents[0], np.float32).tolist()
    return values


def wait_for(
    what: str,
    holds: Callable[[], object],
    seen: Callable[[], object] = str,
    seconds: float = WAIT_S,
) -> None:
    """Looks until it holds; fails with what was seen."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s; {seen()}"
        time.sleep(0.1)


def make_model(folder: Path) -> Path:
    """A folder with a tiny model, y = x + 1, and its golden request."""
    recipe = models.adder(folder / "building")
    (folder / "golden").mkdir()
    (folder / "tiny.xml").write_bytes(recipe.files["xml"])
    (folder / "tiny.bin").write_bytes(recipe.files["bin"])
    tensors = []
    for name, values in (*recipe.inputs.items(), *recipe.outputs.items()):
        (folder / "golden" / f"{name}.bin").write_bytes(values.tobytes())
        shape = list(values.shape)
        tensors.append({"name": name, "datatype": "FP32", "shape": shape, "file": f"{name}.bin"})
    case = {
        "inputs": tensors[:1],
        "outputs": tensors[1:],
        "tolerance": {"absolute": 1e-4, "relative": 1e-3},
    }
    (folder / "golden" / "golden.json").write_text(json.dumps([case]))
    return folder


def alive(pid: int) -> bool:
    """Whether a process runs."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

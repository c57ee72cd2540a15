"""The demo's hands: it runs `meshctl`, asks daemons over gRPC, and starts and hurts processes."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mesh.heads.identity import Identity
from node.admin import contexts
from node.admin.client import Client
from node.admin.contexts import Address
from node.admin.demo.layout import MASTER, MESH, SITES, Layout, NodePlan, master_toml, node_toml
from node.admin.demo.processes import Processes, program
from node.admin.demo.waiting import StepFailed, wait_for
from node.admin.dialling import Target
from node.admin.documents import Document
from node.admin.failures import Failure
from node.disk.authority_keys import OperatorKeys

COMMAND_TIMEOUT_S = 60.0
"""Of one `meshctl` command; pushing 33 MB on a busy machine takes a few seconds."""

READY_TIMEOUT_S = 30.0
"""From a daemon's start until it says that it serves; 2 s on an idle machine."""


class Talker:
    """A helper process that answers each command line with one line of JSON."""

    def __init__(self, processes: Processes, name: str, command: Sequence[str]) -> None:
        self._processes, self._name = processes, name
        self.process = processes.start(name, command, pipes=True)
        self._lock = threading.Lock()
        self.first = self.read()

    def ask(self, line: str) -> dict[str, Any]:
        """Sends a line and gives the answer. Raises StepFailed if the process has ended."""
        with self._lock:
            assert self.process.stdin is not None
            try:
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
            except OSError:
                self._processes.check_running(self._name)
                raise
            return self.read()

    def signalled(self, number: int) -> dict[str, Any]:
        """Sends a signal and gives the line that the process answers with."""
        with self._lock:
            self.process.send_signal(number)
            return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise StepFailed(f"{self._name} ended:\n{self._processes.tail(self._name)}")
        document: dict[str, Any] = json.loads(line)
        return document


@dataclass
class Lab:
    """One demo's mesh, as its operator holds it."""

    layout: Layout
    processes: Processes
    relays: dict[str, Talker] = field(default_factory=dict)
    loads: dict[str, Talker] = field(default_factory=dict)
    _clients: dict[str, Client] = field(default_factory=dict)
    _keys: OperatorKeys | None = None

    # ---- meshctl ----

    def meshctl(self, *arguments: str, stdin: bytes = b"") -> str:
        """Runs `meshctl` as a user would; its stdout. Raises StepFailed if it fails."""
        code, out, err = self.try_meshctl(*arguments, stdin=stdin)
        if code != 0:
            raise StepFailed(f"meshctl {' '.join(arguments)} ended with {code}:\n{err}{out}")
        return out

    def try_meshctl(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        command = [*program("meshctl"), *arguments]
        return self.processes.run(command, COMMAND_TIMEOUT_S, stdin)

    def at(self, node: NodePlan) -> list[str]:
        """The options that make `meshctl` ask that node."""
        return ["--address", node.peer, "--identity", node.name]

    # ---- gRPC ----

    def ask(self, daemon: str, kind: str, name: str = "", limit: int = 0) -> list[Document] | None:
        """What a daemon answers; None if it does not."""
        try:
            if daemon not in self._clients:
                self._clients[daemon] = Client(self._target(daemon), self.keys.tls)
            return self._clients[daemon].get(kind, name, limit=limit)
        except Failure:
            self.hang_up(daemon)
            return None

    def status(self, name: str) -> Document | None:
        found = self.ask(name, "status")
        return found[0] if found else None

    def hang_up(self, name: str) -> None:
        """Forgets the connection to a daemon: it is gone, or another now."""
        client = self._clients.pop(name, None)
        if client is not None:
            client.__exit__()

    @property
    def keys(self) -> OperatorKeys:
        if self._keys is None:
            self._keys = OperatorKeys.load(self.layout.mesh_folder / "operator")
        return self._keys

    def _target(self, name: str) -> Target:
        if name == MASTER:
            return Target(Identity(MESH, "master", MASTER), self.layout.master_peer)
        node = self.layout.nodes[name]
        return Target(Identity(MESH, "node", name, node.site), node.peer)

    # ---- processes ----

    def start_master(self) -> None:
        self.layout.master_config.write_text(master_toml(self.layout))
        data = self.layout.master_data
        self._start_daemon(MASTER, "master", self.layout.master_config, data)
        self.wait_ready(MASTER, data)

    def start_relays(self) -> None:
        """One relay for each site, for the master's two ports."""
        for site in SITES:
            command = [sys.executable, "-m", "node.admin.relay"]
            for target in (self.layout.master_peer, self.layout.master_enrolment):
                command += ["--listen", f"127.0.0.1:0={target}"]
            relay = Talker(self.processes, f"relay-{site}", command)
            ports = [port["listen"] for port in relay.first["ports"]]
            self.relays[site] = relay
            self.layout.relays[site] = {"peer": ports[0], "enrolment": ports[1]}

    def write_node(self, node: NodePlan, seeds: bool) -> None:
        node.config.write_text(node_toml(self.layout, node, seeds))

    def join(self, node: NodePlan, token: str) -> tuple[int, str, str]:
        """`meshd node join` on that machine."""
        arguments = ["node", "join", "--master", self.layout.relays[node.site]["enrolment"]]
        arguments += ["--token", token, "--data", str(node.data), "--id", node.name]
        arguments += ["--config", str(node.config)]
        return self.processes.run([*program("meshd"), *arguments], COMMAND_TIMEOUT_S)

    def start_node(self, node: NodePlan) -> float:
        """Starts a node's agent; the monotonic time just before."""
        at = time.monotonic()
        self.hang_up(node.name)
        (node.data / "run" / "ready.json").unlink(missing_ok=True)
        self._start_daemon(node.name, "node", node.config, node.data)
        return at

    def wait_ready(self, name: str, data: Path) -> Document:
        """Waits until a daemon says that it serves."""
        path = data / "run" / "ready.json"

        def look() -> tuple[Document | None, object]:
            self.processes.check_running(name)
            with suppress(FileNotFoundError, ValueError):
                document: Document = json.loads(path.read_text())
                return document, ""
            return None, f"no {path}; log:\n{self.processes.tail(name)}"

        return wait_for(f"{name} serves", look, READY_TIMEOUT_S, 0.05)

    def _start_daemon(self, name: str, role: str, config: Path, data: Path) -> None:
        command = [*program("meshd"), role, "--config", str(config), "--data", str(data)]
        self.processes.start(name, command)

    def know_nodes(self) -> None:
        """Adds the nodes' addresses to the context, so that they answer when the master cannot."""
        known = contexts.load(self.layout.config)
        addresses = tuple(
            Address(node.name, "node", node.site, node.peer) for node in self.layout.nodes.values()
        )
        contexts.save(
            self.layout.config, known.with_context(contexts.added(known.pick(MESH), addresses))
        )

    def close(self) -> None:
        """Ends everything that was started."""
        for name in list(self._clients):
            self.hang_up(name)
        self.processes.stop_all()


Thing = TypeVar("Thing")


def in_parallel(work: Callable[[Thing], object], things: Iterable[Thing]) -> None:
    """Does the work for all things at once and waits for all; raises the first failure."""
    failures: list[BaseException] = []

    def guarded(thing: Thing) -> None:
        try:
            work(thing)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(thing,)) for thing in things]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]

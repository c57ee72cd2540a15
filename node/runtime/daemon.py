"""The runtime daemon: puts its parts together, serves until it is told to stop.

Ends on Stop and on SIGTERM (a unit's stop): it refuses new requests, drains its workers and ends
them. The end of the agent means nothing to it. If it is killed, the kernel kills its children, and
shared memory without a name goes with them.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import time
from pathlib import Path
from typing import IO

import grpc.aio

from node.runtime.catalogue import Catalogue
from node.runtime.config import RuntimeConfig
from node.runtime.control import ControlService
from node.runtime.dispatch import Dispatcher
from node.runtime.events import Hub
from node.runtime.inference import InferenceService
from node.runtime.limits import GRACE_S, LOAD_EVERY_S
from node.runtime.load import Load
from node.runtime.metadata import Describer
from node.runtime.neighbours import Neighbours
from node.runtime.peers import Peers
from node.runtime.servers import (
    CannotListen,
    control_server,
    inference_server,
    listen,
    listen_unix,
    set_healthy,
)
from node.runtime.supervisor import Supervisor
from node.runtime.tls import NoDialler
from protos.documents_pb2 import ServiceLoad
from protos.inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from protos.runtime_pb2 import Route, RuntimeSpec, RuntimeState
from protos.runtime_pb2_grpc import add_RuntimeServicer_to_server

log = logging.getLogger(__name__)

IDLE = Load(0, 0, 0)
"""Of a service that nothing serves here."""
ENDING = (signal.SIGTERM, signal.SIGINT)
"""The signals that end the runtime in good order."""


class Runtime:
    """The parts of the daemon, and what they have in common."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.config = config
        self.inference_address = ""
        self.peer_address = ""
        self.stopped = asyncio.Event()
        self.catalogue = Catalogue()
        tls, address = config.tls, config.peer_inference_address
        self.peers = Peers(config, tls, address) if tls and address else None
        dialler = self.peers.dialler if self.peers else NoDialler()
        self.neighbours = Neighbours(dialler, self._route_refused)
        self.hub = Hub(self.state)
        wanted = self.hub.state_changed
        self.dispatcher = Dispatcher(self.catalogue, self.neighbours, self._coming, wanted)
        self.supervisor = Supervisor(
            lambda workload: self.dispatcher.queues[workload],
            self.hub,
            lambda: self.inference_address,
            config.scratch,
        )
        self._loads: dict[str, Load] = {}

    def state(self) -> RuntimeState:
        """All that runs here, and how it is."""
        state = RuntimeState(
            replicas=[replica.status() for replica in self.supervisor.replicas],
            pipelines=[pipeline.status() for pipeline in self.supervisor.pipelines],
            inference_address=self.inference_address,
            peer_inference_address=self.peer_address,
            pid=os.getpid(),
            keeps_deadlines=True,
        )
        shown = +self.dispatcher.waking.shown
        for workload in sorted(self._loads.keys() | shown.keys()):
            load = self._loads.get(workload, IDLE)
            state.loads.append(
                ServiceLoad(
                    workload=workload,
                    queue_delay_ms=load.queue_delay_ms,
                    in_flight=load.in_flight,
                    requests_per_second=load.requests_per_second,
                    waiting=shown[workload],
                )
            )
        return state

    async def adopt(self, spec: RuntimeSpec) -> None:
        """Takes what a spec says beyond replicas and pipelines."""
        self.catalogue.replace(spec)
        await self.admit(spec)
        await self.neighbours.replace(list(spec.routes))

    async def admit(self, spec: RuntimeSpec) -> None:
        """Lets in and refuses whom a spec says, and trusts whom it says."""
        if self.peers is not None and self.peers.follow(spec):
            await self.neighbours.dial_anew()

    async def tell_loads(self) -> None:
        """Tells the services' loads now and then, when they have changed. Never ends."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(LOAD_EVERY_S)
            now = time.monotonic()
            since, looked = now - looked, now
            loads = {
                workload: queue.load.take(since)
                for workload, queue in self.dispatcher.queues.items()
                if queue.members
            }
            if loads != self._loads:
                self._loads = loads
                self.hub.state_changed()

    def reason_of(self, workload: str) -> str:
        """Why a workload's replica here does not serve; "" if there is nothing to say."""
        reasons = (r.reason for r in self.supervisor.replicas if r.spec.workload == workload)
        return next((reason for reason in reasons if reason), "")

    def _route_refused(self, route: Route, reason: str) -> None:
        log.error("the route to %s for %s is refused: %s", route.node, route.workload, reason)
        self.hub.record("route.refused", route.workload, reason, node=route.node)

    def _coming(self, workload: str) -> bool:
        return self.supervisor.coming(workload)


async def run(config: RuntimeConfig) -> None:
    """Serves until Stop or SIGTERM.

    Raises CannotListen if an address is taken or another runtime uses this data folder; nothing
    was started then.
    """
    with _lock(config.socket_path):
        # What workers of a runtime that was killed have left behind.
        shutil.rmtree(config.scratch, ignore_errors=True)
        config.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime = Runtime(config)
        servers = await _start_servers(runtime)
        loads = asyncio.create_task(runtime.tell_loads())
        log.info("%s serves inference on %s", config.node, runtime.inference_address)
        try:
            await _until_told_to_end(runtime)
        finally:
            loads.cancel()
            # Requests at hand are answered first: workers are drained, then the servers close.
            await runtime.supervisor.stop()
            runtime.hub.close()
            await asyncio.gather(*(server.stop(GRACE_S) for server in servers))
            await runtime.neighbours.close()
            config.socket_path.unlink(missing_ok=True)


async def _until_told_to_end(runtime: Runtime) -> None:
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, runtime.stopped.set)
    try:
        await runtime.stopped.wait()
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


async def _start_servers(runtime: Runtime) -> list[grpc.aio.Server]:
    config = runtime.config
    describer = Describer(runtime.dispatcher, runtime.reason_of)
    service = InferenceService(runtime.dispatcher, describer)
    clear, healthy = inference_server()
    add_GRPCInferenceServiceServicer_to_server(service, clear)
    runtime.inference_address = listen(clear, "inference.listen", config.inference_address, None)
    await set_healthy(healthy, True)
    servers = [clear]
    if runtime.peers is not None:
        peer, healthy = inference_server([runtime.peers.guard])
        add_GRPCInferenceServiceServicer_to_server(service, peer)
        runtime.peer_address = listen(
            peer, "inference.peer_listen", runtime.peers.address, runtime.peers.credentials()
        )
        await set_healthy(healthy, True)
        servers.append(peer)
    servers.append(_control(runtime))
    for server in servers:
        await server.start()
    return servers


def _control(runtime: Runtime) -> grpc.aio.Server:
    server = control_server()
    service = ControlService(
        runtime.supervisor, runtime.hub, runtime.adopt, runtime.admit, runtime.stopped.set
    )
    add_RuntimeServicer_to_server(service, server)
    listen_unix(server, runtime.config.socket_path)
    return server


def _lock(socket_path: Path) -> IO[bytes]:
    """One runtime for one socket; a socket that a killed one left behind is removed.

    Raises CannotListen if another runtime holds it.
    """
    socket_path.parent.mkdir(parents=True, exist_ok=True)
    held = open(socket_path.with_suffix(".lock"), "wb")  # noqa: SIM115
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise CannotListen(
            f"another runtime already serves {socket_path}: stop it, or use another data folder"
        ) from None
    socket_path.unlink(missing_ok=True)
    return held

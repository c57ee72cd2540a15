"""The agent's end of the runtime's socket: start or adopt it, tell it what should run, listen.

The runtime is a process of its own that outlives the agent; an agent that starts finds it at its
socket and adopts what runs. Only where there is none, it starts one, detached. One that is frozen
counts as none within three seconds, and is killed after ten.
"""

import asyncio
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import structlog

from mesh.core.messages import ArtifactDamaged, Run, RuntimeReported, Trouble
from mesh.core.runtime_view import key_of
from mesh.site.local import ReplicaKey, pipeline_config
from node.agent.config import Source
from node.agent.deadlines import OLD_RUNTIME, Deadlines, may_be_told
from node.agent.runtime_pulse import PATIENCE, Patience, Pulse, kill_listener
from node.disk.blobs import BlobStore, UnknownArtifact
from node.disk.errors import DiskError
from protos.documents_pb2 import Phase, PipelinePlan, ServicePlan
from protos.runtime_pb2 import (
    JournalItem,
    PipelineSpec,
    ReplicaSpec,
    RestartWorkloadRequest,
    RuntimeSpec,
    RuntimeState,
    StopRequest,
    WatchRuntimeRequest,
)
from protos.runtime_pb2_grpc import RuntimeStub

CALL_S = 5.0
CONNECT_S = 5.0
RETRY_S = 0.2
START_AGAIN_S = 3.0
"""Between two attempts to start a runtime that does not come up."""

STOP_S = 30.0
"""For requests at hand to be answered and workers to end."""
LOG_BYTES_MAX = 8 * 1024 * 1024
"""Of the runtime's log, which is started anew with the runtime; the one before it is kept."""
LOG_TAIL_BYTES = 4096
OTHERS_DO_IT = "; until it answers, other nodes do its work as far as they have room"

log = structlog.get_logger(__name__)


class StopFailed(Exception):
    """The runtime did not end. The text says why."""


class RuntimeClient:
    """Keeps the runtime told. `journal` takes what pipelines and the supervisor journal;
    `welcome` gives whom the runtime is to let in and to refuse now.

    A runtime that does not come up is an alarm with its last words, and is started again for ever.
    """

    def __init__(
        self,
        socket: Path,
        command: list[str],
        log_file: Path,
        blobs: BlobStore,
        sources: dict[str, Source],
        feed: Callable[[Any], None],
        journal: Callable[[JournalItem], None],
        welcome: Callable[[], RuntimeSpec],
        patience: Patience = PATIENCE,
    ) -> None:
        self._socket = socket
        self._command = command
        self._log_file = log_file
        self._blobs = blobs
        self._sources = sources
        self._feed = feed
        self._journal = journal
        self._welcome = welcome
        self._patience = patience
        self._state: RuntimeState | None = None
        self._pulse = Pulse(patience)
        self._wanted: Run | None = None
        self.deadlines = Deadlines()
        self._is_old = False
        self._told: dict[ReplicaKey, ReplicaSpec] = {}
        self._news = asyncio.Event()
        self._started_s = -START_AGAIN_S
        self._stub: RuntimeStub | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._trouble = ""

    def tell(self, run: Run) -> None:
        """The core wants this to run; it is told as soon as the runtime listens."""
        self._wanted = run
        self._news.set()

    async def restart(self, workload: str) -> int:
        """Restarts the workload's replicas here, one by one; returns how many."""
        if self._stub is None:
            return 0
        request = RestartWorkloadRequest(workload=workload)
        reply = await self._stub.Restart(request, timeout=60.0)
        return int(reply.restarted)

    async def run(self) -> None:
        """Keeps the runtime alive and told. Cancel to end; the runtime goes on."""
        while True:
            async with grpc.aio.insecure_channel(f"unix:{self._socket}") as channel:
                self._stub = RuntimeStub(channel)
                try:
                    await self._serve(self._stub)
                except grpc.aio.AioRpcError as error:
                    log.debug("no runtime", reason=error.details())
                self._stub = None
            self._told, self._state = {}, None
            self._feed(RuntimeReported(None))
            self._start_if_due()
            await asyncio.sleep(RETRY_S)

    async def _serve(self, stub: RuntimeStub) -> None:
        """Until the runtime says no more, or telling it has failed."""
        listening = asyncio.Event()
        self._pulse = Pulse(self._patience)
        listener = asyncio.create_task(self._listen(stub, listening))
        telling = (
            self._tell(stub, listening),
            self._admit(stub, listening),
            self.deadlines.tell(stub, listening),
            self._look(),
        )
        others = [asyncio.create_task(work) for work in telling]
        try:
            await asyncio.wait((listener, *others), return_when=asyncio.FIRST_COMPLETED)
            if listener.done():
                listener.result()
            for task in others:
                if task.done() and (error := task.exception()) is not None:
                    log.error("telling the runtime failed", error=repr(error), exc_info=error)
        finally:
            for task in (listener, *others):
                task.cancel()
            await asyncio.gather(listener, *others, return_exceptions=True)

    async def _listen(self, stub: RuntimeStub, listening: asyncio.Event) -> None:
        request = WatchRuntimeRequest(beat_ms=self._patience.beat_ms)
        watch = stub.Watch(request, timeout=None, wait_for_ready=False)
        async for event in watch:
            kind, was_frozen = event.WhichOneof("kind"), self._pulse.is_frozen
            self._pulse.heard(beat=kind == "beat")
            if not listening.is_set():
                self._news.set()
                listening.set()
            if kind == "state":
                self._state = event.state
            elif kind == "journal":
                self._journal(event.journal)
            if kind == "state" or was_frozen:
                self._say("")
                self._feed(RuntimeReported(self._state))

    async def _look(self) -> None:
        """Looks for silence. Ends when it has killed the runtime."""
        while not self._pulse.is_lost:
            await asyncio.sleep(self._patience.look_s)
            was_frozen = self._pulse.is_frozen
            self._pulse.look()
            if self._pulse.is_frozen and not was_frozen:
                self._say("it does not answer; it is killed if that goes on")
                self._feed(RuntimeReported(None))
        try:
            pid = kill_listener(self._socket)
        except OSError as error:
            log.error("a frozen runtime cannot be killed", error=str(error))
            return
        log.error("a frozen runtime was killed", pid=pid)
        fields = {"pid": str(pid)}
        self._journal(JournalItem(kind="record", event="runtime.killed", fields=fields,
                                  subject="runtime", cause="it did not answer"))  # fmt: skip

    async def _admit(self, stub: RuntimeStub, listening: asyncio.Event) -> None:
        """Says who is welcome whenever that is another, whether or not it is known what should
        run."""
        await listening.wait()
        told: RuntimeSpec | None = None
        while True:
            welcome = self._welcome()
            if welcome != told:
                told = welcome if await self._is_told(stub, welcome) else None
            await asyncio.sleep(self._patience.look_s)

    async def _is_told(self, stub: RuntimeStub, welcome: RuntimeSpec) -> bool:
        try:
            await stub.Admit(welcome, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                log.warning("the runtime was not told whom to admit", reason=error.details())
                return False
            self._news.set()  # one of an older release hears of it with what should run
        return True

    async def _tell(self, stub: RuntimeStub, listening: asyncio.Event) -> None:
        await listening.wait()
        while True:
            await self._news.wait()
            self._news.clear()
            if self._wanted is None:
                continue
            spec, damaged = await asyncio.to_thread(self._spec, self._wanted)
            spec.MergeFrom(self._welcome())
            if self._is_old != (not all(map(self._ends_in_time, self._wanted.pipelines))):
                self._is_old = not self._is_old
                self._feed(Trouble("OldRuntime", "runtime", OLD_RUNTIME if self._is_old else ""))
            for event in damaged:
                log.error("an artifact is damaged", reason=event.reason)
                self._feed(event)
            try:
                await stub.Apply(spec, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                log.warning("the runtime did not take it", reason=error.details())
                self._news.set()
                await asyncio.sleep(RETRY_S)

    def _start_if_due(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._say(_last_words(self._log_file, self._process.returncode))
            self._process = None
        now = asyncio.get_running_loop().time()
        if now - self._started_s < START_AGAIN_S or self._process is not None:
            return
        self._started_s = now
        try:
            self._start()
        except OSError as error:
            self._say(f"it cannot be started: {error}; it is tried again")

    def _start(self) -> None:
        with _fresh_log(self._log_file).open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                close_fds=True,
            )

    def _say(self, trouble: str) -> None:
        """Tells of a runtime that does not come up (its last words), or does ("")."""
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.error("the runtime does not serve", reason=trouble)
            said = trouble and trouble + OTHERS_DO_IT
            self._feed(Trouble("Runtime", "runtime", said, "critical"))

    # ---- what to tell ----

    def _spec(self, run: Run) -> tuple[RuntimeSpec, list[ArtifactDamaged]]:
        """What to tell, and what cannot be used. A replica that was told before, or that another
        agent told and that serves, is told as before, so that it goes on with what it has loaded;
        another is left out."""
        replicas: dict[ReplicaKey, ReplicaSpec] = {}
        damaged = []
        for key, plan in run.replicas:
            before = self._told.get(key) or self._adopted(key, plan)
            try:
                replicas[key] = self._replica(key, plan, *self._files(plan))
            except (UnknownArtifact, DiskError) as error:
                untold = key if before is None else None
                damaged.append(ArtifactDamaged(plan.artifact, str(error), untold))
                if before is not None:
                    replicas[key] = before
        self._told = replicas
        spec = RuntimeSpec(
            replicas=replicas.values(),
            pipelines=[self._pipeline(p) for p in run.pipelines if self._may_tell(p)],
            routes=run.routes,
            models=run.models,
        )
        return spec, damaged

    def _adopted(self, key: ReplicaKey, plan: ServicePlan) -> ReplicaSpec | None:
        """The replica, if the runtime serves it already: it compares no files of what it runs."""
        state = self._state or RuntimeState()
        serves = {key_of(s) for s in state.replicas if s.state.phase == Phase.SERVING}
        return self._replica(key, plan, "", ()) if key in serves else None

    def _files(self, plan: ServicePlan) -> tuple[str, list[str]]:
        """The manifest and the files of its artifact. Raises UnknownArtifact, DiskError."""
        files = [str(path) for path in self._blobs.files(plan.artifact)]
        return str(self._blobs.manifest_path(plan.artifact)), files

    def _replica(
        self, key: ReplicaKey, plan: ServicePlan, manifest: str, files: Sequence[str]
    ) -> ReplicaSpec:
        return ReplicaSpec(
            workload=key.workload,
            index=key.index,
            config=key.config,
            model=plan.model,
            model_version=plan.model_version,
            manifest=manifest,
            files=files,
            cores=plan.cores,
            memory_bytes=plan.memory_bytes,
            device=plan.device,
            max_latency_ms=plan.max_latency_ms,
            soak_ms=plan.soak_ms,
        )

    def _may_tell(self, plan: PipelinePlan) -> bool:
        return plan.source in self._sources and self._ends_in_time(plan)

    def _ends_in_time(self, plan: PipelinePlan) -> bool:
        return may_be_told(plan, self._state)

    def _pipeline(self, plan: PipelinePlan) -> PipelineSpec:
        return PipelineSpec(
            workload=plan.name,
            config=pipeline_config(plan),
            source_url=self._sources[plan.source].url,
            service=plan.service,
            every_ms=plan.every_ms,
            journal_on_change=plan.journal_on_change,
            journal_summary_every_ms=plan.journal_summary_every_ms,
            threshold=plan.threshold,
            deadline_ms=self.deadlines.of(plan),
        )


def runtime_command(config: Path | None, data: Path) -> list[str]:
    """How the agent starts a runtime for its data folder."""
    command = [sys.executable, "-m", "node.agent.main", "runtime", "--data", str(data)]
    return [*command, "--config", str(config)] if config is not None else command


def runtime_socket(data: Path) -> Path:
    """Where the runtime of a data folder listens for its agent."""
    return data / "run" / "runtime.sock"


def stop_runtime(socket: Path) -> bool:
    """Ends the runtime at the socket; False if there is none. Raises StopFailed."""
    if not socket.exists():
        return False
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            RuntimeStub(channel).Stop(StopRequest(), timeout=STOP_S)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                return False  # a socket that a killed runtime left behind
            raise StopFailed(f"the runtime did not end: {error.details()}") from None
    deadline = time.monotonic() + STOP_S
    while not _is_free(socket.with_suffix(".lock")):
        if time.monotonic() > deadline:
            raise StopFailed(f"the runtime at {socket} does not end: see its log beside it")
        time.sleep(0.05)
    return True


def _is_free(lock: Path) -> bool:
    """Whether the runtime's lock is free: the system frees it when the process is gone."""
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _fresh_log(path: Path) -> Path:
    """The log to append to; one that has grown too long is put aside."""
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".old"))
    return path


def _last_words(path: Path, code: int) -> str:
    """How the runtime ended: by a signal, or with the last line of its log, where that says any."""
    if code < 0:  # it had no time to say why: the last line may be hours old
        return f"it was killed by signal {-code} ({signal.strsignal(-code)})"
    lines: list[str] = []
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")

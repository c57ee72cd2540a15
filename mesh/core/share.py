"""This node's share of the site's work: what it runs of what the site decided, as it sees it.

The runtime is told nothing for a moment after the start (`SETTLE_MS`), nothing new while somebody
else poses as this node, and nothing that it was told already.
"""

from mesh.core import view
from mesh.core.artifacts import Artifacts
from mesh.core.conflicts import Conflicts
from mesh.core.in_force import InForce
from mesh.core.messages import Run
from mesh.core.placing import Placing, changes
from mesh.core.ran import Ran
from mesh.core.runtime_view import RuntimeView
from mesh.events import Instruction
from mesh.exchange.membership import Membership
from mesh.site.local import LocalWork, ReplicaKey, decide
from mesh.site.placement import Placement
from protos.documents_pb2 import ServicePlan

SETTLE_MS = 1_000
"""After the start, how long to wait for the registers of the roster before the runtime is told
anything: a node that knows only itself would start all that the site runs. Dialling who is
remembered takes a quarter of it; with everybody known it is not waited for at all."""


class Share:
    """What one node runs, keeps ready and still needs. `ran` is the document of that name."""

    def __init__(
        self,
        name: str,
        membership: Membership,
        in_force: InForce,
        runtime: RuntimeView,
        artifacts: Artifacts,
        conflicts: Conflicts,
        ran: bytes,
        now_ms: int,
    ) -> None:
        self._name = name
        self._membership = membership
        self._in_force = in_force
        self._runtime = runtime
        self._artifacts = artifacts
        self._conflicts = conflicts
        self.work = LocalWork((), (), (), frozenset())
        self.ran = Ran(ran)
        self._placing = Placing()
        self._last_words: dict[str, bytes] = {}
        self._settle_ms: int | None = now_ms + SETTLE_MS
        self._told: Run | None = None

    @property
    def placement(self) -> Placement:
        """Where the site's workloads run, as this node sees it."""
        return self._placing.placement

    @property
    def told_services(self) -> dict[ReplicaKey, ServicePlan]:
        """What the runtime was told last, by replica."""
        return dict(self._told.replicas) if self._told else {}

    def died(self, node: str) -> None:
        """A node is dead: what its register says of what serves there is out of date until it has
        said something else."""
        record = self._membership.registers.get(node)
        if record is not None:
            self._last_words[node] = record.digest

    def runtime_gone(self) -> None:
        """The runtime went away: whatever it was told is forgotten."""
        self._told = None

    def has_settled(self, now_ms: int) -> bool:
        """Whether the wait after the start is over just now."""
        if self._settle_ms is None or now_ms < self._settle_ms:
            return False
        self._settle_ms = None
        return True

    # ---- deciding ----

    def decide(self, cause: str) -> list[Instruction]:
        """Places the plan and takes this node's part of it; journals what changed of that."""
        entries = self._place(cause)
        told = self._told
        running = self._runtime.keys() if told is None else [key for key, _ in told.replicas]
        self.work = decide(
            self._name,
            self._in_force.branch.plan,
            self._placing.placement,
            self._placing.nodes,
            running=running,
            serving=self._runtime.serving(),
            held=self._artifacts.complete,
        )
        return entries

    def _place(self, cause: str) -> list[Instruction]:
        before, plan = self.placement, self._in_force.branch.plan
        able = set(self._membership.liveness.live()) - self._conflicts.clones
        records = self._membership.registers.records()
        self._placing.update(plan, records, able, set(self._last_words.values()))
        if self.placement is before:
            return []
        return changes(plan, before, self.placement, self._name, cause)

    def tell_runtime(self, routes: view.Routes, cause: str) -> list[Instruction | Run]:
        """The instruction to the runtime, if there is something new to tell."""
        if self._runtime.gone or self._name in self._conflicts.clones or not self._settled():
            return []
        plan = self._in_force.branch.plan
        run = view.run_instruction(self.work, self.ran, plan, routes, cause)
        if run is None or (self._told is not None and view.same_run(run, self._told)):
            return []
        self._told = run
        return [run, *self.ran.told(run)]

    def _settled(self) -> bool:
        """Whether this node knows enough of its site to tell the runtime what to do."""
        if self._settle_ms is None:
            return True
        registers, roster = self._membership.registers, self._in_force.branch.roster
        return all(registers.get(entry.node) is not None for entry in roster)

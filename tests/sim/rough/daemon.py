"""A daemon on a rough machine: a slow disk, a clock of its own, freezes, and death at any step."""

from collections.abc import Callable, Sequence
from typing import Any

from mesh.core.messages import Run
from mesh.events import Tick
from node.agent.disk_work import DURABLE
from tests.sim.checks.facts import Died, DocumentSaved
from tests.sim.rough.disk_queue import DiskQueue
from tests.sim.rough.world import RoughWorld
from tests.sim.world import Host

WALL_MS = 1_750_000_000_000
"""What the wall clocks say at the beginning of a history."""
TICK_MS = 200
"""The longest that the core's contract allows."""
DISK_MS = (1, 6)


class Daemon(Host):
    """One process. `doomed` is how many steps it still does before it dies, if that is set."""

    world: RoughWorld

    def make_rough(self) -> None:
        """To be called first, by whoever is a daemon and something else."""
        self.life = 0
        self.doomed: int | None = None
        self.death: Callable[[], None] = self.crash
        self.disk_refuses = False
        self.disk_slow_ms = 0
        self.wall_offset_ms = 0
        self._clock_base_ms = 0
        self._queue = DiskQueue(self)
        self._slept: list[Callable[[], None]] = []

    # ---- life ----

    def start(self, core: Any) -> None:
        """Starts with a core that was made from the disk."""
        self.core, self.up = core, True
        self.life += 1
        self._queue = DiskQueue(self)
        self.later(self.world.random.randint(1, TICK_MS), self._tick)

    def _tick(self) -> None:
        self.feed(Tick(wall_ms=self.wall_ms()))
        if self.up:
            self.on_tick()
            self.later(TICK_MS, self._tick)

    def crash(self) -> None:
        """The process dies: what is not on the disk is gone."""
        self.world.note(self.name, "dies")
        self.world.watch(Died(self.world.now_ms, self.name))
        self.up, self.frozen, self.core, self.doomed = False, False, None, None
        self.life += 1
        self._backlog, self._slept = [], []
        for other in sorted(self.world.hosts):
            if other != self.name:
                self.world.break_link(self.name, other)

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Does something in this life of the process, once it is awake."""
        life = self.life

        def act() -> None:
            if self.life != life or not self.up:
                return
            if self.frozen:
                self._slept.append(action)
            else:
                action()

        self.world.after(delay_ms, act)

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP and SIGCONT: links stay, nothing is handled until it goes on."""
        if not self.up or frozen == self.frozen:
            return
        self.world.note(self.name, "freezes" if frozen else "wakes")
        slept, self._slept = self._slept, []
        super().freeze(frozen)
        for action in slept:
            self.later(0, action)

    def clock_ms(self) -> int:
        """The monotonic clock of this machine: it began when the machine did."""
        return self.world.now_ms + self._clock_base_ms

    def wall_ms(self) -> int:
        """The wall clock of this machine, which jumps."""
        return WALL_MS + self.world.now_ms + self.wall_offset_ms

    def new_clock(self) -> None:
        """The machine starts: its clock is at a few seconds."""
        self._clock_base_ms = self.world.random.randint(0, 60_000) - self.world.now_ms

    def disk_ms(self) -> int:
        """How long the next durable step takes."""
        return self.world.random.randint(*DISK_MS) + self.disk_slow_ms

    # ---- instructions ----

    def carry(self, instructions: Sequence[Any]) -> None:
        """At once up to the first durable step, the rest in its turn: as node/agent/edge.py."""
        life = self.life
        for instruction in instructions:
            if isinstance(instruction, Run):
                self.newest(instruction)
        for place, instruction in enumerate(instructions):
            if isinstance(instruction, DURABLE):
                self._queue.add(instructions[place:])
                return
            self.do(instruction)
            if self.life != life:
                return

    def newest(self, run: Run) -> None:
        """Hears of each instruction to the runtime when it is given, before it is its turn."""

    def do(self, instruction: Any) -> None:
        """One step, unless the process dies before it; or right after it."""
        if self.doomed is not None:
            self.doomed -= 1
            if self.doomed < 0:
                before = self.world.random.random() < 0.5
                self.doomed = None
                if not before:
                    self._act(instruction)
                self.death()
                return
        self._act(instruction)

    def _act(self, instruction: Any) -> None:
        kind = type(instruction).__name__
        data = getattr(instruction, "data", b"")
        who = getattr(instruction, "peer", "") or getattr(instruction, "name", "")
        self.world.note(self.name, f"{kind} {who}", data if isinstance(data, bytes) else b"")
        getattr(self, "do_" + kind)(instruction)

    def do_Drop(self, i: Any) -> None:  # noqa: N802
        self.world.break_link(self.name, self.world.machine(self.name, i.peer))

    def do_SaveDocument(self, i: Any) -> None:  # noqa: N802
        self.disk.documents[i.name] = i.data
        self.world.watch(DocumentSaved(self.world.now_ms, self.name, i.name, i.data))

    def do_SaveBatch(self, i: Any) -> None:  # noqa: N802
        self.disk.append(i.batch)

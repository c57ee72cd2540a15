"""Plays a history: builds its site, lets its acts begin and end, and shows all to the checks."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from mesh.hashing import sha256
from tests.sim import faults, rostering
from tests.sim.checks import CHECKS
from tests.sim.checks.check import Broken
from tests.sim.checks.facts import (
    BadStateSigned,
    Fact,
    FaultBegan,
    FaultEnded,
    PipelineStarted,
    PlanSigned,
    Raised,
    RecordsAtEnd,
    Revoked,
    Sample,
)
from tests.sim.checks.room import expected_of, minima
from tests.sim.draw import SERVING, Act, Story, draw
from tests.sim.rough.bad_states import NEWER, bad_state
from tests.sim.rough.master import RoughMaster
from tests.sim.rough.node import RoughNode, Who
from tests.sim.rough.plans import Wanted, branch_of, model_of, plan_of
from tests.sim.rough.sampling import sample_of
from tests.sim.rough.world import RoughWorld

SAMPLE_MS = 1_000
PUBLISHED_MS = 2_000
ALONE_MS = 10_000
"""Without any other fault before one that counts as alone."""
SETTLED_MS = 4_000
"""For so long the site must have been as it should be."""
ATTRIBUTE_OF_FAULTS = ("golden", "crash")


@dataclass(frozen=True)
class Outcome:
    """What came of a history. `digest` is of all that was done, when and by whom."""

    story: Story
    digest: str
    broken: tuple[Broken, ...]
    alone: int

    def __str__(self) -> str:
        lines = [f"seed {self.story.seed}: {len(self.broken)} promises broken"]
        lines += [f"  {broken}" for broken in self.broken]
        return "\n".join(lines)


class Play:
    """One history under way."""

    def __init__(self, story: Story, line: Callable[[str], None] | None = None) -> None:
        self.story = story
        self.checks = [check() for check in CHECKS]
        self.world = RoughWorld(story.seed, self.watch)
        self.world.line = line
        self.nodes: dict[str, RoughNode] = {}
        """All machines, also those that are no nodes any more."""
        self.places: dict[str, str] = {}
        """Machines, and those that took their places."""
        self.acted: Counter[str] = Counter()
        """How often the roster was changed, by the kind of act."""
        for name, cores in story.cores.items():
            self.add(name, cores, ("camera",) if name in story.cameras else ())
        self.master = RoughMaster(
            self.world,
            [node.me for node in self.nodes.values()],
            lambda record: rostering.take_in(self, record),
        )
        self.wanted: Wanted = story.wanted
        self._branch = b""
        self.is_state_bad = False
        self.active: dict[str, Act] = {}
        self.alone = 0
        self.changes = 0
        self._quiet_since_ms: int | None = 0
        self._settled_since_ms: int | None = None

    def run(self) -> Outcome:
        """Plays it to its end."""
        for name in sorted(self.nodes):
            self.world.after(self.world.random.randint(0, 1_000), self.nodes[name].boot)
        self.world.after(PUBLISHED_MS, lambda: self.publish(self.wanted))
        for act in self.story.acts:
            self.world.after(act.at_ms, lambda act=act: self._begin(act))  # type: ignore[misc]
        self.world.after(SAMPLE_MS, self._sample)
        try:
            self.world.run(self.story.ends_ms)
            self._records()
        except Exception as error:  # whatever a core, or the runtime it tells, does not stand
            where = _where(error)
            self.watch(Raised(self.world.now_ms, where, f"{type(error).__name__}: {error}"))
        broken = [b for check in self.checks for b in check.broken]
        in_order = sorted(broken, key=lambda one: one.at_ms)
        return Outcome(self.story, self.world.digest, tuple(in_order), self.alone)

    def add(
        self, name: str, cores: int, sources: tuple[str, ...], who: Who | None = None
    ) -> RoughNode:
        """Another machine, switched off."""
        self.nodes[name] = RoughNode(self.world, name, cores, sources, who)
        return self.nodes[name]

    def publish(self, wanted: Wanted) -> None:
        """The master signs this."""
        self.wanted = wanted
        released = set()
        for service in wanted.services:
            envelope, chunks = model_of(service)
            artifact = sha256(envelope)
            self.master.disk.save_blob(envelope)
            for index, data in enumerate(chunks):
                self.master.disk.chunks[artifact, index] = data
            _, kind = service.runs
            if kind in ATTRIBUTE_OF_FAULTS:
                self.world.faulty[service.version] = kind
            if kind != "unsigned":
                released.add(artifact)
        counter = self.master.counter + 1
        self._branch = branch_of(wanted, self.master.roster, self._branch, counter)
        self.master.sign(self._branch, self.master.roster.revocations().SerializeToString())
        self.is_state_bad = False
        plans = tuple(plan_of(service) for service in wanted.services)
        self.watch(PlanSigned(self.world.now_ms, self.master.counter, plans, frozenset(released)))

    def sign_bad_state(self, how: str) -> None:
        """The master signs, by mistake, what no node may go by."""
        revoking = self.master.roster.revocations(self.nodes[self.members()[0]].me)
        branch, revocations = bad_state(how, self._branch, revoking)
        self.master.sign(branch, revocations, reader=2 if how == NEWER else 1)
        self.is_state_bad = True
        self.watch(BadStateSigned(self.world.now_ms, self.master.counter))

    # ---- acts ----

    def _found(self, act: Act) -> Act:
        """The act with the machines that have the places of those that were drawn, and with a node
        that serves something where it asks for one."""
        if act.who != (SERVING,):
            return replace(act, who=tuple(self._in_place(group) for group in act.who))
        serving = [name for name in self.members() if self.nodes[name].runs]
        return replace(act, who=(self.world.random.choice(serving or self.members()),))

    def _in_place(self, group: str) -> str:
        names = group.split("+")
        while moved := self.places.keys() & set(names):
            names = [self.places[name] if name in moved else name for name in names]
        return "+".join(names)

    def _begin(self, act: Act) -> None:
        now, act = self.world.now_ms, self._found(act)
        quiet = self._quiet_since_ms is not None and now - self._quiet_since_ms >= ALONE_MS
        settled = self._settled_since_ms is not None and now - self._settled_since_ms >= SETTLED_MS
        alone = quiet and settled
        self.alone += alone
        self.world.note("act", f"begins: {act.name}, for {act.lasts_ms} ms, alone: {alone}")
        self.watch(FaultBegan(now, act.kind, ",".join(act.who), alone))
        self.active[act.name] = act
        self._quiet_since_ms = None
        faults.begin(self, act)
        self.world.after(act.lasts_ms, lambda: self._end(act))

    def _end(self, act: Act) -> None:
        self.world.note("act", f"ends: {act.name}")
        del self.active[act.name]
        faults.end(self, act)
        if not self.active:
            self._quiet_since_ms = self.world.now_ms
        alone = not self.active
        self.watch(FaultEnded(self.world.now_ms, act.kind, ",".join(act.who), alone))

    # ---- watching ----

    def members(self) -> list[str]:
        """The machines that are nodes, or were admitted as such."""
        return sorted(self.nodes.keys() - self.world.former)

    def watch(self, fact: Fact) -> None:
        """Shows a fact to all checks; what a machine does that is no node any more is no business
        of theirs, but that it must not act beside one that is."""
        is_always_told = isinstance(fact, Revoked | PipelineStarted)
        if not is_always_told and getattr(fact, "node", "") in self.world.former:
            return
        for check in self.checks:
            check.saw(fact)

    def _sample(self) -> None:
        now = self.world.now_ms
        since = self._quiet_since_ms
        sample = Sample(
            at_ms=now,
            nodes={name: sample_of(self.nodes[name]) for name in self.members()},
            plan=tuple(plan_of(service) for service in self.wanted.services),
            counter=self.master.counter,
            quiet_ms=None if since is None else now - since,
            pipelines=frozenset({"door"} if self.wanted.pipeline else ()),
        )
        if not is_settled(sample):
            self._settled_since_ms = None
        elif self._settled_since_ms is None:
            self._settled_since_ms = now
        self.watch(sample)
        self.world.after(SAMPLE_MS, self._sample)

    def _records(self) -> None:
        """What lies where at the end."""
        for name in self.members():
            for key, batches in sorted(self.nodes[name].disk.logs.items()):
                if key.nonce not in self.nodes[name].nonces or key.kind != "record":
                    continue
                archive = self.master.disk.logs.get(key, [])
                written, archived = (
                    tuple((b.first, b.last, b.digest) for b in one) for one in (batches, archive)
                )
                self.watch(RecordsAtEnd(self.world.now_ms, key, written, archived))


def is_settled(sample: Sample) -> bool:
    """Whether every node knows the newest plan, agrees with all, and runs what it should and
    can."""
    nodes = list(sample.nodes.values())
    if not all(node.awake for node in nodes):
        return False
    applied = {node.applied[1] for node in nodes}
    same = len({node.placement for node in nodes}) == 1
    whole = all(len(node.live) == len(nodes) for node in nodes)
    least = expected_of(minima(sample.plan), sample.nodes)
    serve = all(
        sum(node.serving.get((s.name, s.model_version), 0) for node in nodes) >= least[s.name]
        for s in sample.plan
    )
    return applied == {sample.counter} and same and whole and serve


def _where(error: BaseException) -> str:
    """The innermost place that an exception came from."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "somewhere"
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def play(
    seed: int, nodes: int = 10, minutes: float = 10, line: Callable[[str], None] | None = None
) -> Outcome:
    """Plays the history of a seed."""
    return Play(draw(seed, nodes, minutes), line).run()

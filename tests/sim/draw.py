"""Draws a history from a seed: the site, and what goes wrong in it, when and for how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.sim.rough.bad_states import HOWS
from tests.sim.rough.plans import Service, Wanted

SETTLES_MS = 25_000
"""What a site gets before the first fault."""
QUIET_MS = 120_000
"""At the end nothing is wrong, so that it can be seen whether all converges; in a short history for
three tenths of it."""
CALM_MS = (14_000, 25_000)
"""Around a fault that is to be alone."""
RELEASE_MS = (6_000, 16_000)
"""Between two versions, where they follow each other quickly."""
SPLIT_MS = (14_000, 20_000)
"""Of a split in which the roster changes: longer than a lease, and the patience of who waits."""
STORM_MS = (20_000, 70_000)
SINGLE_MS = (7_500, 16_000)
"""Of a fault that is to be alone: long enough that the site must have healed meanwhile."""
STEERED_MS = (15_000, 35_000)
"""Of what an operator does and takes back: a drain or a rollout is through by then."""
SERVING = "serving"
"""Stands for a node that serves something when it is time."""


@dataclass(frozen=True)
class Act:
    """Something that goes wrong from `at_ms` on for `lasts_ms` (0: it is over at once).

    `who` are the nodes it is about, `how` a number or a word that says how.
    """

    at_ms: int
    kind: str
    lasts_ms: int
    who: tuple[str, ...] = ()
    how: str = ""

    @property
    def name(self) -> str:
        """Unique within a history, for people too."""
        return f"{self.kind} {','.join(self.who)} {self.how} at {self.at_ms}"


@dataclass(frozen=True)
class Story:
    """A whole history, before it is played. `cores` of each node, by name."""

    seed: int
    cores: dict[str, int]
    cameras: tuple[str, ...]
    wanted: Wanted
    acts: tuple[Act, ...]
    ends_ms: int


def draw(seed: int, nodes: int, minutes: float) -> Story:
    """The history of a seed: the same for ever, as long as this module stays as it is."""
    dice = random.Random(f"history {seed}")
    names = [f"south-{i + 1}" for i in range(nodes)]
    cores = {name: dice.choice((2, 4, 4, 8)) for name in names}
    cameras = tuple(sorted(dice.sample(names, min(3, nodes))))
    services = tuple(
        _service(f"service-{i + 1}", nodes, dice) for i in range(dice.choice((2, 2, 3)))
    )
    ends_ms = int(minutes * 60_000)
    acts = _acts(names, services, ends_ms - min(QUIET_MS, ends_ms * 3 // 10), dice)
    wanted = Wanted(services, exclusive=seed % 2 == 1)
    return Story(seed, cores, cameras, wanted, acts, ends_ms)


def draw_releases(seed: int, nodes: int, minutes: float) -> Story:
    """Another history of a seed: versions follow each other quickly while all disks are short of
    room, so that nodes let go of artifacts all the time, whatever else goes wrong."""
    story = draw(seed, nodes, minutes)
    dice = random.Random(f"releases {seed}")
    names, services = list(story.cores), story.wanted.services
    last_ms = story.ends_ms - min(QUIET_MS, story.ends_ms * 3 // 10)
    acts = [Act(SETTLES_MS, "disk short", last_ms - SETTLES_MS, tuple(names))]
    at_ms = SETTLES_MS
    while at_ms < last_ms - RELEASE_MS[1]:
        who = (dice.choice(services).name,)
        acts.append(Act(at_ms, "plan", 0, who, dice.choice(RELEASES)))
        if dice.random() < 0.5:
            act = _any(at_ms + dice.randint(*RELEASE_MS) // 2, names, services, dice)
            acts.append(replace(act, lasts_ms=min(act.lasts_ms, last_ms - act.at_ms)))
        at_ms += dice.randint(*RELEASE_MS)
    return replace(story, acts=tuple(acts))


def draw_rosters(seed: int, nodes: int, minutes: float) -> Story:
    """Another history of a seed: the roster changes while the site is split in halves, one of which
    hears of nothing, again and again, and a pipeline must never run twice."""
    story = draw(seed, nodes, minutes)
    dice = random.Random(f"rosters {seed}")
    names, services = list(story.cores), story.wanted.services
    last_ms = story.ends_ms - min(QUIET_MS, story.ends_ms * 3 // 10)
    acts, at_ms = [], SETTLES_MS
    while at_ms < last_ms - SPLIT_MS[1]:
        lasts_ms = dice.randint(*SPLIT_MS)
        shuffled = dice.sample(names, nodes)
        halves = shuffled[: nodes // 2], shuffled[nodes // 2 :]
        groups = tuple("+".join(sorted(half)) for half in halves)
        acts.append(Act(at_ms, "partition", lasts_ms, groups, "broken alone"))
        change = _make(dice.choice(ROSTERS), at_ms + 2_000, list(halves[1]), services, dice)
        acts.append(replace(change, lasts_ms=dice.randint(1, lasts_ms)))
        if dice.random() < 0.5:
            other = dice.choice(("agent", "power", "freeze", "bad state", "revoke"))
            acts.append(_make(other, at_ms + lasts_ms // 2, names, services, dice))
        at_ms += lasts_ms + dice.randint(*CALM_MS) // 2
    wanted = replace(story.wanted, exclusive=True)
    return replace(story, acts=tuple(acts), wanted=wanted)


def _service(name: str, nodes: int, dice: random.Random) -> Service:
    least = dice.randint(1, min(3, nodes))
    return Service(
        name=name,
        least=least,
        most=least + dice.choice((0, 0, 1, 2)),
        spares=dice.choice((1, 2)),
        soak_ms=dice.choice((0, 1_000, 3_000)),
    )


def _acts(
    names: list[str], services: tuple[Service, ...], last_ms: int, dice: random.Random
) -> tuple[Act, ...]:
    acts: list[Act] = []
    at_ms = SETTLES_MS
    while at_ms < last_ms:
        if dice.random() < 0.5:
            act = _single(at_ms + dice.randint(*CALM_MS), names, services, dice)
            acts.append(act)
            at_ms = act.at_ms + act.lasts_ms + dice.randint(*CALM_MS)
        else:
            over_ms = at_ms + dice.randint(*STORM_MS)
            while at_ms < over_ms:
                at_ms += int(dice.expovariate(1 / 4_000)) + 50
                acts.append(_any(at_ms, names, services, dice))
    clipped = [
        Act(a.at_ms, a.kind, min(a.lasts_ms, last_ms - a.at_ms), a.who, a.how)
        for a in acts
        if a.at_ms < last_ms - 1_000
    ]
    if any(act.kind == "clock" for act in clipped):
        # Whose clock is wrong goes by a change for longer, and nothing puts clocks right.
        clipped = [replace(a, kind="local") if a.kind == "expiring" else a for a in clipped]
    return tuple(clipped)


SINGLES = (
    "power",
    "agent",
    "doomed agent",
    "doomed machine",
    "freeze",
    "runtime freeze",
    "runtime death",
    "isolate",
    "cut",
    "wan",
)
"""After each of these alone a site is to be whole again within seconds."""
STEERED = ("pause", "pin", "cordon", "drain", "local", "expiring", "bad state")
"""What operators do, and take back after a while; what expires, nobody takes back."""
ROSTERS = ("enrol", "replace", "admit")

WEIGHTS = {
    "power": 4,
    "agent": 4,
    "doomed agent": 4,
    "doomed machine": 2,
    "freeze": 5,
    "runtime freeze": 2,
    "runtime death": 3,
    "worker": 4,
    "isolate": 3,
    "cut": 5,
    "partition": 4,
    "wan": 4,
    "delay": 3,
    "flaky": 3,
    "duplicates": 2,
    "disk full": 3,
    "disk slow": 2,
    "disk short": 3,
    "clock": 2,
    "master": 3,
    "master freeze": 2,
    "load": 3,
    "plan": 6,
    "forgery": 2,
    "pause": 3,
    "pin": 3,
    "cordon": 2,
    "drain": 3,
    "local": 4,
    "expiring": 2,
    "revoke": 1,
    "bad state": 2,
    "enrol": 1,
    "replace": 2,
    "admit": 2,
    "liar": 3,
}


def _single(at_ms: int, names: list[str], services: "Services", dice: random.Random) -> Act:
    kind = dice.choice(dice.choices((SINGLES, STEERED, ("plan",), ROSTERS), (3, 3, 3, 1))[0])
    act = _make(kind, at_ms, names, services, dice)
    lasts_ms = dice.randint(*STEERED_MS if kind in STEERED else SINGLE_MS) if act.lasts_ms else 0
    is_of_node = kind not in ("plan", "pause", "pin", "local", "expiring", "bad state", "enrol")
    hit = is_of_node and len(act.who) == 1
    return replace(act, lasts_ms=lasts_ms, who=(SERVING,) if hit else act.who)


def _any(at_ms: int, names: list[str], services: tuple[Service, ...], dice: random.Random) -> Act:
    kind = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return _make(kind, at_ms, names, services, dice)


def _make(
    kind: str, at_ms: int, names: list[str], services: tuple[Service, ...], dice: random.Random
) -> Act:
    lasts_ms = int(dice.choice((800, 3_000, 8_000, 20_000)) * dice.uniform(0.5, 1.5))
    one = (dice.choice(names),)
    who, how = HOW.get(kind, lambda *_: (one, ""))(names, services, dice)
    at_once = kind in ("plan", "clock", "forgery", "revoke", "enrol")
    return Act(at_ms, kind, 0 if at_once else lasts_ms, who, how)


Services = tuple[Service, ...]
Drawn = tuple[tuple[str, ...], str]
How = Callable[[list[str], Services, random.Random], Drawn]
RELEASES = ["good", "good", "good", "golden", "crash", "more", "fewer"]
CHANGES = [
    *("more", "fewer", "restart", "good", "good", "golden", "crash", "unsigned", "pipeline", "undo")
]
HELD = ["restart", "good", "good", "golden", "crash", "undo"]
LIES = ["cores", "nothing", "counts", "verdicts", "failed"]


def _pair(names: list[str], _: Services, dice: random.Random) -> Drawn:
    who = dice.sample(names, min(2, len(names)))
    return tuple(who), dice.choice(("both", "both silent", "one way", "one way silent"))


def _groups(names: list[str], _: Services, dice: random.Random) -> Drawn:
    shuffled = dice.sample(names, len(names))
    edges = sorted(dice.sample(range(1, len(names)), min(len(names) - 1, dice.choice((1, 1, 2)))))
    groups, before = [], 0
    for edge in [*edges, len(names)]:
        groups.append("+".join(sorted(shuffled[before:edge])))
        before = edge
    return tuple(groups), dice.choice(("broken", "silent", "broken alone", "silent alone"))


def _steps(names: list[str], _: Services, dice: random.Random) -> Drawn:
    return (dice.choice(names),), str(dice.choice((1, 2, 3, 5, 8, 20, 60)))


def _workers(names: list[str], services: Services, dice: random.Random) -> Drawn:
    return (dice.choice(names),), dice.choice(services).name


def _plan(_: list[str], services: Services, dice: random.Random) -> Drawn:
    return (dice.choice(services).name,), dice.choice(CHANGES)


def _pause(_: list[str], services: Services, dice: random.Random) -> Drawn:
    return (dice.choice(services).name,), dice.choice(HELD)


def _pin(_: list[str], services: Services, dice: random.Random) -> Drawn:
    return (dice.choice(services).name,), dice.choice(("present", "before"))


def _local(names: list[str], services: Services, dice: random.Random) -> Drawn:
    field = dice.choice(("scale 1", "scale 2", "scale 3", "scale 4", "pin before", "pin before"))
    return (dice.choice(names),), f"{dice.choice(services).name} {field}"


def _bad_state(_names: list[str], _: Services, dice: random.Random) -> Drawn:
    return (), dice.choice(HOWS)


def _enrol(_names: list[str], _: Services, dice: random.Random) -> Drawn:
    return (), dice.choice(("4", "8", "2 camera", "4 camera"))


def _lost(*hows: str) -> How:
    def drawn(names: list[str], _: Services, dice: random.Random) -> Drawn:
        return (dice.choice(names),), dice.choice(("off", "away", "away silent", "there", *hows))

    return drawn


def _lie(names: list[str], _: Services, dice: random.Random) -> Drawn:
    return (dice.choice(names),), dice.choice(LIES)


def _clock(names: list[str], _: Services, dice: random.Random) -> Drawn:
    return (dice.choice(names),), str(dice.choice((-86_400_000, -3_600_000, 3_600_000, 10**11)))


def _silent(names: list[str], _: Services, dice: random.Random) -> Drawn:
    return (dice.choice(names),), dice.choice(("broken", "silent"))


HOW: dict[str, How] = {
    "cut": _pair,
    "isolate": _silent,
    "wan": _silent,
    "partition": _groups,
    "doomed agent": _steps,
    "doomed machine": _steps,
    "worker": _workers,
    "load": _workers,
    "plan": _plan,
    "pause": _pause,
    "pin": _pin,
    "local": _local,
    "expiring": _local,
    "liar": _lie,
    "bad state": _bad_state,
    "enrol": _enrol,
    "replace": _lost(),
    "admit": _lost("off again"),
    "clock": _clock,
}

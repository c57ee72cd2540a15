"""What each act of a history does to the simulated site, and how it is undone."""

from collections.abc import Callable
from itertools import permutations
from typing import TYPE_CHECKING

from mesh.events import Received
from mesh.exchange.frames import pack
from protos.documents_pb2 import StateBody
from tests.sim import identities, rostering, steering
from tests.sim.draw import Act
from tests.sim.rough.node import RoughNode
from tests.sim.rough.world import both
from tests.sim.world import LATENCY_MS

if TYPE_CHECKING:
    from tests.sim.play import Play

Step = Callable[["Play", Act], None]
BUSY_MS = 100
WORKER_DIES_EVERY_MS = 1_500
LINK_BREAKS_EVERY_MS = 400
SHORT_TOLD_EVERY_MS = 2_000


def begin(play: "Play", act: Act) -> None:
    """Lets it go wrong."""
    BEGIN[act.kind](play, act)


def end(play: "Play", act: Act) -> None:
    """Undoes it, as far as nothing else has by now."""
    if act.kind in END:
        END[act.kind](play, act)


def _node(play: "Play", act: Act) -> RoughNode:
    return play.nodes[act.who[0]]


# ---- machines and processes ----


def _power(play: "Play", act: Act) -> None:
    if _node(play, act).on:
        _node(play, act).power_off()


def _start(play: "Play", act: Act) -> None:
    node = _node(play, act)
    if not node.on:
        node.boot()
    elif not node.up:
        node.start_agent()


def _kill(play: "Play", act: Act) -> None:
    if _node(play, act).up:
        _node(play, act).crash()


def _doom(play: "Play", act: Act) -> None:
    node = _node(play, act)
    node.doomed = int(act.how)
    node.death = node.crash if act.kind == "doomed agent" else node.power_off


def _spare(play: "Play", act: Act) -> None:
    _node(play, act).doomed = None
    _start(play, act)


def _freeze(play: "Play", act: Act) -> None:
    _node(play, act).freeze(True)


def _wake(play: "Play", act: Act) -> None:
    _node(play, act).freeze(False)


def _worker(play: "Play", act: Act) -> None:
    """A crash loop: killed again as soon as it serves."""
    node = _node(play, act)

    def again() -> None:
        if act.name in play.active:
            node.kill_worker(act.how)
            play.world.after(WORKER_DIES_EVERY_MS, again)

    again()


def _clock(play: "Play", act: Act) -> None:
    _node(play, act).wall_offset_ms += int(act.how)


def _disk(full: bool) -> Step:
    def step(play: "Play", act: Act) -> None:
        _node(play, act).disk_refuses = full

    return step


def _short(play: "Play", act: Act) -> None:
    """Somebody else's files leave too little room."""

    def again() -> None:
        if act.name in play.active:
            for name in act.who:
                play.nodes[name].short_of_room(True)
            play.world.after(SHORT_TOLD_EVERY_MS, again)

    again()


def _roomy(play: "Play", act: Act) -> None:
    for name in act.who:
        play.nodes[name].short_of_room(False)


def _slow(delay_ms: int) -> Step:
    def step(play: "Play", act: Act) -> None:
        _node(play, act).disk_slow_ms = delay_ms

    return step


def _runtime(frozen: bool) -> Step:
    def step(play: "Play", act: Act) -> None:
        _node(play, act).freeze_runtime(frozen)

    return step


# ---- the network ----


def _cut(play: "Play", act: Act) -> None:
    ways = list(permutations(act.who, 2))  # none where a site has but one node
    one_way = act.how.startswith("one way")
    play.world.begin_cut(act.name, ways[:1] if one_way else ways, "silent" in act.how)


def _isolate(play: "Play", act: Act) -> None:
    others = [name for name in play.world.hosts if name not in act.who]
    play.world.begin_cut(act.name, both(act.who, others), act.how == "silent")


def _partition(play: "Play", act: Act) -> None:
    groups = [group.split("+") for group in act.who]
    drawn = {name for group in groups for name in group}
    for place, name in enumerate(sorted(play.nodes.keys() - drawn)):  # who came later
        groups[place % len(groups)].append(name)
    pairs = {p for one, other in permutations(groups, 2) for p in both(one, other)}
    if "alone" in act.how:
        pairs |= both(groups[-1], [identities.MASTER])
    play.world.begin_cut(act.name, pairs, "silent" in act.how)


def _wan(play: "Play", act: Act) -> None:
    pairs = both(play.nodes, [identities.MASTER])
    play.world.begin_cut(act.name, pairs, act.how == "silent")


def _mend(play: "Play", act: Act) -> None:
    play.world.end_cut(act.name)


def _flaky(play: "Play", act: Act) -> None:
    """Links break, one after another."""

    def again() -> None:
        links = sorted(play.world.linked, key=sorted)
        if act.name in play.active and links:
            play.world.break_link(*sorted(play.world.random.choice(links)))
        if act.name in play.active:
            play.world.after(LINK_BREAKS_EVERY_MS, again)

    again()


def _latency(low_ms: int, high_ms: int) -> Step:
    def step(play: "Play", act: Act) -> None:
        play.world.latency_ms = (low_ms, high_ms)

    return step


def _duplicates(share: float) -> Step:
    def step(play: "Play", act: Act) -> None:
        play.world.duplicates = share

    return step


# ---- the master, load ----


def _master_off(play: "Play", act: Act) -> None:
    if play.master.up:
        play.master.power_off()


def _master_on(play: "Play", act: Act) -> None:
    if not play.master.up:
        play.master.boot()


def _master_freeze(frozen: bool) -> Step:
    def step(play: "Play", act: Act) -> None:
        play.master.freeze(frozen)

    return step


def _load(delay_ms: int) -> Step:
    def step(play: "Play", act: Act) -> None:
        for node in play.nodes.values():
            node.under_load(delay_ms)

    return step


def _forgery(play: "Play", act: Act) -> None:
    """A neighbour says what a key that nobody trusts has signed."""
    node = _node(play, act)
    if not node.up or node.frozen or not node.core.peer.neighbours():
        return
    body = StateBody(
        mesh=identities.MESH,
        trust_generation=1,
        counter=10**6 + act.at_ms,
        root=bytes(32),
        leaves=3,
        signed_unix_ms=1,
        min_reader=1,
    )
    forged = identities.signer("thief").sign("state", body.SerializeToString())
    peer = node.core.peer.neighbours()[0]
    for frame in pack([("state", forged)]):
        node.feed(Received(peer, frame))


BEGIN: dict[str, Step] = {
    "power": _power,
    "agent": _kill,
    "doomed agent": _doom,
    "doomed machine": _doom,
    "freeze": _freeze,
    "runtime freeze": _runtime(True),
    "runtime death": lambda play, act: _node(play, act).kill_runtime(),
    "worker": _worker,
    "isolate": _isolate,
    "cut": _cut,
    "partition": _partition,
    "wan": _wan,
    "delay": _latency(20, 250),
    "flaky": _flaky,
    "duplicates": _duplicates(0.3),
    "disk full": _disk(True),
    "disk slow": _slow(400),
    "disk short": _short,
    "clock": _clock,
    "master": _master_off,
    "master freeze": _master_freeze(True),
    "load": _load(BUSY_MS),
    "forgery": _forgery,
    **steering.BEGIN,
    **rostering.BEGIN,
}
END: dict[str, Step] = {
    **steering.END,
    **rostering.END,
    "power": _start,
    "agent": _start,
    "doomed agent": _spare,
    "doomed machine": _spare,
    "freeze": _wake,
    "runtime freeze": _runtime(False),
    "isolate": _mend,
    "cut": _mend,
    "partition": _mend,
    "wan": _mend,
    "delay": _latency(*LATENCY_MS),
    "duplicates": _duplicates(0.0),
    "disk full": _disk(False),
    "disk slow": _slow(0),
    "disk short": _roomy,
    "master": _master_on,
    "master freeze": _master_freeze(False),
    "load": _load(0),
}

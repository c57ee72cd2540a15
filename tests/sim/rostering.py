"""What becomes of the site's roster in a history: nodes are enrolled, revoked and replaced, by the
master or, while that is out of reach, by an operator at the site."""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from mesh.core.admissions import REPEATED_MAX
from mesh.heads.certificates import Certified, read_certificate
from mesh.registers.store import Record
from tests.sim import boxes, identities
from tests.sim.checks.facts import Revoked
from tests.sim.draw import Act
from tests.sim.rough.node import RoughNode
from tests.sim.rough.world import both

if TYPE_CHECKING:
    from tests.sim.play import Play

Step = Callable[["Play", Act], None]
JOINS_MS = 1_500
"""From the revocation of a node to when its ID joins with other keys."""
STARTS_MS = 5_000
"""At most, from when a node is enrolled to when it starts."""
RETRY_MS = 500
ENROLLED_MAX, REVOKED_MAX, REPLACED_MAX, ADMITTED_MAX = 1, 1, 2, 2
"""In one history: more would be no site that settles, and cost more to play."""
LEAST = 3
"""Members that are left whatever is taken away."""


# ---- by the master ----


def enrol(play: "Play", act: Act) -> None:
    """Another node joins, and starts a while later."""
    if not play.master.works or not _may(play, act, ENROLLED_MAX):
        return
    cores, *sources = act.how.split()
    beside = _near_the_master(play)
    node = play.add(_new_id(play), int(cores), tuple(sources))
    play.world.stands_beside(node.name, beside)
    play.master.roster.enrol(node.me, play.master.counter + 1)
    play.publish(play.wanted)
    play.world.after(play.world.random.randint(0, STARTS_MS), node.boot)


def revoke(play: "Play", act: Act) -> None:
    """A node's keys are revoked, whatever it does."""
    if play.master.works and _is_node(play, act) and _may(play, act, REVOKED_MAX):
        _revoke(play, act.who[0])


def replace(play: "Play", act: Act) -> None:
    """A node is revoked, and another machine joins under its ID, with other keys."""
    if not play.master.works or not _is_node(play, act) or not _may(play, act, REPLACED_MAX):
        return
    old = play.nodes[act.who[0]]
    _lose(play, act, old)
    _revoke(play, old.name)
    play.world.after(JOINS_MS, lambda: _join(play, old))


def _join(play: "Play", old: RoughNode) -> None:
    """A machine with the ID of one whose keys count no more."""
    if not play.master.works or old.id in play.master.roster.nodes:
        play.world.after(RETRY_MS, lambda: _join(play, old))
        return
    beside, keys = _near_the_master(play), str(len(play.nodes))
    who = identities.renewed(old.me.identity, keys)
    node = play.add(f"{old.id}.{keys}", old.cores, old.sources, who)
    play.world.stands_beside(node.name, beside)
    play.places.setdefault(old.name, node.name)
    play.master.roster.enrol(node.me, play.master.counter + 1)
    play.publish(play.wanted)
    node.boot()


def _revoke(play: "Play", name: str) -> None:
    play.world.former.add(name)
    play.master.roster.take_out(play.nodes[name].id, play.master.counter + 1)
    play.publish(play.wanted)
    play.watch(Revoked(play.world.now_ms, name, play.master.counter))


# ---- at the site ----


def admit(play: "Play", act: Act) -> None:
    """The master is out of reach, a node is lost, and an operator at the site admits a box in its
    place."""
    old = play.nodes[act.who[0]]
    like = next((node for node in _awake(play) if node is not old), None)
    if like is None or not _is_node(play, act) or not _may(play, act, ADMITTED_MAX):
        return
    number = boxes.FIRST + play.acted[act.kind] - 1
    _lose(play, act, old)
    who = boxes.admit(_new_id(play), number, old.me.tls_key)
    box = play.add(who[0].identity.name, old.cores, old.sources, who)
    boxes.begin_like(box.disk, like)
    play.world.stands_beside(box.name, like.name)
    play.places[old.name] = box.name
    play.world.former.add(old.name)
    wan = both(play.nodes, [identities.MASTER])
    play.world.begin_cut(f"wan of {act.name}", wan, "silent" in act.how)
    box.boot()


def take_in(play: "Play", record: Record) -> None:
    """The master hears of a box: it makes it a node, in the place of whom it replaces."""
    roster = play.master.roster
    for der in (record.body.certificate, *record.body.admissions[:REPEATED_MAX]):
        box = read_certificate(der)
        is_known = box.tls_key in roster.tls_keys | roster.revoked
        if box.serial == identities.SERIAL or is_known or not play.master.works:
            continue
        play.world.note("act", f"takes in {box.identity.name}")
        roster.take_in(box, play.master.counter + 1)
        play.publish(play.wanted)
        old = _machine(play, box.replaces)
        play.watch(Revoked(play.world.now_ms, old.name, play.master.counter))


def _machine(play: "Play", tls_key: bytes) -> RoughNode:
    return next(node for node in play.nodes.values() if node.me.tls_key == tls_key)


# ---- what they have in common ----


def come_back(play: "Play", act: Act) -> None:
    """The outage is over, and the machine that was lost is there again, with its old keys; or it
    joins again, with others, once its place is taken for good."""
    play.world.end_cut(f"wan of {act.name}")
    play.world.end_cut(act.name)
    old = play.nodes[act.who[0]]
    if "again" in act.how and old.name in play.world.former:
        play.world.after(JOINS_MS, lambda: _join(play, old))
    elif not old.on:
        old.boot()


def _lose(play: "Play", act: Act, old: RoughNode) -> None:
    """The machine is off, or nobody reaches it, or it is still there."""
    if "off" in act.how and old.on:
        old.power_off()
    elif "away" in act.how:
        others = [name for name in play.world.hosts if name != old.name]
        play.world.begin_cut(act.name, both([old.name], others), "silent" in act.how)


def _may(play: "Play", act: Act, most: int) -> bool:
    """Whether this may happen once more; counts it."""
    play.acted[act.kind] += 1
    return play.acted[act.kind] <= most


def _is_node(play: "Play", act: Act) -> bool:
    """Whether the machine is in the roster, and enough others are."""
    certified: Certified = play.nodes[act.who[0]].me
    return certified.tls_key in play.master.roster.tls_keys and len(play.members()) > LEAST


def _near_the_master(play: "Play") -> str:
    """A node in whose part of the site the master is reached, if there is one."""
    members = play.members()
    near = [name for name in members if (name, identities.MASTER) not in play.world.cut]
    return play.world.random.choice(near or members)


def _awake(play: "Play") -> list[RoughNode]:
    """The members that an operator could ask, and that know of his delegation."""
    nodes = [play.nodes[name] for name in play.members()]
    return [n for n in nodes if n.up and not n.frozen and n.core.in_force.branch.delegations]


def _new_id(play: "Play") -> str:
    taken = {node.id for node in play.nodes.values()}
    return next(name for n in count(len(taken) + 1) if (name := f"south-{n}") not in taken)


BEGIN: dict[str, Step] = {"enrol": enrol, "revoke": revoke, "replace": replace, "admit": admit}
END: dict[str, Step] = {"replace": come_back, "admit": come_back}

"""What operators do in a history, at the master and at the site, and how it is taken back."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mesh.core.cordon import CORDON, document
from mesh.core.messages import ChangeMade, CordonAsked
from tests.sim.checks.facts import ChangeEnded, ChangeSubmitted, Revoked
from tests.sim.draw import Act
from tests.sim.operators import local_change
from tests.sim.rough.node import RoughNode
from tests.sim.rough.plans import Service

if TYPE_CHECKING:
    from tests.sim.play import Play

Step = Callable[["Play", Act], None]
RETRY_MS = 500
OPERATOR_AGAIN_MS = 1_000


def _newer(kind: str) -> Callable[[Service], Service]:
    def step(service: Service) -> Service:
        before = (service.release, service.kind)
        newest = service.newest + 1
        return replace(service, release=newest, newest=newest, kind=kind, before=before)

    return step


def _more(service: Service) -> Service:
    least = min(service.least + 1, 4)
    return replace(service, least=least, most=max(service.most, least))


def _fewer(service: Service) -> Service:
    return replace(service, least=max(1, service.least - 1))


def _undo(service: Service) -> Service:
    release, kind = service.before
    before = (service.release, service.kind)
    return replace(service, release=release, kind=kind, before=before)


CHANGES: dict[str, Callable[[Service], Service]] = {
    "more": _more,
    "fewer": _fewer,
    "restart": lambda service: replace(service, restarts=service.restarts + 1),
    "good": _newer("good"),
    "golden": _newer("golden"),
    "crash": _newer("crash"),
    "unsigned": _newer("unsigned"),
    "undo": _undo,
}


# ---- at the master ----


def plan(play: "Play", act: Act) -> None:
    """Applies a changed plan. Nobody can without a master."""
    if not _master_works(play):
        return
    if act.how == "pipeline":
        play.publish(replace(play.wanted, pipeline=not play.wanted.pipeline))
        return
    service = _service(play, act.who[0])
    play.publish(play.wanted.change(CHANGES[act.how](service)))


def pause(play: "Play", act: Act) -> None:
    """Holds the rollout of a service, and perhaps changes its version in the same breath."""
    if _master_works(play):
        service = CHANGES[act.how](_service(play, act.who[0]))
        play.publish(play.wanted.change(replace(service, paused=True)))


def resume(play: "Play", act: Act) -> None:
    """Lets it go on, as soon as there is a master to say it to."""
    service = _service(play, act.who[0])
    if not service.paused:
        return
    if _master_works(play):
        play.publish(play.wanted.change(replace(service, paused=False)))
    else:
        play.world.after(RETRY_MS, lambda: resume(play, act))


def revoke(play: "Play", act: Act) -> None:
    """A node's key is revoked, once in a history."""
    if not _master_works(play) or play.wanted.revoked:
        return
    name = act.who[0]
    play.publish(replace(play.wanted, revoked=frozenset({name})))
    play.watch(Revoked(play.world.now_ms, name, play.master.counter))


def _master_works(play: "Play") -> bool:
    return play.master.up and not play.master.frozen


def _service(play: "Play", name: str) -> Service:
    return next(service for service in play.wanted.services if service.name == name)


# ---- at the site ----


def hold_back(play: "Play", act: Act) -> None:
    """A node is cordoned or drained, at the node itself."""
    _ask(play.nodes[act.who[0]], CordonAsked(True, act.kind == "drain", "maintenance"))


def let_go(play: "Play", act: Act) -> None:
    """It takes work again; said to its agent once that lives."""
    node, asked = play.nodes[act.who[0]], CordonAsked(False, False, "")

    def again() -> None:
        others = [a for a in play.active.values() if a.kind in ("cordon", "drain")]
        if not any(a.who == act.who for a in others) and not _ask(node, asked):
            play.world.after(OPERATOR_AGAIN_MS, again)

    again()


def _ask(node: RoughNode, asked: CordonAsked) -> bool:
    if not node.up or node.frozen or node.disk_refuses:
        return False
    node.disk.documents[CORDON] = document(asked)
    node.feed(asked)
    return True


def change(play: "Play", act: Act) -> None:
    """An operator at the site scales a service, for as long as the act lasts."""
    workload, value = act.how.split("=")
    _submit(play, act.who[0], workload, value)


def end_change(play: "Play", act: Act) -> None:
    """The operator ends it, at whichever node there is."""
    workload, _ = act.how.split("=")
    others = [a for a in play.active.values() if a.kind == "local" and a.how.split("=")[0]]
    if any(a.how.split("=")[0] == workload for a in others):
        return
    awake = [name for name in (*act.who, *play.members()) if _listens(play.nodes[name])]
    if not awake:
        play.world.after(OPERATOR_AGAIN_MS, lambda: end_change(play, act))
    elif _submit(play, awake[0], workload, ""):
        play.watch(ChangeEnded(play.world.now_ms, workload))


def _submit(play: "Play", name: str, workload: str, value: str) -> bool:
    node = play.nodes[name]
    if not _listens(node) or name in play.wanted.revoked:
        return False
    if not any(s.name == workload for s in node.core.in_force.planned.services):
        return False
    play.changes += 1
    envelope = local_change(node, workload=workload, value=value, counter=play.changes)
    node.feed(ChangeMade(envelope))
    if value:
        play.watch(ChangeSubmitted(play.world.now_ms, name, workload, value))
    return True


def _listens(node: RoughNode) -> bool:
    return node.up and not node.frozen


def lie(play: "Play", act: Act) -> None:
    """A node says of itself what is absurd, in registers that it signs."""
    play.nodes[act.who[0]].lie(act.how)


def stop_lying(play: "Play", act: Act) -> None:
    """It says what is so again."""
    play.nodes[act.who[0]].lie("")


BEGIN: dict[str, Step] = {
    "plan": plan,
    "pause": pause,
    "revoke": revoke,
    "cordon": hold_back,
    "drain": hold_back,
    "local": change,
    "liar": lie,
}
END: dict[str, Step] = {
    "pause": resume,
    "cordon": let_go,
    "drain": let_go,
    "local": end_change,
    "liar": stop_lying,
}

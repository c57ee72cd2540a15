"""What operators do in a history, at the master and at the site, and how it is taken back."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mesh.core.cordon import CORDON, document
from mesh.core.messages import ChangeMade, CordonAsked
from mesh.site.changes import PIN, ChangeRefused
from protos.documents_pb2 import ServicePlan
from tests.sim.checks.facts import ChangeEnded, ChangeSubmitted
from tests.sim.draw import Act
from tests.sim.operators import HOUR_MS, local_change
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
    if not play.master.works:
        return
    if act.how == "pipeline":
        play.publish(replace(play.wanted, pipeline=not play.wanted.pipeline))
        return
    service = _service(play, act.who[0])
    play.publish(play.wanted.change(CHANGES[act.how](service)))


def pause(play: "Play", act: Act) -> None:
    """Holds the rollout of a service, and perhaps changes its version in the same breath."""
    if play.master.works:
        service = CHANGES[act.how](_service(play, act.who[0]))
        play.publish(play.wanted.change(replace(service, paused=True)))


def pin(play: "Play", act: Act) -> None:
    """Keeps the version that a service has, or had before, whatever is applied meanwhile."""
    service = _service(play, act.who[0])
    version = service.before if act.how == "before" else (service.release, service.kind)
    if play.master.works and version[1] != "unsigned":
        play.publish(play.wanted.change(replace(service, pinned=version)))


def let_on(play: "Play", act: Act) -> None:
    """Resumes or unpins it, as soon as there is a master to say it to."""
    service = _service(play, act.who[0])
    is_pin = act.kind == "pin"
    free = replace(service, pinned=None) if is_pin else replace(service, paused=False)
    if free == service:
        return
    if play.master.works:
        play.publish(play.wanted.change(free))
    else:
        play.world.after(RETRY_MS, lambda: let_on(play, act))


def mistake(play: "Play", act: Act) -> None:
    """The master signs what no node may go by."""
    if play.master.works:
        play.sign_bad_state(act.how)


def correct(play: "Play", act: Act) -> None:
    """It signs what it wanted, unless it has done so meanwhile."""
    if not play.is_state_bad:
        return
    if play.master.works:
        play.publish(play.wanted)
    else:
        play.world.after(RETRY_MS, lambda: correct(play, act))


def _service(play: "Play", name: str) -> Service:
    return next(service for service in play.wanted.services if service.name == name)


# ---- at the site ----


def hold_back(play: "Play", act: Act) -> None:
    """A node is cordoned or drained, at the node itself."""
    _ask(play.nodes[act.who[0]], CordonAsked(True, act.kind == "drain", "maintenance", "ann"))


def let_go(play: "Play", act: Act) -> None:
    """It takes work again; said to its agent once that lives."""
    node, asked = play.nodes[act.who[0]], CordonAsked(False, False, "", "ann")

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
    """An operator at the site scales a service, or pins its good version before the present one, or
    the present one: for an hour, or, where it is to expire, for as long as the act lasts."""
    node = play.nodes[act.who[0]]
    workload, field, value = act.how.split()
    service = _planned(play, node, workload)
    if service is None:
        return
    artifact = b""
    if field == PIN:
        good = node.core.share.rollouts.earlier(service) or service
        value, artifact = good.model_version, good.artifact
    lasts_ms = act.lasts_ms if act.kind == "expiring" else HOUR_MS
    until_ms = node.core.unix_ms() + lasts_ms
    envelope = _signed(play, node, workload, field, value, until_ms, artifact)
    try:
        node.core.changes.check(envelope, node.core.unix_ms())
    except ChangeRefused:
        return
    node.feed(ChangeMade(envelope))
    now_ms = play.world.now_ms
    play.watch(ChangeSubmitted(now_ms, node.name, workload, field, value, until_ms, artifact))


def end_change(play: "Play", act: Act) -> None:
    """The operator ends it, at whichever node there is."""
    workload, field, _ = act.how.split()
    others = [a.how.split() for a in play.active.values() if a.kind == "local"]
    if any(other[:2] == [workload, field] for other in others):
        return
    members = play.members()
    here = [name for name in act.who if name in members]
    awake = [name for name in (*here, *members) if _listens(play.nodes[name])]
    if not awake:
        play.world.after(OPERATOR_AGAIN_MS, lambda: end_change(play, act))
        return
    node = play.nodes[awake[0]]
    if _planned(play, node, workload) is not None:
        until_ms = node.core.unix_ms() + HOUR_MS
        until_ms = node.core.changes.until((workload, field), "", until_ms)
        node.feed(ChangeMade(_signed(play, node, workload, field, "", until_ms)))
        play.watch(ChangeEnded(play.world.now_ms, workload, field))


def _planned(play: "Play", node: RoughNode, workload: str) -> ServicePlan | None:
    """The service as the node knows it; None where nobody can say it to the node."""
    if not _listens(node) or node.name in play.world.former:
        return None
    planned = node.core.in_force.planned.services
    return next((service for service in planned if service.name == workload), None)


def _signed(
    play: "Play",
    node: RoughNode,
    workload: str,
    field: str,
    value: str,
    until_ms: int,
    artifact: bytes = b"",
) -> bytes:
    play.changes += 1
    return local_change(
        node,
        workload=workload,
        field=field,
        value=value,
        artifact=artifact,
        until_unix_ms=until_ms,
        counter=play.changes,
    )


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
    "pin": pin,
    "bad state": mistake,
    "cordon": hold_back,
    "drain": hold_back,
    "local": change,
    "expiring": change,
    "liar": lie,
}
END: dict[str, Step] = {
    "pause": let_on,
    "pin": let_on,
    "bad state": correct,
    "cordon": let_go,
    "drain": let_go,
    "local": end_change,
    "liar": stop_lying,
}

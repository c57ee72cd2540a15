"""Holding nodes back: cordon takes no new work, drain moves what runs off first, uncordon ends it.

Said at a master it goes into the state, so it counts for a node that is off as well. Said at the
node itself (--address) it needs no master. Either counts; each ends where it was said.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from node.admin.client import Client
from node.admin.command import command
from node.admin.documents import Document
from node.admin.failures import Failure
from node.admin.output import note, print_one, say
from node.admin.session import Session
from protos.admin_pb2 import CordonReply

LOOK_S = 0.5
"""Between two looks at a drain."""
STUCK_S = 5.0
"""What cannot move is told once nothing else has moved for so long."""
DRAIN_S = 600
"""How long a drain is waited for: fetching a large model and compiling it takes minutes."""
HEARD_S = 3.0
"""How long a node is waited for to say that it takes work again: it takes a second of it."""

NodeName = Annotated[str, typer.Argument(metavar="NODE")]
Reason = Annotated[str, typer.Option(help="Written into the journal.")]


def register(app: typer.Typer) -> None:
    command(app)(cordon)
    command(app)(drain)
    command(app)(uncordon)


def cordon(session: Session, node: NodeName, reason: Reason = "") -> None:
    """Gives a node no new work; what runs there stays."""
    with session.master() as client:
        reply = client.cordon(node, True, False, reason)
    _tell(session, node, "cordoned", reply, f"{node} takes no new work; what runs there stays")


def uncordon(session: Session, node: NodeName, reason: Reason = "") -> None:
    """Lets a node that was cordoned or drained take work again."""
    with session.master() as client:
        reply = client.cordon(node, False, False, reason)
        held, text = _still_held(client, node, reply.counter)
    _tell(session, node, held, reply, text)


def drain(
    session: Session,
    node: NodeName,
    reason: Reason = "",
    wait: Annotated[bool, typer.Option(help="Wait until nothing runs there.")] = True,
    timeout: Annotated[
        int, typer.Option(metavar="SECONDS", help="How long to wait.", min=1)
    ] = DRAIN_S,
) -> None:
    """Moves all work off a node, each replica once another serves, and gives it no new work."""
    with session.master() as client:
        reply = client.cordon(node, True, True, reason)
        if not wait:
            text = f"{node} is drained from now on; `meshctl get nodes` shows when it is done"
            _tell(session, node, "draining", reply, text)
            return
        _wait(client, node, reply.counter, timeout)
    _tell(session, node, "drained", reply, f"{node} is drained: nothing runs there")


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to do. `stays`: the alarms about what cannot move, by workload."""

    done: bool
    workloads: tuple[str, ...]
    stays: dict[str, str]
    behind: int
    """The state that the node has applied, where it has not heard of the drain; else 0."""
    unreached: str
    """The address of a node of which the daemon that is asked hears nothing; else ""."""

    @property
    def is_stuck(self) -> bool:
        return bool(self.workloads) and self.stays.keys() >= set(self.workloads)

    def text(self, node: str) -> str:
        if self.behind and self.unreached:
            itself = f"meshctl drain {node} --address {self.unreached} --identity {node}"
            return f"{node} hears nothing: no master reaches it; it can be asked itself: {itself}"
        if self.behind:
            return f"{node} has not heard of it yet: it goes by state {self.behind}"
        counts = sorted(Counter(self.workloads).items())
        names = [name if count == 1 else f"{name} ({count})" for name, count in counts]
        return f"{node} still runs {', '.join(names) or 'something'}"


def _wait(client: Client, node: str, counter: int, timeout_s: int) -> None:
    """Until nothing runs there. Raises Failure: what cannot move, or what takes too long."""
    until = time.monotonic() + timeout_s
    last, since = None, time.monotonic()
    for left in _looks(client, node, counter):
        if left.done:
            return
        if left != last:
            last, since = left, time.monotonic()
            note(left.text(node))
        if left.is_stuck and time.monotonic() - since >= STUCK_S:
            raise Failure("\n".join([*_stuck(node, left), _GOES_ON]))
        if time.monotonic() >= until:
            raise Failure(f"not within {timeout_s} s: {left.text(node)}\n{_GOES_ON}")


def _still_held(client: Client, node: str, counter: int) -> tuple[str, str]:
    """How a node is held back that was just let go, and what to say: who holds a node back at a
    master (which gives a `counter`), or at itself, may do so at both."""
    until = time.monotonic() + HEARD_S
    while True:
        (document,) = client.get("nodes", node)
        held = str(document.get("cordon", ""))
        if not held:
            return "", f"{node} takes work again"
        if time.monotonic() >= until:
            break
        time.sleep(LOOK_S)
    if document.get("applied", 0) < counter:
        return "", f"{node} takes work again once it hears of it: it was not reached so far"
    here, there = "a master holds it back as well", f"meshctl uncordon {node}, without --address"
    if counter:
        here = "the node holds itself back as well"
        there = f"meshctl uncordon {node} --address {document.get('address')} --identity {node}"
    return held, f"{node} takes no work yet: {here}, and that ends there: {there}"


_GOES_ON = "it stays draining: what is left goes as soon as it can"


def _stuck(node: str, left: Left) -> Iterator[str]:
    for workload, reason in sorted(left.stays.items()):
        yield f"{node} keeps {workload}: {reason}"


def _looks(client: Client, node: str, counter: int) -> Iterator[Left]:
    while True:
        (document,) = client.get("nodes", node)
        running = [one for one in client.get("workloads") if one.get("node") == node]
        prefix = f"{node}/"
        stays = {
            str(one["subject"]).removeprefix(prefix): str(one["message"])
            for one in client.get("alarms", "Drain")
            if str(one["subject"]).startswith(prefix)
        }
        behind = document.get("applied", 0) if document.get("applied", 0) < counter else 0
        names = tuple(sorted(str(one["workload"]) for one in running))
        drained = document.get("cordon") == "drained" and not behind
        unreached = str(document.get("address", "")) if document.get("live") == "unknown" else ""
        yield Left(drained, names, stays, behind, unreached)
        time.sleep(LOOK_S)


def _tell(session: Session, node: str, what: str, reply: CordonReply, text: str) -> None:
    document: Document = {"node": node, "cordon": what, "counter": reply.counter}
    if what != "drained":
        document["workloads"] = reply.workloads
    print_one(document, session.options.output, lambda _: say(text))

"""Rollout: node by node, for every change of a service; two refusals and the site refuses it.

No leader. Every node computes from the registers whose turn it is, and acts on its own turn alone:

- Nodes take their turns in the order in which rendezvous hashing ranks them for the service. It is
  a node's turn when every live node before it has *passed* (the new configuration serves there and
  has soaked) or has *refused* it.
- Whoever has begun goes on, and nobody else begins meanwhile: the order may change under way, when
  another node has fetched the model.
- A node refuses a configuration when its gate fails there: wrong golden outputs, too slow, a crash
  in the soak. It says so in its register, with the evidence, and goes on with the last good one.
- One refusal is tried on one other node: it may have been that machine. Two refusals, or that of
  every node that runs the service, and the site refuses the configuration: whoever had passed goes
  back to the last good one. A newer plan, `meshctl restart` at a master among them, starts anew.
- What one node refused is tried on another only beside the last good version: a node that takes
  over from another starts that one first.
- Where nothing good serves that could be lost (a new service, a site that starts from cold), there
  is nothing to protect, and all start at once.
- While an operator holds the rollout, nobody begins a turn. Who has begun one ends it, one way or
  the other: to break it off would cost a worker that may serve already, to freeze it would keep two
  workers in memory for as long as the hold lasts, and what the gate finds is what the operator
  wants to know. So in the end each node runs one version, the new one or its last good one.

Nodes may differ for a moment on who has the model, who is alive or who has passed. So a turn
*begins* only after it has stood for a second (`mesh/core/turns.py`), and one node at a time changes
as long as what nodes say reaches all within half of that. Where it takes longer, and in the parts
of a split site, two may try at once; each keeps its old replica until the new one has soaked.

What a lying node can do. Its verdict counts as one refusal, so alone it refuses nothing, unless it
is the only one that runs the service. Two liars can hold back a version, or take one back that had
passed; a node that claims to try for ever holds up those behind it. Both leave the last good
version serving, both stand in signed registers under the liars' names, and neither makes anybody
run anything that the authority and a release key did not sign. Revoking them ends it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

REFUSALS = 2
"""Nodes on which a configuration must fail before the site refuses it."""
PAUSED = "the rollout is paused"
"""Why a node whose turn would come does not begin it."""


class Stage(Enum):
    """How far a node is with a configuration."""

    OLD = "old"
    """It serves another configuration, or none."""
    TRYING = "trying"
    """It loads or soaks the new one. Who only fetches it has not begun."""
    PASSED = "passed"
    """The new one serves and has soaked."""
    REFUSED = "refused"
    """The gate failed there."""


class Target(Enum):
    """What a node should run."""

    NEW = "new"
    LAST_GOOD = "last good"


@dataclass(frozen=True, slots=True)
class Turn:
    """A node's answer, and the reason, for people. `begins`: nothing of the new configuration has
    been started here before."""

    target: Target
    why: str
    begins: bool = False


def turn(
    node: str,
    order: Sequence[str],
    stages: Mapping[str, Stage],
    protects: bool,
    paused: bool,
    beside: bool,
) -> Turn:
    """What `node` should run of a service whose configuration changed.

    `order` are the live nodes that run the service, as rendezvous ranks them; `stages` says how far
    each node of the site is, live or not, because a refusal outlives its node. `protects`: a good
    version serves in the site, or is remembered, that could be lost. `paused`: an operator holds
    the rollout, and no turn begins. `beside`: the last good version runs on this node, or cannot.
    """
    refused = sorted(n for n, stage in stages.items() if stage is Stage.REFUSED)
    if is_refused(order, stages):
        return Turn(Target.LAST_GOOD, f"the site refuses it: {', '.join(refused)}")
    mine = stages.get(node, Stage.OLD)
    if mine is Stage.REFUSED:
        return Turn(Target.LAST_GOOD, "the gate failed here; it is tried on one other node")
    if not protects:
        return Turn(Target.NEW, "no good version serves here that could be lost")
    if mine is Stage.PASSED:
        return Turn(Target.NEW, "it has passed here")
    if mine is Stage.TRYING:
        return Turn(Target.NEW, "it is being tried here")
    if paused:
        return Turn(Target.LAST_GOOD, PAUSED)
    ahead = _ahead(node, order, stages)
    if ahead is not None:
        return Turn(Target.LAST_GOOD, f"waits for {ahead}")
    if refused and not beside and Stage.PASSED not in stages.values():
        return Turn(
            Target.LAST_GOOD, f"{refused[0]} refused it: the last good version starts first"
        )
    return Turn(Target.NEW, "its turn", begins=True)


def _ahead(node: str, order: Sequence[str], stages: Mapping[str, Stage]) -> str | None:
    """The node that `node` waits for: one that tries, or the first before it that has not yet."""
    trying = [one for one in order if stages.get(one) is Stage.TRYING]
    before = order[: order.index(node)] if node in order else order
    waiting = [one for one in before if stages.get(one, Stage.OLD) is Stage.OLD]
    return next(iter([*trying, *waiting]), None)


def is_refused(order: Sequence[str], stages: Mapping[str, Stage]) -> bool:
    """Whether the site refuses the configuration: enough nodes do, or all that run the service.

    A single refusal by a node that does not run it is not enough, however few do: else one lying
    node could hold back every version of a service with one replica.
    """
    refused = {node for node, stage in stages.items() if stage is Stage.REFUSED}
    return len(refused) >= REFUSALS or (bool(order) and refused.issuperset(order))

"""The state that a neighbour goes by, asked for and answered: what is believed of it."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh.events import Received, SaveDocument, Send, WriteJournal
from mesh.exchange.frames import encode, parse_frame
from protos.documents_pb2 import SiteBranch
from protos.peer_pb2 import InForceAsk, InForcePart
from tests.sim.masters import sealed
from tests.sim.nodes import SimNode
from tests.sim.site import Site

Parts = list[InForcePart]


class Withholding(SimNode):
    """Its core is not given the parts that come; they are kept, with who sent them. Nor is it given
    the branches of a newest state, where it `lacks_branches`."""

    lacks_branches = False

    def __init__(self, *arguments: Any) -> None:
        self.kept: list[tuple[str, InForcePart]] = []
        super().__init__(*arguments)

    def feed(self, event: Any) -> None:
        if isinstance(event, Received):
            frame = parse_frame(event.data)
            if frame.HasField("in_force_part"):
                self.kept.append((event.peer, frame.in_force_part))
                return
            if self.lacks_branches and frame.documents.branches:
                return
        super().feed(event)

    def give(self, peer: str, parts: Parts) -> list[Any]:
        """What its core does once it is given these."""
        outputs = []
        for part in parts:
            event = Received(peer, encode(in_force_part=part))
            outputs += self.core.handle(event, self.clock_ms())
        return outputs


@pytest.fixture
def asked() -> tuple[Site, Withholding, str, Parts]:
    """A site whose newest state is refused, a node that was enrolled then, and what it was given
    by the neighbour that it asked last."""
    site = Site(2).settle(1)
    site.publish(replicas=1, restarts=1)
    site.world.run(5_000)
    site.master.publish({"site/south": SiteBranch(site="north").SerializeToString()})
    site.world.run(5_000)
    new = Withholding(site.world, "south", "south-9")
    new.boot()
    site.world.run_until(lambda: len(new.kept) >= 3, 5_000, "it asked, and was answered")
    site.world.run(100)
    peer = new.kept[-1][0]
    return site, new, peer, [part for _, part in new.kept[-3:]]


Asked = tuple[Site, Withholding, str, Parts]


def test_it_is_in_force_once_all_of_it_is_here(asked: Asked) -> None:
    _, new, peer, parts = asked
    assert new.give(peer, parts[:2]) == []
    told = new.give(peer, parts[2:])
    entries = [one for one in told if isinstance(one, WriteJournal)]
    assert ("plan.applied", {"counter": "2"}) in [(one.event, one.fields) for one in entries]
    assert new.core.in_force.order == (1, 2)
    assert new.give(peer, parts) == [], "nobody is asked any more"


def test_it_asks_no_more_and_answers_who_goes_by_an_earlier_one(asked: Asked) -> None:
    _, new, peer, parts = asked
    new.give(peer, parts)
    assert new.core.catching_up.ask(new.core) == []
    for counter, answered in ((1, True), (2, False)):
        ask = InForceAsk(trust_generation=1, counter=counter)
        event = Received(peer, encode(in_force_ask=ask))
        sent = [o for o in new.core.handle(event, new.clock_ms()) if isinstance(o, Send)]
        frames = [parse_frame(one.data) for one in sent]
        given = [frame.in_force_part for frame in frames if frame.HasField("in_force_part")]
        assert [part.branch.name for part in given] == [
            part.branch.name for part in parts if answered
        ]


def test_who_was_not_asked_and_what_was_not_asked_for_changes_nothing(asked: Asked) -> None:
    site, new, peer, parts = asked
    other = next(node.name for node in site.nodes if node.name != peer)
    assert new.give(other, parts) == []
    stranger = InForcePart()
    stranger.CopyFrom(parts[0])
    stranger.branch.name = "site/north"
    assert new.give(peer, [stranger]) == []
    assert new.core.in_force.order == (0, 0)


def _another_state(site: Site, parts: Parts) -> None:
    """The newest, which those branches are not of."""
    for part in parts:
        part.state = site.master.core.heads.state.applied.envelope


def _another_blob(_: Site, parts: Parts) -> None:
    parts[0].blob += b"x"


def _no_state(_: Site, parts: Parts) -> None:
    for part in parts:
        part.state = b""


@pytest.mark.parametrize("change", [_another_state, _another_blob, _no_state])
def test_what_is_not_signed_and_proved_is_refused(
    asked: Asked, change: Callable[[Site, Parts], None]
) -> None:
    site, new, peer, parts = asked
    change(site, parts)
    refusals = [one for one in new.give(peer, parts) if isinstance(one, WriteJournal)]
    assert [one.event for one in refusals] == ["input.refused"]
    assert new.core.in_force.order == (0, 0)


def test_an_earlier_one_than_what_is_in_force_meanwhile_is_left(asked: Asked) -> None:
    site, new, peer, parts = asked
    site.publish(replicas=1, restarts=2)
    site.world.run(3_000)
    new.core.catching_up._asked = peer  # it was asked before that came
    assert new.give(peer, parts) == []
    assert new.core.in_force.order == (1, 4)


def _signed_again(parts: Parts, counter: int) -> Parts:
    """The same, in another state, signed under that counter: its site has a label."""
    blobs = {part.branch.name: part.blob for part in parts}
    branch = SiteBranch.FromString(blobs["site/south"])
    branch.labels["signed"] = "again"
    envelope, documents = sealed(counter, {**blobs, "site/south": branch.SerializeToString()})
    return [
        InForcePart(state=envelope, branch=branch, blob=blob)
        for branch, blob in zip(documents.branches, documents.blobs, strict=True)
    ]


def _evidence(node: SimNode, told: list[Any]) -> tuple[list[str], list[str]]:
    """The documents that are kept, and the alarms about what the authority signed."""
    kept = [one.name for one in told if isinstance(one, SaveDocument)]
    alarms = [one.subject for one in node.core.alarms.states() if one.kind == "Equivocation"]
    return kept, alarms


def test_of_two_contents_under_the_newest_order_none_is_taken_and_there_is_evidence(
    asked: Asked,
) -> None:
    _, new, peer, parts = asked
    told = new.give(peer, _signed_again(parts, 3))
    assert new.core.in_force.order == (0, 0)
    assert _evidence(new, told) == (["equivocation-state"], ["state"])


def test_nor_of_two_under_the_order_of_the_one_that_was_applied(asked: Asked) -> None:
    site, new, peer, parts = asked
    site.master.publish({"site/south": b"x"}, reader=99)
    site.world.run(2_000)
    assert new.core.peer.heads.state.floor == (1, 4)
    new.core.catching_up._asked = peer
    told = new.give(peer, _signed_again(parts, 3))
    assert new.core.in_force.order == (0, 0)
    assert _evidence(new, told) == (["equivocation-state"], ["state"])
    new.core.catching_up._asked = peer
    new.give(peer, parts)
    assert new.core.in_force.order == (1, 2)


def test_a_later_one_than_the_newest_is_taken_as_any_newest_is(asked: Asked) -> None:
    _, new, peer, parts = asked
    told = new.give(peer, _signed_again(parts, 4))
    assert new.core.in_force.order == (0, 0)
    assert _evidence(new, told) == (["state-seen"], [])
    assert new.core.peer.heads.state.floor == (1, 4)


def test_who_goes_by_the_newest_is_not_asked(asked: Asked) -> None:
    site, new, _, _ = asked
    new.lacks_branches = True
    site.publish(replicas=1, restarts=2)
    site.world.run(3_000)
    registers, heads = new.core.membership.registers, new.core.peer.heads
    assert {registers.get(node.name).body.in_force_counter for node in site.nodes} == {4}
    assert (new.core.in_force.order, heads.state.floor) == ((0, 0), (1, 4))
    assert new.core.catching_up.ask(new.core) == []

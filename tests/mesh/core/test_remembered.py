"""An agent that starts remembers its neighbours' registers: whom to dial, not what is so now."""

from collections.abc import Callable

from mesh.events import LinkUp
from mesh.registers.store import NodeKeys, Registers
from node.agent import book
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def remembers(node: SimNode) -> None:
    """The agent starts with the registers that it has now, as with the document on its disk."""
    document = book.remember(node.core.membership.registers)

    def known(check: Callable[[bytes], NodeKeys]) -> Registers:
        registers = Registers(node.site, check)
        book.recall(document, registers, node.name)
        return registers

    node.known_registers = known  # type: ignore[method-assign]


def taken_over(nodes: int) -> tuple[Site, SimNode, SimNode]:
    """A site with one replica, whose node died: site, dead node, and the one that took over, which
    remembers that it serves on the dead one."""
    site = Site(nodes).settle(1)
    site.world.run(3_000)
    first = next(n for n in site.nodes if n.serving("faces"))
    first.power_off()
    site.world.run_until(lambda: site.serving() == 1, 10_000, "it is taken over")
    second = next(n for n in site.nodes if n.serving("faces"))
    remembers(second)
    return site, first, second


def pids(node: SimNode) -> set[int]:
    return {status.pid for status in node.runs.values()}


def test_what_a_neighbour_served_once_stops_nothing_before_it_is_heard_of() -> None:
    site, _, node = taken_over(nodes=2)
    before = pids(node)
    node.restart_agent()
    for _ in range(100):
        site.world.run(100)
        assert pids(node) == before


def served(node: SimNode, neighbour: SimNode) -> int:
    """How many replicas the node believes to serve on its neighbour."""
    return sum(view.serving["faces"] for view in node.core.share.views
               if view.node == neighbour.name and view.serving)  # fmt: skip


def test_a_neighbour_that_says_nothing_new_is_believed_once_it_is_met() -> None:
    site = Site(nodes=2).settle(1)
    site.world.run(3_000)
    first = next(n for n in site.nodes if n.serving("faces"))
    second = next(n for n in site.nodes if n is not first)
    remembers(second)
    site.world.cut_off(first.name, second.name)
    second.restart_agent()
    site.world.run(100)
    assert served(second, first) == 0
    second.feed(LinkUp(first.contact, False))
    site.world.run(300)
    assert served(second, first) == 1


def test_a_revoked_node_is_not_remembered_by_who_starts_anew() -> None:
    site = Site(nodes=3).settle()
    site.world.run(3_000)
    victim = next(n for n in site.nodes if n.serving("faces"))
    others = [n for n in site.nodes if n is not victim]
    for node in others:
        remembers(node)
    site.publish(replicas=2, revoked={victim.name: "stolen"})
    site.world.run_until(lambda: all(n.serving("faces") for n in others), 8_000, "its work")
    site.world.run(2_000)
    before = [pids(node) for node in others]
    for node in others:
        node.restart_agent()
        assert victim.name not in node.core.membership.liveness.live()
        assert node.core.membership.registers.get(victim.name) is None
    site.world.run(10_000)
    assert [pids(node) for node in others] == before

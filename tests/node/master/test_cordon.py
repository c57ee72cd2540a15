"""Cordon, drain and uncordon at the authority: what the sites are told, and what is refused."""

import pytest

from mesh.heads.branches import open_site_branch
from node.master.admission import ENROLLED, TOKEN_MADE
from node.master.errors import MasterRefused, NotFound
from tests.node.master.fleet import Fleet


def held_back(fleet: Fleet) -> dict[str, tuple[bool, bool]]:
    """Node to whether the site is told that it is cordoned, and draining."""
    branch = fleet.authority.branch("site/north")
    assert branch is not None
    roster = open_site_branch(branch[1], "north").roster
    return {one.node: (one.cordoned, one.draining) for one in roster}


def told(fleet: Fleet) -> list[tuple[str, str, str]]:
    found = [(one.event, one.subject, one.cause) for one in fleet.authority.events()]
    return [one for one in found if one[0] not in (TOKEN_MADE, ENROLLED)]


def test_a_site_is_told_who_is_held_back_also_after_a_restart(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    fleet.join("node-2", "north")
    fleet.authority.cordon("node-1", True, False, "noisy")
    fleet.authority.cordon("node-2", False, True, "new fan")
    fleet.reopen()
    assert held_back(fleet) == {"node-1": (True, False), "node-2": (True, True)}
    fleet.authority.cordon("node-2", False, False, "")
    assert held_back(fleet) == {"node-1": (True, False), "node-2": (False, False)}
    assert told(fleet) == [
        ("node.cordoned", "node-1", "noisy"),
        ("node.draining", "node-2", "new fan"),
        ("node.uncordoned", "node-2", "no reason was given"),
    ]


def test_a_node_that_joins_again_is_held_back_as_before(fleet: Fleet) -> None:
    machine = fleet.join("node-1", "north")
    fleet.authority.cordon("node-1", True, True, "being repaired")
    fleet.join("node-1", "north", machine)
    assert held_back(fleet) == {"node-1": (True, True)}
    fleet.authority.revoke("node-1", "burnt")
    fleet.join("node-1", "north")
    assert held_back(fleet) == {"node-1": (False, False)}


def test_what_holds_already_signs_nothing(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    before = fleet.authority.counter
    assert fleet.authority.cordon("node-1", False, False, "") == before
    counter = fleet.authority.cordon("node-1", True, True, "")
    assert counter > before
    assert fleet.authority.cordon("node-1", True, True, "again") == counter
    assert len(told(fleet)) == 1


def test_what_cannot_be_held_back(fleet: Fleet) -> None:
    fleet.join("node-1", "north")
    fleet.authority.revoke("node-1", "stolen")
    with pytest.raises(MasterRefused, match="revoked and takes no work"):
        fleet.authority.cordon("node-1", True, False, "")
    with pytest.raises(NotFound, match="there is no node 'node-9'"):
        fleet.authority.cordon("node-9", True, False, "")
    with pytest.raises(MasterRefused, match="all printable"):
        fleet.authority.cordon("node-1", True, False, "\a")

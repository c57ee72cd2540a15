"""What people read of a lease that is waited for."""

from mesh.core.lease_wait import without_quorum
from mesh.core.rosters import Rosters
from mesh.site.leases import Earlier, Member

A, B, C, D, E = (Member(name, name.encode()) for name in "abcde")


def rosters(nodes: tuple[Member, ...], *earlier: Earlier) -> Rosters:
    found = Rosters(b"")
    found.nodes, found.earlier = nodes, earlier
    return found


def test_who_is_missing_of_the_roster_is_named_with_what_to_do() -> None:
    text = without_quorum("door", [A], {}, rosters((A, B, C), Earlier((B,), 2)), {A})
    assert text == (
        "1 of the 3 nodes of the roster acknowledge (a), and onSplit: stop needs more than half: "
        "see to b, c and the network between; if one is gone for good, `meshctl node revoke b` at "
        "a master; or use onSplit: run"
    )


def test_who_is_missing_of_a_roster_before_is_named_if_the_authority_did_not_take_it_out() -> None:
    before = [Earlier((A, D), 4), Earlier((A, B, E), 7)]
    text = without_quorum("door", [A, C, D], {}, rosters((A, B, C, D), *before), {A, C, D})
    assert text.startswith(
        "1 of the 3 nodes of the roster before state 7, by which some may still go, acknowledge (a)"
    )
    assert "see to b and the network" in text


def test_where_all_are_linked_what_they_say_is_told() -> None:
    text = without_quorum("door", [], {"b": "it is busy"}, rosters((A, B)), {A, B})
    assert "0 of the 2 nodes of the roster acknowledge (none)" in text
    assert "the others say: b: it is busy; or use" in text
    assert "say: nothing;" in without_quorum("door", [], {}, rosters((A, B)), {A, B})
